"""A task at an agent that is down, sends garbage or is cut off ends with an answer or an `AgentError`."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
import pytest_asyncio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import (
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Route

from tailrace.a2a import remote_task as remote_tasks
from tailrace.a2a.client import AgentClient, new_http
from tailrace.a2a.discovery import DiscoveredAgent, discover, interface_of
from tailrace.a2a.incoming import card_in, event_in, task_in
from tailrace.a2a.remote_task import RemoteTask
from tailrace.a2a.types import to_json
from tailrace.config import Settings
from tailrace.errors import AgentError
from tailrace.events import DelegatedTask
from tests.sample_agents.hello_world import hello_world
from tests.support.cutting_proxy import cutting
from tests.support.events import EXTENSION, TERMINAL, message, metadata, state_of
from tests.support.http import serve
from tests.support.in_process import agent

pytestmark = pytest.mark.asyncio(loop_scope="module")
Responder = Callable[[dict[str, Any]], Response]
WORKING: dict[str, Any] = {"id": "t", "contextId": "c", "status": {"state": "TASK_STATE_WORKING"}}
DONE: dict[str, Any] = {**WORKING, "status": {"state": "TASK_STATE_COMPLETED"}}


@pytest.fixture(autouse=True)
def _come_back_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_tasks, "PAUSE_S", 0.001)
    monkeypatch.setattr(remote_tasks, "LONGEST_PAUSE_S", 0.001)
    monkeypatch.setattr(remote_tasks, "POLL_S", 0.001)


class Scene:
    """An agent that gives prepared answers, repeats the last one, and records its calls."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http
        self.url = ""
        self.answers: tuple[Responder, ...] = ()
        self.calls: list[dict[str, Any]] = []
        self.cursors: list[str | None] = []

    def remote_task(self, *answers: Responder, own: bool = False) -> RemoteTask:
        self.answers, self.calls, self.cursors = answers, [], []
        settings = Settings(agent_urls=self.url) if own else Settings(specialist_urls=self.url)
        client = AgentClient(self.http, self.url + "/", owner="me", settings=settings)
        return RemoteTask(client, message("hello"))

    async def rpc(self, request: Request) -> Response:
        self.calls.append(await request.json())
        self.cursors.append(request.headers.get("last-event-id"))
        return self.answers[min(len(self.calls), len(self.answers)) - 1](self.calls[-1])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene() -> AsyncIterator[Scene]:
    async with new_http() as http:
        one = Scene(http)
        async with serve(Starlette(routes=[Route("/", one.rpc, methods=["POST"])])) as one.url:
            yield one


def result(value: Any) -> Responder:
    return lambda call: JSONResponse({"jsonrpc": "2.0", "id": call["id"], "result": value})


def error(code: int) -> Responder:
    return lambda call: JSONResponse({"jsonrpc": "2.0", "id": call["id"], "error": {"code": code, "message": "No."}})


def stream(*events: Any, tail: str = "") -> Responder:
    def answer(call: dict[str, Any]) -> Response:
        frames = [{"jsonrpc": "2.0", "id": call["id"], "result": event} for event in events]
        body = "".join(f"data: {json.dumps(frame, separators=(',', ':'))}\n\n" for frame in frames) + tail
        return Response(body, media_type="text/event-stream")

    return answer


def numbered(*events: tuple[int, Any]) -> Responder:
    """Return a stream as an agent with our extension sends it."""

    def answer(call: dict[str, Any]) -> Response:
        frames = [(seq, {"jsonrpc": "2.0", "id": call["id"], "result": event}) for seq, event in events]
        body = "".join(f"id: {seq}\ndata: {json.dumps(frame)}\n\n" for seq, frame in frames)
        return Response(body, media_type="text/event-stream", headers={"A2A-Extensions": EXTENSION})

    return answer


async def broken() -> AsyncIterator[bytes]:
    yield b'data: {"jsonrpc":"2.0","id":"1","result":{"task":{"id":"t","contextId":"c","sta'
    raise ConnectionAbortedError("for the test")


