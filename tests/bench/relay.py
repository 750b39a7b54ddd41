"""`python -m tests.bench.relay FOLDER`: what a gateway does for an event, in the checkout in FOLDER and in this one.

Both gateways run at the same time, each with as many streams as `--streams` says, and take turns of 5,000 events.
An agent and the viewers are in this process. The agent has no graph and no log: it streams an event to one task after
the other, as many at once as `--at-once` says, each as soon as an earlier one has arrived at its viewer. So every event
comes by itself, however busy the machine is. Printed are the CPU an event of both, in µs, and the median of the turns'
ratios (now / before). Linux only.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import tempfile
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from statistics import median

import msgspec

from tailrace import events
from tailrace.events import EXTENSION, Details, Source
from tailrace.stream.sse import Envelope
from tests.bench.asking import post_task, some_at_once, until
from tests.bench.client import connected
from tests.bench.processes import ROOT, Server, allow_files, serve
from tests.bench.sinks import Counter

_TURN = 5_000
_PATIENCE_S = 30.0
_HEAD = (
    f"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nA2A-Extensions: {EXTENSION}\r\n"
    "Transfer-Encoding: chunked\r\n\r\n"
).encode()
_NO_CARD = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"


class _Pipe(asyncio.Protocol):
    """The agent's side of a connection, which serves one task."""

    def __init__(self, pipes: dict[str, _Pipe]) -> None:
        self._pipes = pipes
        self._request = b""
        self._seq = 1  # the event that the gateway has written

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._request += data
        if self._request.startswith(b"GET"):
            self._request = b""
            self._transport.write(_NO_CARD)
            return
        with contextlib.suppress(msgspec.DecodeError):  # the rest of it is still to come
            asked = msgspec.json.decode(self._request.partition(b"\r\n\r\n")[2])
            task_id = asked["params"]["id"]
            self._source, self._envelope = Source(task_id, task_id, "orchestrator", 1), Envelope(asked["id"])
            self._transport.write(_HEAD)
            self._pipes[task_id] = self

    def emit(self) -> None:
        self._seq += 1
        event = events.status_update(self._source, self._seq, "progress", Details(done=self._seq), text="tick")
        frame = self._envelope.frame(self._seq, event)
        self._transport.write(b"%x\r\n%b\r\n" % (len(frame), frame))


class _Viewer(Counter):
    arrived: Callable[[int], None] | None = None

    def counted(self, whole: bytes, at: int) -> None:
        if self.arrived is not None:
            self.arrived(whole.count(b"\nid: "))


class _Side:
    """A gateway with its streams."""

    def __init__(self, gateway: Server, pipes: dict[str, _Pipe]) -> None:
        self.gateway = gateway
        self.pipes = pipes
        self.viewers: list[_Viewer] = []
        self.cpu_us: list[float] = []

    async def open(self, streams: int, connections: contextlib.AsyncExitStack) -> None:
        async def view(_: int) -> None:
            connection = await connections.enter_async_context(connected(self.gateway.port))
            task_id = await post_task(connection)
            self.viewers.append(_Viewer())
            connection.begin("GET", f"/api/stream/{task_id}", sink=self.viewers[-1])

        await some_at_once(view, streams)
        await until(self.viewers, 1, _PATIENCE_S)
        async with asyncio.timeout(_PATIENCE_S):
            while len(self.pipes) < streams:
                await asyncio.sleep(0.01)

    async def turn(self, at_once: int) -> None:
        over, pipes = asyncio.get_running_loop().create_future(), cycle(self.pipes.values())
        emitted = arrived = 0

        def emit() -> None:
            nonlocal emitted
            emitted += 1
            next(pipes).emit()

        def note(count: int) -> None:
            nonlocal arrived
            arrived += count
            if arrived == _TURN:
                over.set_result(None)
            for _ in range(min(count, _TURN - emitted)):
                emit()

        for viewer in self.viewers:
            viewer.arrived = note
        before_s = self.gateway.cpu_s() or 0.0
        for _ in range(at_once):
            emit()
        async with asyncio.timeout(_PATIENCE_S):
            await over
        self.cpu_us.append(((self.gateway.cpu_s() or 0.0) - before_s) * 1e6 / _TURN)


async def compare(before: Path, turns: int, streams: int, at_once: int) -> None:
    allow_files(8 * streams)
    with tempfile.TemporaryDirectory(prefix="tailrace-relay-") as folder:
        async with contextlib.AsyncExitStack() as open_now:
            sides = [await _side(Path(folder), root, streams, open_now) for root in (before, ROOT)]
            for number in range(turns + 1):
                for side in sides if number % 2 else reversed(sides):
                    await side.turn(at_once)
    then, now = (side.cpu_us[1:] for side in sides)  # without a warm-up
    ratio = median(b / a for a, b in zip(then, now, strict=True))
    print(f"CPU an event: {median(then):.1f} µs before, {median(now):.1f} µs now, {ratio:.2f} × by pairs")


async def _side(folder: Path, root: Path, streams: int, open_now: contextlib.AsyncExitStack) -> _Side:
    pipes: dict[str, _Pipe] = {}
    agent = await asyncio.get_running_loop().create_server(lambda: _Pipe(pipes), "127.0.0.1", 0, backlog=streams)
    open_now.callback(agent.close)
    url = f"http://127.0.0.1:{agent.sockets[0].getsockname()[1]}/"
    place = Path(tempfile.mkdtemp(dir=folder))
    gateway = await open_now.enter_async_context(
        serve("gateway", place, "/api/health", root=root, TAILRACE_ORCHESTRATOR_URL=url)
    )
    side = _Side(gateway, pipes)
    await side.open(streams, open_now)
    return side


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.relay", description=__doc__)
    parser.add_argument("folder", type=Path, help="a checkout of another version")
    parser.add_argument("--turns", type=int, default=40, help="turns of each side (default: 40)")
    parser.add_argument("--streams", type=int, default=100, help="streams of each side (default: 100)")
    parser.add_argument("--at-once", type=int, default=4, help="events on their way (default: 4)")
    given = parser.parse_args()
    asyncio.run(compare(given.folder.resolve(), given.turns, given.streams, given.at_once))


if __name__ == "__main__":
    main()
