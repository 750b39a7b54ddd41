"""`event-stream.js` against a server that a test holds in its hand, frame by frame."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from tests.support.browser import needs_chromium, unknown_context
from tests.support.conditions import eventually
from tests.support.http import serve
from tests.support.processes import ROOT

pytestmark = [pytest.mark.asyncio(loop_scope="session"), needs_chromium]

SYNC = 'event: sync\ndata: {"seq": 1}\n\n'
PING = "event: ping\ndata: {}\n\n"
END = 'event: end\ndata: {"state": "TASK_STATE_COMPLETED", "seq": 2}\n\n'
# Opens the stream and notes each change of its state.
OPEN = """async () => {
    const { EventStream } = await import("/event-stream.js");
    window.states = [];
    window.seqs = [];
    window.recoveries = [];
    window.pings = 0;
    window.EventSource = class extends EventSource {
        constructor(url) {
            super(url);
            this.addEventListener("ping", () => (pings += 1));
        }
    };
    window.stream = new EventStream("/api/stream/42", {
        onEvent: ({ seq }) => seqs.push(seq),
        onChange: () => states.at(-1) !== stream.state && states.push(stream.state),
        onRecovered: (recovery) => recoveries.push(recovery),
    });
    stream.open();
}"""


def event(seq: int) -> str:
    return f'id: {seq}\ndata: {{"result": {{"number": {seq}}}}}\n\n'


def pause(ms: int) -> str:
    return f'retry: {ms}\n\nevent: pause\ndata: {{"ms": {ms}}}\n\n'


class Server:
    """Answers each GET of the stream with a connection of its own. `asked` has the requests: method and cursor."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.status = 200
        self.connections: list[asyncio.Queue[str | None]] = []

    async def stream(self, request: Request) -> Response:
        self.asked.append(f"{request.method} {request.query_params.get('cursor', '0')}")
        if self.status != 200:
            return Response('{"detail": "no"}', self.status, media_type="application/problem+json")
        if request.method == "HEAD":
            return Response(media_type="text/event-stream")
        self.connections.append(queue := asyncio.Queue())
        return StreamingResponse(self._frames(queue), media_type="text/event-stream")

    async def _frames(self, queue: asyncio.Queue[str | None]) -> AsyncGenerator[str]:
        yield "retry: 2000\n\n"
        while (frames := await queue.get()) is not None:
            yield frames

    async def connection(self, number: int) -> asyncio.Queue[str | None]:
        """The connection with this number, from 0, once the page has opened it."""
        await eventually(lambda: len(self.connections) > number)
        return self.connections[number]

    async def send(self, number: int, *frames: str, close: bool = False) -> None:
        queue = await self.connection(number)
        queue.put_nowait("".join(frames))
        if close:
            queue.put_nowait(None)


@pytest_asyncio.fixture(loop_scope="session")
async def server() -> AsyncIterator[Server]:
    server = Server()
    app = Starlette(
        routes=[
            Route("/", lambda _: HTMLResponse('<!doctype html><html lang="en"><title>Stream</title>')),
            Route("/api/stream/42", server.stream),
            Mount("/", StaticFiles(directory=ROOT / "frontend")),
        ]
    )
    async with serve(app) as url:
        server.url = url  # type: ignore[attr-defined]
        yield server
        for queue in server.connections:
            queue.put_nowait(None)


@pytest_asyncio.fixture(loop_scope="session")
async def page(browser: Browser, server: Server) -> AsyncIterator[Page]:
    """A page whose clock the test moves. It fails when one of the page's scripts does."""
    context = await unknown_context(browser)
    page = await context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    await page.clock.install(time=1_800_000_000_000)
    await page.goto(server.url)  # type: ignore[attr-defined]
    await page.clock.pause_at(1_800_000_010_000)
    await page.evaluate(OPEN)
    yield page
    await context.close()
    assert errors == []


async def until(page: Page, condition: str) -> None:
    await page.wait_for_function(condition, polling=20)


async def values(page: Page, *names: str) -> list[Any]:
    return [await page.evaluate(name) for name in names]


async def test_a_pause_is_waited_out_and_is_not_shown_as_a_cut(page: Page, server: Server) -> None:
    await server.send(0, event(1), SYNC, pause(4000), close=True)
    await until(page, "stream.state === 'quiet'")
    assert await page.evaluate("stream.retryAt - Date.now()") == 4000
    await page.clock.run_for(3_900)
    assert server.asked == ["GET 0"]
    await page.clock.run_for(100)
    await server.send(1, SYNC, pause(1000), close=True)
    await until(page, "stream.state === 'quiet' && stream.retryAt - Date.now() === 1000")
    await page.clock.run_for(1_000)
    await server.send(2, event(2), END)
    await until(page, "stream.state === 'ended'")
    assert server.asked == ["GET 0", "GET 1", "GET 1"]
    states, seqs, recoveries, down = await values(page, "states", "seqs", "recoveries", "stream.downSince")
    assert states == ["opening", "catching-up", "live", "quiet", "live", "quiet", "catching-up", "ended"]
    assert (seqs, recoveries, down) == ([1, 2], [], None)


