"""`tailrace.client` does the same with a gateway, an agent of ours and anybody's agent."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse

from gateway.owner import bearer_in
from tailrace.client import AsyncClient, Client, ClientError, Event, ServerRefused, ServerUnreachable
from tailrace.client.http import new_http
from tailrace.log import Batch
from tailrace.stream import sse
from tests.sample_agents import file_digests
from tests.sample_agents.hello_world import FINDINGS, TEXT, hello_world
from tests.sample_agents.sdk_hello_world import HelloWorldExecutor, sdk_hello_world
from tests.support.cutting_proxy import Proxy, cutting
from tests.support.http import bound, serve, url_of
from tests.support.in_process import CARD, agent, system

SERVERS = ("gateway", "agent")


@dataclass
class Served:
    """A server behind a proxy. `gate` lets its `slow` tasks go on."""

    proxy: Proxy
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    def client(self) -> AsyncClient:
        return AsyncClient(self.proxy.url, token="alice")


@contextlib.asynccontextmanager
async def served(kind: str, folder: Path) -> AsyncIterator[Served]:
    """Serve the agent `hello_world`, directly or behind a gateway."""
    gate = asyncio.Event()
    async with contextlib.AsyncExitStack() as stack:
        if kind == "gateway":
            sut = system(hello_world(gate), folder, decide_owner=lambda request: bearer_in(request) or None)
            url = (await stack.enter_async_context(sut)).url
        else:
            url = (await stack.enter_async_context(agent(hello_world(gate)))).url
        await stack.enter_async_context(asyncio.timeout(60))
        yield Served(await stack.enter_async_context(cutting(url)), gate)


async def events_of(client: AsyncClient, task: object, cursor: int = 0) -> list[Event]:
    return [event async for event in client.stream(task, cursor)]  # type: ignore[arg-type]


def seqs(events: list[Event]) -> list[int | None]:
    return [event.seq for event in events]


@pytest.mark.parametrize("kind", SERVERS)
async def test_a_task_is_sent_followed_answered_and_read(kind: str, tmp_path: Path) -> None:
    async with served(kind, tmp_path) as sut, sut.client() as client:
        task = await client.send("ask")
        events = await events_of(client, task)
        assert seqs(events) == list(range(1, len(events) + 1))
        assert events[-1].waits
        assert [question.value for question in events[-1].questions] == ["Which service?"]
        assert "".join(event.text for event in events if event.artifact == "response") == TEXT
        assert [event.data for event in events if event.kind == "result"] == [[FINDINGS]]
        (question,) = (await client.task(task)).questions
        await client.reply(task, answers={question.id: "nginx"})
        later = await events_of(client, task, events[-1].seq or 0)
        assert seqs(later) == list(range(len(events) + 1, len(events) + len(later) + 1))
        assert later[-1].ended
        ended = await client.task(task.id)
        assert (ended.state, ended.text) == ("TASK_STATE_COMPLETED", f"{TEXT}\n\nIt is nginx.")
        assert ended.data == [FINDINGS]
        assert await events_of(client, task, later[-1].seq or 0) == []
        assert seqs(await events_of(client, task)) == list(range(1, (later[-1].seq or 0) + 1))
        assert [each.id async for each in client.tasks()] == [task.id]
        assert [each.name for each in await client.agents()] == [CARD.name if kind == "agent" else "orchestrator"]


@pytest.mark.parametrize("kind", SERVERS)
async def test_a_task_is_cancelled_and_its_stream_ends(kind: str, tmp_path: Path) -> None:
    async with served(kind, tmp_path) as sut, sut.client() as client:
        task = await client.send("slow")
        events = []
        async for event in client.stream(task):
            events.append(event)
            if event.text == "Waiting.":
                await client.cancel(task)
        assert events[-1].state == "TASK_STATE_CANCELED"
        with pytest.raises(ServerRefused):
            await client.cancel(task)


@pytest.mark.parametrize("kind", SERVERS)
async def test_a_reader_that_is_cut_at_any_byte_has_each_event_once(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tailrace.client.backoff.LONGEST_WAIT_S", 0.01)
    async with served(kind, tmp_path) as sut, sut.client() as client:
        task = await client.send("hello")
        whole = await events_of(client, task)
        sut.proxy.grows_by = 150
        for room in random.Random(7).sample(range(200, 2_000), 2):
            cuts: list[str | None] = []
            async with AsyncClient(sut.proxy.url, token="alice", on_cut=cuts.append) as reader:
                await reader.url()
                sut.proxy.cut()  # what was opened without a limit
                sut.proxy.cut_after_bytes = room
                assert await events_of(reader, task) == whole
                sut.proxy.cut_after_bytes = None
            assert len(cuts) > 2


@pytest.mark.parametrize("kind", SERVERS)
async def test_a_live_stream_that_is_reset_goes_on(kind: str, tmp_path: Path) -> None:
    async with served(kind, tmp_path) as sut, sut.client() as client:
        seen = []
        async for event in client.stream(await client.send("slow")):
            seen.append(event)
            if event.text == "Waiting.":
                sut.proxy.cut()
                sut.gate.set()
        assert seqs(seen) == list(range(1, len(seen) + 1))
        assert seen[-1].ended


@pytest.mark.parametrize("kind", SERVERS)
@pytest.mark.parametrize("broken", [b"{", b"[]", b'{"jsonrpc":"2.0","id":"1","result":{"task":7}}'])
async def test_an_event_that_cannot_be_read_costs_that_event_only(
    kind: str, broken: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with served(kind, tmp_path) as sut, sut.client() as client:
        task = await client.send("hello")
        whole = await events_of(client, task)
        for number in (3, len(whole)):
            with monkeypatch.context() as patch:
                frames = sse.Framing.frames
                patch.setattr(
                    sse.Framing,
                    "frames",
                    lambda self, batch, number=number, frames=frames: b"".join(
                        b"id: %d\ndata: %b\n\n" % (seq, broken)
                        if seq == number
                        else frames(self, Batch(seq, 0, [each]))
                        for seq, each in enumerate(batch.events, batch.seq)
                    ),
                )
                seen = await events_of(client, task)
            gap = Event(kind="gap", seq=number, gap=(number, number))
            assert seen == [*whole[: number - 1], gap, *whole[number:]]


async def test_a_stream_that_has_stalled_is_opened_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tailrace.client.http.SILENCE_S", 0.3)
    async with served("gateway", tmp_path) as sut:
        reasons: list[str | None] = []

        def note(reason: str | None) -> None:
            reasons.append(reason)
            sut.gate.set()

        async with AsyncClient(sut.proxy.url, token="alice", on_cut=note) as client:
            seen = [event async for event in client.stream(await client.send("slow"))]
        assert seqs(seen) == list(range(1, len(seen) + 1))
        assert "silent for too long" in str(reasons[0])


async def test_a_file_of_any_size_arrives_as_it_is_with_its_progress(tmp_path: Path) -> None:
    noise = random.Random(3).randbytes(500_000).hex().encode()  # gzip makes it no smaller than half
    large = b"".join(noise[at : at + 100] + b"\n" for at in range(0, len(noise), 100)) * 2
    (tmp_path / "large.log").write_bytes(large)
    short = "one\ntwo\n"
    told: list[tuple[str, int, int]] = []
    sut = system(file_digests.builder, tmp_path / "data", decide_owner=lambda request: bearer_in(request) or None)
    async with sut as gateway, AsyncClient(gateway.url, token="alice") as client:
        files = [tmp_path / "large.log"]
        task = await client.send("digest", files=files, on_progress=lambda *each: told.append(each))
        assert (await events_of(client, task))[-1].ended
        more = await client.send("digest", files={"short.txt": short, "latin.txt": "Grüße".encode("latin-1")})
        assert (await events_of(client, more))[-1].ended
        texts = [(await client.task(each)).text for each in (task, more)]
    assert hashlib.sha256(large).hexdigest() in texts[0]
    assert hashlib.sha256(short.encode()).hexdigest() in texts[1]
    assert hashlib.sha256("Grüße".encode("latin-1")).hexdigest() in texts[1]
    names, sent, sizes = zip(*told, strict=True)
    assert set(names) == {"large.log.gz"}
    assert list(sent) == sorted(sent)
    assert len(sent) > 2
    assert sent[-1] == sizes[0] > 700_000


async def test_the_sdks_agent_is_followed_and_after_a_cut_its_task_is_told_as_it_is() -> None:
    gate, socket = asyncio.Event(), bound()
    executor = HelloWorldExecutor(gate)
    async with (
        asyncio.timeout(60),
        cutting(url_of(socket)) as proxy,
        serve(sdk_hello_world(executor, proxy.url + "/"), socket),
        AsyncClient(proxy.url) as client,
    ):
        task = await client.send("slow")
        seen = []
        async for event in client.stream(task):
            seen.append(event)
            if event.artifact and not gate.is_set():
                proxy.cut()
                gate.set()
        assert [event.kind for event in seen[:3]] == ["snapshot", "state", "token"]
        assert "snapshot" in [event.kind for event in seen[3:]]
        assert seen[-1].ended
        assert (await client.task(task)).text == TEXT
        assert executor.executions == 1
        answered = await client.send("message")
        assert [event.text async for event in client.stream(answered)] == ["Just this."]
        assert answered.message == "Just this."
        waiting = await client.send("ask")
        assert [event.waits async for event in client.stream(waiting)][-1]
        await client.reply(waiting, "nginx")
        assert [event.ended async for event in client.stream(waiting)][-1]


async def test_what_an_agent_may_send_is_counted_for_each_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tailrace.a2a.client.MAX_BYTES", 10_000)
    async with agent(hello_world()) as served_agent, AsyncClient(served_agent.url) as client:
        task = await client.send("hello")
        whole = await events_of(client, task)
        assert sum(len(event.json) for event in whole) > 2_500
        for _ in range(5):
            assert await events_of(client, task) == whole


async def test_an_answer_without_an_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of who is asked for the first time nothing is read but the status, and of a gateway at most so much."""
    monkeypatch.setattr("tailrace.client.http.MAX_BYTES", 100_000)

    async def endless(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        is_probe = scope["path"] == "/api/auth/me"
        status = 404 if is_probe and scope["server"] == agents else 200
        await send(
            {"type": "http.response.start", "status": status, "headers": [(b"content-type", b"application/json")]}
        )
        sent = 0
        while sent < 50_000_000:
            await send({"type": "http.response.body", "body": b" " * 50_000, "more_body": True})
            sent += 50_000
        raise AssertionError("all of it was read")

    sockets = bound(), bound()
    agents = sockets[0].getsockname()[:2]
    async with asyncio.timeout(60), serve(endless, sockets[0]) as agent_url, serve(endless, sockets[1]) as gateway_url:
        for url in (agent_url, gateway_url):
            async with AsyncClient(url) as client:
                with pytest.raises(ClientError, match="answered with more than"):
                    await client.agents()


async def test_an_agent_with_a_health_route_of_its_own_is_no_gateway() -> None:
    async def health(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["path"].startswith("/api/"):
            await JSONResponse({"status": "ok"}, 200 if scope["path"] == "/api/health" else 404)(scope, receive, send)
        else:
            await inner(scope, receive, send)

    socket = bound()
    inner = sdk_hello_world(HelloWorldExecutor(asyncio.Event()), url_of(socket) + "/")
    async with serve(health, socket) as url, AsyncClient(url) as client:
        assert [each.name for each in await client.agents()] == ["sdk-hello-world"]


async def test_a_program_without_an_event_loop_does_the_same(tmp_path: Path) -> None:
    def work(url: str) -> str:
        with Client(url, token="alice") as client:
            task = client.send("ask")
            for event in client.stream(task):
                if event.kind == "token":
                    break
            cursor = list(client.stream(task))[-1].seq or 0
            client.reply(task, "nginx")
            assert list(client.stream(task, cursor))[-1].ended
            assert [each.id for each in client.tasks()] == [task.id]
            assert client.agents()[0].name == "orchestrator"
            with pytest.raises(ServerRefused):
                client.cancel(task)
            return client.task(task).text

    async with served("gateway", tmp_path) as sut:
        assert await asyncio.to_thread(work, sut.proxy.url) == f"{TEXT}\n\nIt is nginx."


async def test_refusals_say_what_would_be_right(tmp_path: Path) -> None:
    async with served("gateway", tmp_path) as sut:
        async with AsyncClient(sut.proxy.url, token="") as stranger:
            with pytest.raises(ServerRefused, match="TAILRACE_TOKEN") as caught:
                await stranger.send("hello")
            assert caught.value.status == 401
        async with sut.client() as client:
            with pytest.raises(ServerRefused, match="nobody"):
                await client.send("hello", agent="nobody")
            with pytest.raises(ServerRefused, match="no task") as caught:
                await events_of(client, "0ae05c5d-a7fd-5fab-99aa-c8fcee99f880")
            assert caught.value.status == 404
            with pytest.raises(ClientError, match=r"missing\.log.*No such file"):
                await client.send("hello", files=[tmp_path / "missing.log"])
            with pytest.raises(ClientError, match="name the files in it"):
                await client.send("hello", files=[tmp_path])
            with pytest.raises(ClientError, match=r"The files are 'app\.log', but must be a list"):
                await client.send("hello", files="app.log")
            for wrong in (object(), json.loads("[" * 100 + "]" * 100)):
                with pytest.raises(ClientError, match="The data for an agent"):
                    await client.send("hello", data=[wrong])
    async with AsyncClient("http://127.0.0.1:9") as client:
        with pytest.raises(ServerUnreachable, match=r"http://127\.0\.0\.1:9 cannot be reached"):
            await client.send("hello")


async def test_a_token_goes_to_no_other_origin() -> None:
    seen: list[str | None] = []

    async def app(scope: dict[str, object], receive: object, send: object) -> None:
        if scope["type"] != "http":
            return
        request = Request(scope)  # type: ignore[arg-type]
        seen.append(request.headers.get("authorization"))
        await send({"type": "http.response.start", "status": 307, "headers": [(b"location", b"http://localhost:9/")]})  # type: ignore[operator]
        await send({"type": "http.response.body"})  # type: ignore[operator]

    async with serve(app) as url, new_http("https://gateway.example", "secret-token") as http:
        await http.get(url)
    assert seen == [None]