GARBAGE: dict[str, Responder] = {
    "HTML, 200": lambda _: HTMLResponse("<h1>Welcome</h1>"),
    "text, 500": lambda _: PlainTextResponse("Internal Server Error", 500),
    "nothing, 200": lambda _: Response(b""),
    "nothing, 503": lambda _: Response(b"", 503),
    "JSON that is no JSON-RPC": lambda _: JSONResponse([1, 2]),
    "JSON-RPC with neither": lambda call: JSONResponse({"jsonrpc": "2.0", "id": call["id"]}),
    "a result instead of a stream": result({"task": WORKING}),
    "an empty stream": stream(),
    "a stream of HTML": lambda _: Response("data: <h1>Welcome</h1>\n\n", media_type="text/event-stream"),
    "a stream that breaks in an event": lambda _: StreamingResponse(broken(), media_type="text/event-stream"),
    "a stream that ends in an event": stream(tail='data: {"jsonrpc":"2.0","id":"1","result":{"ta'),
    "an event that is no JSON inside": stream(tail='data: {"jsonrpc":"2.0","id":"1","result":{"task":}}\n\n'),
    "an event that is no object": stream(5),
    "an event that is no UTF-8": lambda _: Response(
        b'data: {"jsonrpc":"2.0","id":"1","result":{"task":"\xff"}}\n\n', media_type="text/event-stream"
    ),
    "an event too deep": stream(tail='data: {"jsonrpc":"2.0","id":"1","result":' + "[" * 9_000 + "]" * 9_000 + "}\n\n"),
    "no UTF-8": lambda _: Response(b'{"result":"\xff"}'),
    "a task without a state": stream({"task": {"id": "t", "contextId": "c"}}),
    "a status that is none": stream({"statusUpdate": {"taskId": "t", "status": "fine"}}),
    "an error that is none": lambda _: Response('data: {"error":5}\n\n', media_type="text/event-stream"),
}


async def everything(remote_task: RemoteTask) -> list[dict[str, Any]]:
    return [to_json(item.event) async for item in remote_task.events()]


@pytest.mark.parametrize("name", GARBAGE)
async def test_garbage_raises_an_agent_error_with_a_sentence(scene: Scene, name: str) -> None:
    remote_task = scene.remote_task(GARBAGE[name])
    with pytest.raises(AgentError) as raised:
        await asyncio.wait_for(everything(remote_task), 60)
    assert raised.value.code is None
    assert len(str(raised.value)) > 20
    assert str(raised.value).endswith(".")
    assert {call["method"] for call in scene.calls} <= {"SendStreamingMessage", "SubscribeToTask", "GetTask"}


async def test_the_error_for_an_unreachable_agent_names_its_url() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    async with new_http() as http:
        settings = Settings(specialist_urls=url)
        client = AgentClient(http, url, owner="me", settings=settings)
        with pytest.raises(AgentError, match=url):
            await anext(RemoteTask(client, message("hello")).events())
        with pytest.raises(AgentError, match=url):
            await client.call("GetTask", {"id": "t"})
        with pytest.raises(AgentError, match=url):
            await discover(http, url, settings)
        with pytest.raises(AgentError, match="not a URL"):
            await AgentClient(http, "http://[::1", owner="me", settings=Settings()).call("GetTask", {"id": "t"})


@pytest.mark.parametrize("body", ["<h1>Welcome</h1>", "[]", "{}", '{"name": 5}', ""])
async def test_an_invalid_card_is_refused(body: str) -> None:
    async def card(_: Request) -> Response:
        return Response(body)

    app = Starlette(routes=[Route("/.well-known/agent-card.json", card)])
    async with serve(app) as url, new_http() as http:
        with pytest.raises(AgentError, match="not an agent card"):
            await discover(http, url, Settings(specialist_urls=url))
        with pytest.raises(AgentError, match="404"):
            await discover(http, url + "/elsewhere", Settings(specialist_urls=url))


@pytest.mark.parametrize(
    "interfaces",
    [
        None,
        [],
        [{"protocolBinding": "GRPC", "protocolVersion": "1.0", "url": "x"}],
        [{"protocolBinding": "JSONRPC", "protocolVersion": "0.3", "url": "x"}],
        [{"protocolBinding": "JSONRPC", "protocolVersion": "1.0"}],
    ],
)
async def test_a_card_without_our_protocol_is_refused(interfaces: Any) -> None:
    card = card_in({"name": "other", "supportedInterfaces": interfaces}, "http://there/")
    with pytest.raises(AgentError, match=r"offers no JSON-RPC interface of A2A 1\.0"):
        interface_of(DiscoveredAgent("http://there/", card, {}), Settings())