async def test_the_status_line_says_that_a_stream_is_quiet_and_when_it_looks_again(page: Page, server: Server) -> None:
    await server.send(0, event(1), SYNC, pause(4000), close=True)
    await until(page, "stream.state === 'quiet'")
    script = """async () => {
        const [{ StatusLine }, { newTask }] = await Promise.all([import("/status-line.js"), import("/task-state.js")]);
        const line = new StatusLine(() => {});
        const connection = line.draw({ ...newTask(), state: "working" }, stream, { now: 0, quiet: 12_000 });
        return [connection, line.element.innerText];
    }"""
    connection, words = await page.evaluate(script)
    assert connection == "quiet"
    assert "quiet, looks again in 4 s" in words
    assert "no event for 12 s" in words
    assert "reconnecting" not in words


async def test_the_status_line_says_that_a_busy_server_is_asked_again(page: Page, server: Server) -> None:
    busy = 'retry: 2000\n\nevent: pause\ndata: {"ms": 2000, "reason": "busy"}\n\n'
    await server.send(0, event(1), SYNC, busy, close=True)
    await until(page, "stream.state === 'quiet'")
    script = """async () => {
        const [{ StatusLine }, { newTask }] = await Promise.all([import("/status-line.js"), import("/task-state.js")]);
        const line = new StatusLine(() => {});
        line.draw({ ...newTask(), state: "working" }, stream, { now: 0, quiet: 0 });
        return line.element.innerText;
    }"""
    assert "busy, looks again in 2 s" in await page.evaluate(script)


async def test_a_connection_that_fails_after_a_pause_is_a_cut(page: Page, server: Server) -> None:
    await server.send(0, event(1), SYNC, pause(1000), close=True)
    await until(page, "stream.state === 'quiet'")
    await page.clock.run_for(1_000)
    (await server.connection(1)).put_nowait(None)
    await until(page, "stream.state === 'waiting'")
    assert await page.evaluate("stream.downSince") is not None
    await page.clock.run_for(5_000)
    await server.send(2, SYNC)
    await until(page, "stream.state === 'live' && recoveries.length === 1")


@pytest.mark.parametrize("status", [429, 503])
async def test_a_server_that_has_no_place_is_asked_again(page: Page, server: Server, status: int) -> None:
    """Lambda answers 429 when the account has no execution left. An EventSource would give up for good."""
    await server.send(0, event(1), SYNC)
    await until(page, "stream.state === 'live'")
    server.status = status
    (await server.connection(0)).put_nowait(None)
    await until(page, "stream.state === 'waiting'")
    asked = len(server.asked)
    await page.clock.run_for(10_000)
    await eventually(lambda: len(server.asked) > asked)
    await until(page, "stream.state === 'waiting'")
    server.status = 200
    while await page.evaluate("stream.state") == "waiting":  # the clock stands still while it connects
        await page.clock.run_for(5_000)
    await server.send(1, SYNC)
    await until(page, "stream.state === 'live' && recoveries.length === 1")
    assert await page.evaluate("stream.refusal") is None


async def test_a_pause_ends_when_the_reader_comes_back_to_the_page(page: Page, server: Server) -> None:
    await server.send(0, event(1), SYNC, pause(10_000), close=True)
    await until(page, "stream.state === 'quiet'")
    await page.evaluate("window.dispatchEvent(new Event('focus'))")
    await server.connection(1)
    assert server.asked == ["GET 0", "GET 1"]


async def test_pings_show_that_a_silent_connection_lives(page: Page, server: Server) -> None:
    await server.send(0, event(1), SYNC)
    await until(page, "stream.state === 'live'")
    for count in (1, 2, 3):
        await page.clock.run_for(40_000)
        await server.send(0, PING)
        await until(page, f"pings === {count}")
    assert server.asked == ["GET 0"]
    await page.clock.run_for(51_000)
    await server.connection(1)
    assert server.asked == ["GET 0", "GET 1"]


@pytest.mark.parametrize(
    ("status", "asked", "state"),
    [(404, ["GET 1", "HEAD 1", "GET 1"], "lost"), (503, ["GET 1", "HEAD 1"], "waiting")],
)
async def test_the_status_of_a_refusal_is_asked_for_without_a_stream(
    page: Page, server: Server, status: int, asked: list[str], state: str
) -> None:
    await server.send(0, event(1), SYNC)
    await until(page, "stream.state === 'live'")
    server.status = status
    (await server.connection(0)).put_nowait(None)
    await until(page, "stream.state === 'waiting'")
    await page.clock.run_for(200)
    await until(page, f"stream.state === '{state}' && stream.retryAt >= 0")
    await eventually(lambda: len(server.asked) >= 1 + len(asked))
    assert server.asked == ["GET 0", *asked]
