"""AG-UI at the gateway: what it sends fits the protocol's own models, and its official client understands it.

The client is `@ag-ui/client` 1.0.0 in Node.js; the models are those of the package `ag-ui-protocol`.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from ag_ui.core import Event, RunAgentInput
from pydantic import TypeAdapter

from gateway.app import create_app
from tailrace.agent import threads
from tailrace.config import Settings
from tailrace.events import Message, Part, Source, status_update
from tailrace.log import Batch, Head
from tailrace.log.memory import MemoryLog
from tailrace.stream.sse import Parser
from tests.interop.cached import HERE, node_with
from tests.interop.steps import Steps, steps_of
from tests.sample_agents import killable, talkative
from tests.sample_agents.hello_world import FINDINGS, hello_world
from tests.support.cutting_proxy import cutting
from tests.support.fork_server import start_forked
from tests.support.gateway import ALICE, System, header_owner
from tests.support.http import serve
from tests.support.in_process import system
from tests.support.restarting_agent import restarting_agent

pytestmark = pytest.mark.asyncio(loop_scope="module")
FRONTEND = Path(__file__).parents[2] / "frontend"
EVENT: TypeAdapter[Any] = TypeAdapter(Event)
GATE = asyncio.Event()
Events = list[dict[str, Any]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hello(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    async with system(hello_world(GATE), tmp_path_factory.mktemp("hello")) as sut:
        yield sut


@pytest.fixture(autouse=True)
def _shut() -> None:
    GATE.clear()


def said(text: str, message_id: str = "m1") -> dict[str, str]:
    return {"id": message_id, "role": "user", "content": text}


def run_input(**body: Any) -> dict[str, Any]:
    made = {"threadId": "t", "runId": "r1", "messages": [said("hello")], "state": {}, "tools": [], "context": [],
            "forwardedProps": {}, **body}  # fmt: skip
    RunAgentInput.model_validate(made)
    return made


async def told(
    http: httpx.AsyncClient,
    path: str = "",
    *,
    cursor: str = "",
    until: Callable[[Events], bool] | None = None,
    **body: Any,
) -> tuple[Events, list[str]]:
    """The events of a run, each checked by AG-UI's own models, and the `id:` after each."""
    headers = {"Last-Event-ID": cursor} if cursor else {}
    asking = http.stream("POST", f"/api/agui/orchestrator{path}", json=run_input(**body), headers=headers)
    async with asyncio.timeout(60), asking as response:
        assert response.status_code == 200, await response.aread()
        parser, events, ids = Parser(), Events(), []
        async for chunk in response.aiter_bytes():
            for each in parser.feed(chunk):
                events.append(json.loads(each.data))
                EVENT.validate_json(each.data)
                ids.append(each.id)
                if until is not None and until(events):
                    return events, ids
    return events, ids


def types(events: Events) -> list[str]:
    return [each["type"] for each in events]


async def client(
    url: str, *step: str, agent: str = "orchestrator", on_step: Callable[[Steps], None] = lambda _: None
) -> Steps:
    node, folder = await asyncio.to_thread(node_with, HERE / "agui")
    for module in ("agui-agent.js", "sse-frames.js"):
        shutil.copy(FRONTEND / module, folder)
    return await steps_of(node, "client.mjs", f"{url}/api/agui/{agent}", *step, on_step=on_step, cwd=folder)


async def test_the_official_client_has_a_conversation_answers_a_question_and_abandons_one(hello: System) -> None:
    steps = await client(hello.url, "conversation")
    first = steps["hello"]
    assert [each["role"] for each in first["messages"]] == ["user", "assistant"]
    assert (first["messages"][1]["content"], first["outcome"]) == ("Hello, world.", {"type": "success"})
    assert first["state"] == {"artifacts": {"findings": FINDINGS}}
    assert "progress" in first["custom"]
    (interrupt,) = steps["asked"]["outcome"]["interrupts"]
    assert (interrupt["message"], interrupt["reason"]) == ("Which service?", "input_required")
    assert steps["answered"]["outcome"] == {"type": "success"}
    assert steps["answered"]["messages"][-1]["content"] == "Hello, world.\n\nIt is payments."
    assert steps["abandoned"]["outcome"] == {"type": "cancelled"}
    assert not any("failed" in step for step in steps.values())