BROKEN_OFF = ["an empty stream", "a stream that breaks in an event", "a stream of HTML", "an event that is no object"]
ANSWERED = ["text, 500", "HTML, 200", "nothing, 200", "JSON that is no JSON-RPC"]
ARRIVED = {name: GARBAGE[name] for name in (*BROKEN_OFF, *ANSWERED)} | {
    "an error of its own": error(-32603),
    "an error whose code is none": lambda _: JSONResponse({"error": {"code": 10**30, "message": {}}}),
    "another one's gateway timed out": lambda _: Response(b"", 504),
    "a redirect elsewhere": lambda _: RedirectResponse("http://elsewhere.example/"),
}


@pytest.mark.parametrize("status", [429, 502, 503])
async def test_a_message_that_did_not_arrive_is_sent_again_with_the_same_id(scene: Scene, status: int) -> None:
    def away(_: dict[str, Any]) -> Response:
        return Response(b"", status)

    remote_task = scene.remote_task(away, stream({"task": DONE}), result(DONE))
    assert [state_of(event) for event in await everything(remote_task)] == ["TASK_STATE_COMPLETED"]
    assert [call["method"] for call in scene.calls] == ["SendStreamingMessage", "SendStreamingMessage", "GetTask"]
    assert scene.calls[0] == scene.calls[1]

    with pytest.raises(AgentError):
        await everything(scene.remote_task(away))
    assert len(scene.calls) == remote_tasks.TRIES_TO_REACH


@pytest.mark.parametrize("name", ARRIVED)
async def test_a_message_that_may_have_arrived_is_sent_again_only_to_idempotent_agents(scene: Scene, name: str) -> None:
    with pytest.raises(AgentError):
        await everything(scene.remote_task(ARRIVED[name], stream({"task": DONE})))
    assert len(scene.calls) == 1

    remote_task = scene.remote_task(stream(), stream({"task": DONE}), result(DONE), own=True)
    assert [state_of(event) for event in await everything(remote_task)] == ["TASK_STATE_COMPLETED"]
    assert scene.calls[0] == scene.calls[1]


async def test_after_repeated_cuts_the_client_polls_the_task(scene: Scene) -> None:
    asking = [stream({"task": WORKING})] * remote_tasks.TRIES_TO_FOLLOW
    remote_task = scene.remote_task(*asking, stream({"task": WORKING}), result(WORKING), result(DONE))
    await everything(remote_task)
    methods = [call["method"] for call in scene.calls]
    assert methods == ["SendStreamingMessage"] + ["SubscribeToTask"] * remote_tasks.TRIES_TO_FOLLOW + ["GetTask"] * 2
    assert remote_task.task == task_in(DONE, "")


@pytest.mark.parametrize("fetched", [error(-32001), result({**DONE, "id": "another"}), GARBAGE["HTML, 200"]])
async def test_a_completely_streamed_answer_counts_if_the_task_cannot_be_fetched(
    scene: Scene, fetched: Responder
) -> None:
    artifact = {"artifactId": "a", "parts": [{"text": "Hel"}]}
    more = {"taskId": "t", "artifact": {"artifactId": "a", "parts": [{"text": "lo"}]}, "append": True}
    events = [{"task": WORKING}, {"artifactUpdate": {"taskId": "t", "artifact": artifact}}, {"artifactUpdate": more}]
    remote_task = scene.remote_task(stream(*events, {"task": DONE}), fetched)
    await everything(remote_task)
    answered = {**DONE, "artifacts": [{"artifactId": "a", "parts": [{"text": "Hello"}]}]}
    assert remote_task.task == task_in(answered, "")

    remote_task = scene.remote_task(stream(*events), stream({"task": DONE}), fetched)
    with pytest.raises(AgentError):  # events were lost during the cut
        await everything(remote_task)


async def test_a_redirect_loop_is_not_tried_again(scene: Scene) -> None:
    with pytest.raises(AgentError, match="redirects more than 3 times"):
        await everything(scene.remote_task(lambda _: RedirectResponse("/")))
    assert len(scene.calls) == 4


async def test_media_types_are_case_insensitive(scene: Scene) -> None:
    def answer(call: dict[str, Any]) -> Response:
        body = json.dumps({"jsonrpc": "2.0", "id": call["id"], "result": {"task": DONE}})
        return Response(f"data: {body}\n\n", headers={"Content-Type": "TEXT/Event-Stream; Charset=UTF-8"})

    remote_task = scene.remote_task(answer, result(DONE))
    assert [state_of(event) for event in await everything(remote_task)] == ["TASK_STATE_COMPLETED"]


