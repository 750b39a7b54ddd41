"""A task that reports now and then, and a reader of its stream at the gateway, in virtual time."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from unittest import mock

from starlette.types import Message, Scope

from gateway.app import create_app
from tailrace import events
from tailrace.config import Settings
from tailrace.events import Part
from tailrace.log import Batch, Head
from tailrace.log.memory import MemoryLog
from tests.support.virtual_time import run_in_virtual_time

TASK = "00000000-0000-4000-8000-000000000000"
# What `deploy` sets for the gateway on AWS (template.yaml; tests/deploy/test_template.py compares them).
ON_LAMBDA = {"quiet_s": 2.0, "flush_ms": 80, "padding_bytes": 2048}
_EPOCH_S = 1_800_000_000.0
# For how long a reader goes on when the process that runs the task is lost.
_AFTER_LOSS_S = 60.0
_FIELD = re.compile(rb"^(id|event|retry|data): (.*)$", re.MULTILINE)


@dataclass
class Connection:
    """One connection: when it was opened, for how long, and the seqs and named frames that it brought."""

    opened_s: float
    held_s: float = 0.0
    status: int = 0
    seqs: list[int] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    pause_s: float | None = None
    retry_s: float = 0.0


@dataclass
class Watched:
    """What the reader saw. `written_s` and `arrived_s` are when each event was written and when it arrived, by seq."""

    connections: list[Connection] = field(default_factory=list)
    written_s: dict[int, float] = field(default_factory=dict)
    arrived_s: dict[int, float] = field(default_factory=dict)

    @property
    def seqs(self) -> list[int]:
        return [seq for connection in self.connections for seq in connection.seqs]

    @property
    def held_s(self) -> float:
        """For how long a connection was open, in all."""
        return sum(connection.held_s for connection in self.connections)

    @property
    def latest_s(self) -> float:
        """By how much the latest event was late."""
        return max(self.arrived_s[seq] - self.written_s[seq] for seq in self.arrived_s)


@dataclass
class Course:
    """What happens to the task: its events at `times_s` from its start, the last of which ends it.

    The process that runs it renews its lease, until `lost_s` if that is not None. If the task `sleeps`, that is the
    process of another task that it waits for.
    """

    times_s: Sequence[float]
    lost_s: float | None = None
    sleeps: bool = False


def watch(course: Course, *, obeys: str = "pause", first_s: float = 0.0, **settings: object) -> Watched:
    """Follow the task from `first_s` until it ends, or until a minute after its process is lost.

    A reader that obeys `pause` waits as the frame says, as the page does; one that obeys `retry` knows only that field,
    as an EventSource does.
    """
    return run_in_virtual_time(_watch(course, obeys, first_s, Settings(log="memory", **{**ON_LAMBDA, **settings})))  # type: ignore[arg-type]


async def _watch(course: Course, obeys: str, first_s: float, settings: Settings) -> Watched:
    clock = asyncio.get_running_loop().time
    log = MemoryLog(clock=lambda: _EPOCH_S + clock())
    app = create_app(settings, log=log, decide_owner=lambda _: "me")
    watched = Watched()
    with mock.patch("tailrace.events.event.now_ms", log.now):
        async with _running(log, course, watched, clock):
            await asyncio.sleep(first_s)
            while True:
                connection = await _connect(app, watched, clock)
                if connection.status == 204 or "end" in connection.names:
                    return watched
                if course.lost_s is not None and clock() > course.lost_s + _AFTER_LOSS_S:
                    return watched
                told_s = connection.pause_s if obeys == "pause" else None
                await asyncio.sleep(connection.retry_s if told_s is None else told_s)


@contextlib.asynccontextmanager
async def _running(log: MemoryLog, course: Course, watched: Watched, clock: Callable[[], float]) -> AsyncIterator[None]:
    head = Head(task_id=TASK, owner="me", context_id="c", agent="orchestrator")
    message = events.Message(message_id="m", role="ROLE_USER", parts=[Part(text="go")])
    await log.create(head, events.submitted(head.source, message))
    watched.written_s[1] = clock()
    head = await log.claim(TASK, "worker", 10.0)
    runs = TASK
    if course.sleeps:
        runs = "delegated"
        await log.create(Head(task_id=runs, owner=f"me/{TASK}", context_id="c", agent="specialist"), b"{}")
        await log.claim(runs, "worker", 10.0)
        await log.sleep(TASK, 1, log.now() + 3_600_000, runs)

    async def report() -> None:
        for seq, at in enumerate(course.times_s, 2):
            await asyncio.sleep(at - clock())
            last = at == course.times_s[-1] and course.lost_s is None
            event = (
                events.status_update(head.source, seq, "state", state="TASK_STATE_COMPLETED")
                if last
                else events.status_update(head.source, seq, "progress", text="on it")
            )
            await log.append(TASK, Batch(seq, 1, [event]))
            watched.written_s[seq] = clock()

    async def renew() -> None:
        while course.lost_s is None or clock() < course.lost_s:
            await log.renew(runs, 1, 10.0)
            await asyncio.sleep(2.0)

    tasks = [asyncio.create_task(report()), asyncio.create_task(renew())]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()


async def _connect(app: Callable[..., object], watched: Watched, clock: Callable[[], float]) -> Connection:
    """Open the stream at the cursor, and read it until the gateway closes it."""
    connection = Connection(clock())
    watched.connections.append(connection)
    cursor = max(watched.arrived_s, default=0)
    headers = [(b"host", b"x"), (b"last-event-id", str(cursor).encode())]
    scope: Scope = {
        "type": "http", "method": "GET", "path": f"/api/stream/{TASK}", "query_string": b"", "headers": headers,
        "http_version": "1.1", "scheme": "http", "server": ("x", 80), "client": ("127.0.0.1", 1), "root_path": "",
    }  # fmt: skip
    never = asyncio.get_running_loop().create_future()
    received: list[Message] = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> Message:
        if received:
            return received.pop()
        await never
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        connection.status = message.get("status", connection.status)
        for name, value in _FIELD.findall(message.get("body", b"")):
            if name == b"id":
                watched.arrived_s[int(value)] = clock()
                connection.seqs.append(int(value))
            elif name == b"event":
                connection.names.append(value.decode())
            elif name == b"retry":
                connection.retry_s = int(value) / 1000
            elif value.startswith(b'{"ms":'):
                connection.pause_s = int(value[6:-1]) / 1000

    await app(scope, receive, send)  # type: ignore[misc]
    connection.held_s = clock() - connection.opened_s
    return connection