async def test_a_client_that_joins_in_the_middle_gets_the_rest_and_a_run_can_be_cancelled(hello: System) -> None:
    def joined(steps: Steps) -> None:
        if "joined" in steps and "both" not in steps:
            GATE.set()
        else:
            GATE.clear()

    steps = await client(hello.url, "join", on_step=joined)
    assert steps["joined"]["messages"][-1]["content"] == "Hello, "
    assert (steps["both"]["messages"][-1]["content"], steps["both"]["same"]) == ("Hello, world.", True)
    assert steps["both"]["types"].count("TEXT_MESSAGE_START") == 1
    assert steps["cancelled"]["outcome"] == steps["cancelled at once"]["outcome"] == {"type": "cancelled"}
    assert steps["no run"]["error"] == "There is no run to cancel."


async def test_an_answer_that_is_no_stream_ends_a_run_that_has_not_begun_and_no_other(hello: System) -> None:
    steps = await client(hello.url, "answers")
    assert steps["page"]["failed"].endswith("answered 200: text/html, and no event stream.")
    assert [each["content"] for each in steps["limited"]["messages"]] == ["hello", "Hello, world."]


async def test_our_client_loses_and_repeats_nothing_when_its_connection_is_cut_again_and_again(hello: System) -> None:
    async with cutting(hello.url) as proxy:
        proxy.cut_after_bytes, proxy.grows_by = 700, 150
        steps = await client(proxy.url, "run")
        assert proxy.connections > 4
    assert [each["content"] for each in steps["run"]["messages"]] == ["hello", "Hello, world."]
    assert steps["run"]["types"].count("RUN_STARTED") == 1
    # One that comes later has the thread as the first one has it.
    assert steps["joined"]["messages"] == steps["run"]["messages"]
    assert steps["joined"]["state"] == steps["run"]["state"] == {"artifacts": {"findings": FINDINGS}}
    assert steps["joined"]["outcome"] == {"type": "success"}
    assert (steps["unknown"]["messages"], steps["unknown"]["types"]) == ([], [])


async def test_a_run_goes_on_after_any_of_its_events(hello: System) -> None:
    whole, ids = await told(hello.http, threadId="cuts", runId="c")
    *cursors, last = dict.fromkeys(filter(None, ids))  # a frame without an id has the one before
    for cursor in cursors:
        rest, _ = await told(hello.http, cursor=cursor, threadId="cuts", runId="c")
        assert rest == whole[ids.index(cursor) + 1 :], cursor
    over = await hello.http.post(
        "/api/agui/orchestrator", json=run_input(threadId="cuts", runId="c"), headers={"Last-Event-ID": last}
    )
    assert over.status_code == 204
    again, _ = await told(hello.http, threadId="cuts", runId="c")
    assert types(again) == ["RUN_STARTED", "STATE_SNAPSHOT", "MESSAGES_SNAPSHOT", "RUN_FINISHED"]


async def test_a_run_that_is_made_again_begins_and_answers_nothing_twice(hello: System) -> None:
    thread = {"threadId": "twice"}
    asked, _ = await told(hello.http, **thread, messages=[said("ask")])
    (interrupt,) = asked[-1]["outcome"]["interrupts"]
    resume = [{"interruptId": interrupt["id"], "status": "resolved", "payload": "payments"}]
    for _ in range(2):
        answered, _ = await told(hello.http, **thread, runId="r2", messages=[said("ask")], resume=resume)
        assert answered[0]["runId"] == answered[-1]["runId"] == "r2"
        assert answered[-1]["outcome"] == {"type": "success"}
        again, _ = await told(hello.http, **thread, messages=[said("ask")])
        assert again[-1]["outcome"]["interrupts"] == [interrupt]
    heads = [head for head in (await hello.log.list("alice")).heads if head.context_id == "twice"]
    assert len(heads) == 1


