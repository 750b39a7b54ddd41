"""Tasks that the gateway creates in a context: an agent that takes one at a time gets one at a time."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from gateway.app import create_app
from tailrace import AgentCard
from tailrace.a2a.card import CARD_PATH, card_json
from tailrace.a2a.identity import task_id_of
from tailrace.config import Settings
from tailrace.log.memory import MemoryLog
from tests.sample_agents.recall import RECALL
from tests.support.events import artifact_text, said
from tests.support.gateway import ALICE, System, header_owner
from tests.support.http import serve
from tests.support.in_process import system
from tests.support.meeting import create_in_order

DONE, ASKED, REJECTED = "TASK_STATE_COMPLETED", "TASK_STATE_INPUT_REQUIRED", "TASK_STATE_REJECTED"
EXTENSION = "urn:tailrace:a2a:conversation:1"


async def post(sut: System, text: str, context_id: str | None, **fields: Any) -> httpx.Response:
    named = {} if context_id is None else {"contextId": context_id}
    return await sut.http.post("/api/tasks", json={"message": {"parts": [{"text": text}], **named, **fields}})


async def say(sut: System, text: str, context_id: str | None = None, **fields: Any) -> tuple[dict[str, Any], str, str]:
    """Create a task and wait for its end or question. Return the response, the state and the text."""
    response = await post(sut, text, context_id, **fields)
    assert response.status_code == 201, response.text
    seen = await sut.read(response.json()["id"], until=lambda seen: seen.ended)
    return response.json(), seen.state, artifact_text(seen.events)


async def test_a_context_goes_on_with_the_contexts_id(tmp_path: Path) -> None:
    async with system(RECALL, tmp_path) as sut:
        first, state, text = await say(sut, "one")
        assert (state, text) == (DONE, "one")
        _, state, text = await say(sut, "two", first["contextId"])
        assert (state, text) == (DONE, "one, two")
        _, state, text = await say(sut, "2nd", first["contextId"], metadata={EXTENSION: {"after": first["id"]}})
        assert (state, text) == (DONE, "one, 2nd")


async def test_a_reply_that_names_another_context_is_refused_and_the_task_still_waits(tmp_path: Path) -> None:
    async with system(RECALL, tmp_path) as sut:
        asking, state, _ = await say(sut, "ask", "c")
        assert state == ASKED
        path, parts = f"/api/tasks/{asking['id']}/messages", [{"text": "yes"}]
        refused = await sut.http.post(path, json={"message": {"parts": parts, "contextId": "d"}})
        assert refused.status_code == 400
        assert "contextId has value 'd', but the task's is 'c'" in refused.json()["detail"]
        taken = await sut.http.post(path, json={"message": {"parts": parts, "contextId": "c"}})
        assert taken.status_code == 202


async def test_a_second_task_in_a_context_is_a_409_that_names_the_first(tmp_path: Path) -> None:
    async with system(RECALL, tmp_path) as sut:
        first, _, _ = await say(sut, "ask", "c")
        refused = await post(sut, "two", "c")
        assert refused.status_code == 409
        assert first["id"] in refused.json()["detail"]
        assert len((await sut.http.get("/api/tasks")).json()["tasks"]) == 1
        await sut.http.post(f"/api/tasks/{first['id']}/cancel")
        assert (await say(sut, "two", "c"))[1:] == (DONE, "two")


async def test_a_request_that_is_repeated_gets_its_task_while_another_one_has_the_context(tmp_path: Path) -> None:
    async with system(RECALL, tmp_path) as sut:
        first, _, _ = await say(sut, "one", "c", messageId="m1")
        await say(sut, "ask", "c")
        assert (await post(sut, "one", "c", messageId="m1")).json() == first
        assert (await post(sut, "other", "c", messageId="m1")).status_code == 422


async def test_what_no_task_can_begin_after_is_a_400(tmp_path: Path) -> None:
    async with system(RECALL, tmp_path) as sut:
        await say(sut, "one", "c")
        refused = await post(sut, "two", "c", metadata={EXTENSION: {"after": "nothing"}})
        assert (refused.status_code, "COMPLETED task" in refused.json()["detail"]) == (400, True)


def task_of(message_id: str) -> str:
    """The id of Alice's task that begins with the message."""
    return task_id_of("alice", "orchestrator", message_id)