async def test_after_a_cut_the_client_resumes_at_the_last_seq_without_duplicates(scene: Scene) -> None:
    events = [(1, {"task": WORKING}), (2, {"statusUpdate": {"taskId": "t", **WORKING}}), (3, {"task": DONE})]
    remote_task = scene.remote_task(numbered(*events[:2]), numbered(*events[1:]), result(DONE))
    assert await everything(remote_task) == [to_json(event_in(event, "")) for _, event in events]
    assert [call["method"] for call in scene.calls] == ["SendStreamingMessage", "SubscribeToTask", "GetTask"]
    assert scene.cursors == [None, "2", None]


@pytest.mark.parametrize("code", [-32601, -32004])
async def test_the_client_polls_an_agent_that_cannot_resume_a_stream(scene: Scene, code: int) -> None:
    polled = [result(WORKING), result(WORKING), result(DONE)]
    remote_task = scene.remote_task(stream({"task": WORKING}), error(code), *polled)
    assert [state_of(event) for event in await everything(remote_task)] == ["TASK_STATE_WORKING"]
    assert remote_task.task == task_in(DONE, "")
    assert [call["method"] for call in scene.calls] == ["SendStreamingMessage", "SubscribeToTask"] + ["GetTask"] * 3


async def test_a_result_that_cannot_be_fetched_is_requested_again(scene: Scene) -> None:
    bad = [GARBAGE["nothing, 503"], GARBAGE["HTML, 200"]]
    remote_task = scene.remote_task(stream({"task": DONE}), *bad, result(DONE))
    assert [state_of(event) for event in await everything(remote_task)] == ["TASK_STATE_COMPLETED"]
    assert remote_task.task == task_in(DONE, "")


@pytest.mark.parametrize("before", [(), (stream({"task": WORKING}),)], ids=["not yet", "our task"])
async def test_the_client_waits_longer_for_an_agent_without_its_log_than_for_an_unreachable_one(
    scene: Scene, before: tuple[Responder, ...]
) -> None:
    away = [error(-32603)] * 20
    remote_task = scene.remote_task(*before, *away, stream({"task": DONE}), *away, result(DONE), own=True)
    await everything(remote_task)
    assert remote_task.task == task_in(DONE, "")

    remote_task = scene.remote_task(*before, error(-32603), own=True)
    with pytest.raises(AgentError) as raised:
        await everything(remote_task)
    assert raised.value.code == -32603
    requests = len(scene.calls)
    with pytest.raises(AgentError):
        await everything(scene.remote_task(GARBAGE["nothing, 503"]))
    assert requests > 3 * len(scene.calls)


async def test_a_task_at_our_agent_gets_every_event_once_despite_cuts() -> None:
    gate = asyncio.Event()
    gate.set()
    async with agent(hello_world(gate)) as served, cutting(served.url) as proxy:
        for room in range(1200, 3000, 200):
            proxy.cut_after_bytes = room
            async with new_http() as http:
                own = Settings(agent_urls=proxy.url)
                remote_task = RemoteTask(AgentClient(http, proxy.url, owner="me", settings=own), message("slow"))
                events = []
                async for item in remote_task.events():
                    events.append(item)
                    if state_of(to_json(item.event)) in TERMINAL:
                        proxy.cut_after_bytes = None
            assert remote_task.task_id
            logged = await served.events(remote_task.task_id)
            assert [item.event for item in events] == [event_in(event, "") for event in logged]
            assert [item.seq for item in events] == [metadata(event)["seq"] for event in logged]
            assert remote_task.task is not None
            assert remote_task.task.status.state == "TASK_STATE_COMPLETED"
        assert proxy.connections > 20


async def test_the_time_limit_of_an_agent_spans_attempts(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_tasks, "now_ms", lambda: 100_000)

    def left(before: DelegatedTask | None) -> float:
        client = AgentClient(scene.http, scene.url, owner="me", settings=Settings())
        return RemoteTask(client, message("hello"), before, limit_s=60.0).left_s

    assert left(None) == 60
    assert left(DelegatedTask(scene.url, "t")) == 60, "a task of an older version has no start time"
    assert left(DelegatedTask(scene.url, "t", since=50_000)) == 10
    assert left(DelegatedTask(scene.url, "t", since=30_000)) == 0