async def test_who_abandons_or_answers_twice_what_is_not_asked_any_more_stops_no_task(hello: System) -> None:
    thread = {"threadId": "stale", "messages": [said("ask")]}
    asked, _ = await told(hello.http, **thread)
    (interrupt,) = asked[-1]["outcome"]["interrupts"]
    answer = {"interruptId": interrupt["id"], "status": "resolved", "payload": "payments"}
    for resume in ([{"interruptId": "older", "status": "cancelled"}], [answer, {**answer, "status": "cancelled"}]):
        body = run_input(**thread, runId="r2", resume=resume)
        refused = await hello.http.post("/api/agui/orchestrator", json=body)
        assert refused.status_code == 400, refused.text
        assert resume[0]["interruptId"] in refused.json()["detail"]
    answered, _ = await told(hello.http, **thread, runId="r3", resume=[answer])
    assert answered[-1]["outcome"] == {"type": "success"}


async def test_a_plain_message_answers_the_only_question(hello: System) -> None:
    thread = {"threadId": "plain"}
    await told(hello.http, **thread, messages=[said("ask")])
    answered, _ = await told(hello.http, **thread, runId="r2", messages=[said("ask"), said("payments", "m2")])
    assert answered[-1]["outcome"] == {"type": "success"}
    joined, _ = await told(hello.http, "/connect", **thread, runId="x", messages=[])
    snapshot = next(each for each in joined if each["type"] == "MESSAGES_SNAPSHOT")
    assert [each["content"] for each in snapshot["messages"] if each["role"] == "user"] == ["ask", "payments"]


async def test_who_joins_has_the_thread_without_what_was_asked_again(hello: System) -> None:
    thread = {"threadId": "edited"}
    for number in (1, 2):
        await told(hello.http, **thread, runId=f"r{number}", messages=[said(f"hello {number}", f"m{number}")])
    first = [head for head in (await hello.log.list("alice")).heads if head.context_id == "edited"][-1]
    metadata = {"urn:tailrace:a2a:conversation:1": {"after": first.task_id}}
    sent = {"parts": [{"text": "hello again"}], "contextId": "edited", "metadata": metadata}
    again = await hello.http.post("/api/tasks", json={"message": sent})
    await hello.read(again.json()["id"])
    joined, _ = await told(hello.http, "/connect", **thread, runId="x", messages=[])
    (snapshot,) = (each for each in joined if each["type"] == "MESSAGES_SNAPSHOT")
    assert [text for role, text in contents(snapshot["messages"]) if role == "user"] == ["hello 1", "hello again"]


async def test_a_question_is_abandoned_as_soon_as_it_is_seen_before_the_head_has_the_state() -> None:
    log, settings = (
        MemoryLog(),
        Settings(log="memory", orchestrator_url="http://127.0.0.1:9/", lease_s=0.2, renew_s=0.1),
    )
    head = Head(task_id=str(uuid.uuid4()), owner="alice", context_id="t", agent="orchestrator")
    await threads.create(log, head, Message(message_id="m1", role="ROLE_USER", parts=[Part(text="ask")]), new=True)
    attempt = (await log.claim(head.task_id, "worker", 0.05)).attempt
    question = status_update(
        Source(head.task_id, "t", "orchestrator", attempt), 2, "state", state="TASK_STATE_INPUT_REQUIRED", text="Which?"
    )
    await log.append(head.task_id, Batch(2, attempt, [question]))
    app = create_app(settings, log=log, decide_owner=header_owner)
    async with serve(app) as url, httpx.AsyncClient(base_url=url, headers=ALICE, timeout=60) as http:
        asked, _ = await told(http, "/connect", messages=[])
        (interrupt,) = asked[-1]["outcome"]["interrupts"]
        abandoned, _ = await told(http, runId="r2", resume=[{"interruptId": interrupt["id"], "status": "cancelled"}])
    assert abandoned[-1]["outcome"] == {"type": "cancelled"}
    assert (await log.head(head.task_id)).state == "TASK_STATE_CANCELED"