@pytest.mark.parametrize("order", [["m1", "m1", "m2"], ["m1", "m2", "m1"], ["m2", "m1", "m1"]], ids=" ".join)
async def test_of_first_messages_at_once_one_begins_a_task_that_stays_and_the_others_are_409s_that_name_it(
    order: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One message is sent twice. All have read that the context is idle before the first of them begins its task."""
    async with system(RECALL, tmp_path) as sut:
        create_in_order(monkeypatch, sut.log, [task_of(message_id) for message_id in order])
        responses = await asyncio.gather(*(post(sut, "ask", "c", messageId=id) for id in order))
        first = task_of(order[0])
        for message_id, response in zip(order, responses, strict=True):
            if message_id == order[0]:
                assert (response.status_code, response.json()["id"]) == (201, first)
            else:
                assert response.status_code == 409
                assert f"its task {first!r} is not finished" in response.json()["detail"]
        assert [task["id"] for task in (await sut.http.get("/api/tasks")).json()["tasks"]] == [first]
        assert (await sut.read(first)).state == ASKED


async def test_a_message_that_was_refused_begins_its_task_when_the_context_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sent again, it has the same task's id."""
    async with system(RECALL, tmp_path) as sut:
        create_in_order(monkeypatch, sut.log, [task_of("m1"), task_of("m2")])
        responses = await asyncio.gather(*(post(sut, "ask", "c", messageId=id) for id in ("m1", "m2")))
        assert [response.status_code for response in responses] == [201, 409]
        await sut.http.post(f"/api/tasks/{task_of('m1')}/cancel")
        second, state, _ = await say(sut, "ask", "c", messageId="m2")
        assert (state, second["id"]) == (ASKED, task_of("m2"))


async def test_a_context_is_taken_before_its_agent_has_begun_the_first_task(tmp_path: Path) -> None:
    """Also if the gateway has just started and knows no card. This agent serves its card, and works on nothing."""
    agent_card = {
        **card_json(AgentCard(name="orchestrator", description="", version="1", skills=[]), "http://127.0.0.1:9/"),
        "capabilities": {"extensions": [{"uri": EXTENSION, "params": {"exclusive": True}}]},
    }
    app = Starlette(routes=[Route(f"/{CARD_PATH}", lambda request: JSONResponse(agent_card))])
    log = MemoryLog()
    async with serve(app) as agent_url:
        settings = Settings(data_dir=str(tmp_path), orchestrator_url=f"{agent_url}/")
        async with (
            serve(create_app(settings, log=log, decide_owner=header_owner)) as url,
            httpx.AsyncClient(base_url=url, headers=ALICE, timeout=60) as http,
        ):
            sut = System(url, log, http)
            first = (await post(sut, "one", None)).json()
            refused = await post(sut, "two", first["contextId"])
            assert (refused.status_code, first["id"] in refused.json()["detail"]) == (409, True)
    await log.close()


async def test_tasks_that_are_created_at_once_are_run_one_after_the_other_or_refused(tmp_path: Path) -> None:
    async with system(RECALL, tmp_path) as sut:
        await say(sut, "first", "c")
        responses = await asyncio.gather(*(post(sut, f"m{n}", "c") for n in range(6)))
        assert {response.status_code for response in responses} <= {201, 409}
        created = [response.json()["id"] for response in responses if response.status_code == 201]
        seen = [await sut.read(task_id) for task_id in created]
        assert {each.state for each in seen} == {DONE}
        _, _, text = await say(sut, "last", "c")
        assert len(text.split(", ")) == len(created) + 2


async def test_an_agent_whose_contexts_take_several_tasks_gets_them(tmp_path: Path) -> None:
    async with system(RECALL, tmp_path, options={"thread": "task"}) as sut:
        await say(sut, "ask", "c")
        assert (await say(sut, "two", "c"))[1:] == (DONE, "two")


async def test_an_agent_whose_author_names_the_threads_rejects_the_second_task(tmp_path: Path) -> None:
    async with system(RECALL, tmp_path, options={"thread": lambda request: "one for all"}) as sut:
        first, _, _ = await say(sut, "ask", "c")
        second, state, _ = await say(sut, "two", "d")
        assert state == REJECTED
        assert first["id"] in said((await sut.read(second["id"])).events[-1])


@pytest.mark.parametrize("context_id", [None, "c"])
async def test_a_task_is_created_while_the_agent_is_away(context_id: str | None, tmp_path: Path) -> None:
    """Its card is not known then, so the agent itself decides later."""
    settings = Settings(data_dir=str(tmp_path), orchestrator_url="http://127.0.0.1:9/")
    log = MemoryLog()
    async with (
        serve(create_app(settings, log=log, decide_owner=header_owner)) as url,
        httpx.AsyncClient(base_url=url, headers=ALICE, timeout=60) as http,
    ):
        message = {"parts": [{"text": "one"}], **({"contextId": context_id} if context_id else {})}
        assert (await http.post("/api/tasks", json={"message": message})).status_code == 201
    await log.close()