async def test_what_cannot_be_run_is_refused_before_anything_is_begun(hello: System) -> None:
    before = len((await hello.log.list("alice")).heads)
    nowhere = [{"interruptId": "x", "status": "resolved"}]
    for status, path, body in (
        (404, "nobody", {}),
        (400, "orchestrator", {"messages": []}),
        (400, "orchestrator", {"messages": [said(""), {"id": "a", "role": "assistant", "content": "hi"}]}),
        (400, "orchestrator", {"messages": [said("")]}),
        (400, "orchestrator", {"runId": ""}),
        (409, "orchestrator", {"threadId": "new", "resume": nowhere}),
        (409, "orchestrator", {"threadId": "new", "resume": [{"interruptId": "x", "status": "cancelled"}]}),
        (404, "orchestrator/connect", {"threadId": "nowhere"}),
    ):
        refused = await hello.http.post(f"/api/agui/{path}", json=run_input(threadId="no") | body)
        assert (refused.status_code, refused.headers["content-type"]) == (status, "application/problem+json"), body
    for cursor in ("1", "x", "0" * 36 + ":1"):
        refused = await hello.http.post(
            "/api/agui/orchestrator", json=run_input(threadId="no"), headers={"Last-Event-ID": cursor}
        )
        assert refused.status_code in (400, 404), cursor
    assert len((await hello.log.list("alice")).heads) == before


def contents(messages: Events) -> list[tuple[str, Any]]:
    return [(each["role"], each.get("content", "")) for each in messages]


ALL_SAID = [
    ("user", "hello"),
    ("assistant", '{"route": "scout"}'),
    ("assistant", "Working. "),
    ("assistant", "Let me look around."),
    ("tool", "Nothing."),
    ("assistant", "Looked. "),
    ("assistant", "It is quiet."),
    ("assistant", "Write to [EMAIL], then wait."),
]


async def test_what_models_and_tools_say_comes_as_it_is_said_and_what_is_redacted_is_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(killable, "FOLDER", tmp_path)
    async with system(talkative.builder, tmp_path) as sut:
        events, _ = await told(sut.http)
    call, *_, end, result = (each for each in events if each["type"].startswith("TOOL_CALL_"))
    assert (call["type"], end["type"]) == ("TOOL_CALL_START", "TOOL_CALL_END")
    assert (call["toolCallName"], result["content"]) == ("look", "Nothing.")
    assert "".join(each["delta"] for each in events if each["type"] == "TOOL_CALL_ARGS") == '{"place": "here"}'
    said_by_model = {each["messageId"] for each in events if each["type"] == "TEXT_MESSAGE_START"}
    assert call["parentMessageId"] in said_by_model  # one message of the model's
    (snapshot,) = (each for each in events if each["type"] == "MESSAGES_SNAPSHOT")
    assert contents(snapshot["messages"]) == ALL_SAID
    (usage,) = events[-1]["usage"]
    assert usage["totalTokens"] == usage["inputTokens"] + usage["outputTokens"] > 0


async def test_when_the_gateway_and_the_worker_are_killed_the_client_has_in_the_end_what_it_would_have_had(
    tmp_path: Path,
) -> None:
    (tmp_path / "die at look:middle").write_text("late")
    (standing := tmp_path / "stand still at scout:start").touch()
    async with (
        restarting_agent(tmp_path, "talkative") as agent,
        restarting_agent(
            tmp_path,
            "gateway",
            start=lambda listener, _, variables: start_forked(listener, "tests.support.header_gateway", variables),
            TAILRACE_ORCHESTRATOR="talkative",
            TAILRACE_ORCHESTRATOR_URL=agent.url,
        ) as gateway,
    ):

        def written(steps: Steps) -> None:
            if "run" not in steps and standing.exists():  # in the middle of the run, and of its stream
                gateway.signal(signal.SIGKILL)
                standing.unlink()

        steps = await client(gateway.url.rstrip("/"), "run", agent="talkative", on_step=written)
        assert (agent.deaths, gateway.deaths) == (1, 1)
    assert contents(steps["run"]["messages"]) == contents(steps["joined"]["messages"]) == ALL_SAID
    assert steps["run"]["outcome"] == {"type": "success"}
    assert steps["run"]["types"].count("RUN_STARTED") == 1
    assert "attempt" in steps["run"]["custom"]
