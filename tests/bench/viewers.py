"""`viewers`: 2,000 viewers of 200 tasks at a gateway with one core, over DynamoDB Local. Needs Java.

The gateway is as in a container (docs/SCALE.md): it has no pipe and follows the log, because the tasks run elsewhere.
Here "elsewhere" is this process, which creates the tasks, holds their leases and appends an event to each of them every
four seconds. Ten viewers watch each task. Every event has to reach all of them once and in order.

CPU: the gateway's time over the seconds that the events take, in ms a second, for a viewer. Reads: what it asks of
DynamoDB in that time, for a viewer and second. Latency: from the append to the arrival at the client; reading the log
less often is what it is made of. Peer: Starlette that pushes as many frames of the same size to as many clients itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import boto3
import msgspec

from tailrace import events
from tailrace.events import Details, Message, Part
from tailrace.log import Batch, Head
from tailrace.log.dynamodb import DynamoDBLog
from tailrace.log.table import create_table
from tailrace.owner import LOCAL_OWNER
from tests.bench.asking import some_at_once, until
from tests.bench.client import Connection, Response, connected
from tests.bench.dynamodb import local_dynamodb
from tests.bench.processes import Server, allow_files, serve
from tests.bench.report import Aim, BenchError, Report, percentile, say
from tests.bench.sinks import Paced

TASKS, VIEWERS = 200, 2_000
_EVENTS, _INTERVAL_S = 5, 4.0
_DURATION_S = _EVENTS * _INTERVAL_S
# Nobody renews the leases; they hold for the whole run.
_LEASE_S = 900.0
_PATIENCE_S = 60.0
# All streams are asked for at once, and a busy machine takes its time for that.
_OPENING_S = 150.0
# A run takes most of a minute.
_MOST_RUNS = 3


class _Run(NamedTuple):
    delivered: float
    p50: float
    p99: float
    memory_kb: float | None
    cpu_ms: float | None
    requests: float
    read_units: float


async def bench(folder: Path, runs: int) -> Report:
    allow_files(4 * VIEWERS)
    ours, peers = list[_Run](), list[_Run]()
    with local_dynamodb():
        runs = min(runs, _MOST_RUNS)
        for run in range(runs):
            ours.append(await _ours(folder))
            peers.append(await _plain(folder))
            say(
                f"viewers: run {run + 1} of {runs}, p99 {ours[-1].p99:.0f} ms, {ours[-1].cpu_ms or 0:.2f} ms/s a viewer"
            )
    report, name = Report(), f"{VIEWERS:,} viewers of {TASKS} tasks"
    figures: list[tuple[str, str, Aim | None, Callable[[_Run], float | None]]] = [
        ("delivered", "%", Aim("=", 100), lambda run: run.delivered),
        ("latency p50", "ms", None, lambda run: run.p50),
        ("latency p99", "ms", None, lambda run: run.p99),
        ("CPU of the gateway, a viewer", "ms/s", None, lambda run: run.cpu_ms),
        ("memory a viewer", "KB", None, lambda run: run.memory_kb),
    ]
    for what, unit, aim, value in figures:
        found = [[each for run in those if (each := value(run)) is not None] for those in (ours, peers)]
        report.add(f"{name}: {what}", unit, found[0], "Starlette, no log", found[1], aim)
    report.add(f"{name}: requests to DynamoDB, a viewer", "1/s", [run.requests for run in ours])
    report.add(f"{name}: read units, a viewer", "1/s", [run.read_units for run in ours])
    return report


async def _ours(folder: Path) -> _Run:
    table = f"log-{uuid.uuid4().hex[:12]}"
    create_table(boto3.client("dynamodb"), table)
    log = DynamoDBLog(table)
    heads = [Head(task_id=str(uuid.uuid4()), owner=LOCAL_OWNER, context_id="c", agent="a") for _ in range(TASKS)]

    async def begin(number: int) -> None:
        message = Message(message_id="m", role="ROLE_USER", parts=[Part(text="hello")])
        await log.create(heads[number], events.submitted(heads[number].source, message))
        await log.claim(heads[number].task_id, "bench", _LEASE_S)

    async def work(number: int, start: float) -> None:
        head = heads[number]
        for event in range(_EVENTS):
            due = start + (event + number / TASKS) * _INTERVAL_S
            await asyncio.sleep(due - time.monotonic())
            details = Details(step="step", done=time.monotonic_ns(), total=int(due * 1e9))
            made = events.status_update(head.source, event + 2, "progress", details, text="tick")
            await log.append(head.task_id, Batch(event + 2, 1, [made]))
        ended = events.status_update(head.source, _EVENTS + 2, "state", Details(), state="TASK_STATE_COMPLETED")
        await log.append(head.task_id, Batch(_EVENTS + 2, 1, [ended]))
        await log.update_state(head.task_id, 1, "TASK_STATE_COMPLETED", release=True)

    async def all_work() -> None:
        start = time.monotonic() + 1
        await asyncio.gather(*(work(number, start) for number in range(TASKS)))

    variables = {"TAILRACE_TABLE": table, "TAILRACE_LOG": "dynamodb", "TAILRACE_MAX_STREAMS": str(2 * VIEWERS)}
    try:
        await some_at_once(begin, TASKS)
        async with _on_one_core("viewers", folder, "/api/health", **variables) as gateway:
            paths = [f"/api/stream/{head.task_id}" for head in heads for _ in range(VIEWERS // TASKS)]
            return await _measure(paths, gateway, all_work, before=1, expected=_EVENTS + 2)
    finally:
        await log.close()


async def _plain(folder: Path) -> _Run:
    gate = f"viewers-{uuid.uuid4().hex}"
    async with _on_one_core("plain", folder) as plain, connected(plain.port) as control:
        asked = [
            {"events": _EVENTS, "interval_s": _INTERVAL_S, "phase": n // (VIEWERS // TASKS) / TASKS, "gate": gate}
            for n in range(VIEWERS)
        ]
        paths = [f"/paced?asked={quote(msgspec.json.encode(each).decode())}" for each in asked]

        async def all_work() -> None:
            await control.ask("POST", f"/gate/{gate}")

        return await _measure(paths, plain, all_work, before=0, expected=_EVENTS)


@contextlib.asynccontextmanager
async def _on_one_core(name: str, folder: Path, path: str = "/", **variables: str) -> AsyncIterator[Server]:
    async with serve(name, folder, path, **variables) as server:
        if hasattr(os, "sched_setaffinity"):  # Threads that it starts later inherit this.
            os.sched_setaffinity(server.pid, {0})
        yield server


async def _measure(
    paths: list[str], server: Server, work: Callable[[], Awaitable[None]], *, before: int, expected: int
) -> _Run:
    """Open all streams, have the events appended, and read until every stream has ended."""
    connections, sinks = list[Connection](), [Paced() for _ in paths]
    ends: list[asyncio.Future[Response]] = []
    before_kb = server.rss_kb()

    async def view(number: int) -> None:
        connections.append(connection := Connection(server.port))
        await connection.open()
        ends.append(connection.begin("GET", paths[number], sink=sinks[number]))

    try:
        await some_at_once(view, len(paths))
        await until(sinks, before, _OPENING_S)
        cpu, metered, start = server.cpu_s(), await _meter(server), time.monotonic()
        async with asyncio.timeout(_DURATION_S + _PATIENCE_S):
            await work()
            during_kb = server.rss_kb()
            for ended in await asyncio.gather(*ends):
                if ended.status != 200:
                    raise BenchError(f"A stream was answered {ended.status}: {ended.body[:200]!r}")
        seconds = time.monotonic() - start
        after_cpu, after = server.cpu_s(), await _meter(server)
    finally:
        for connection in connections:
            connection.close()
    sent, share = [age for sink in sinks for age in sink.since_sent], 1 / len(paths) / seconds
    return _Run(
        delivered=100 * sum(sink.count for sink in sinks) / (expected * len(paths)),
        p50=percentile(sent, 50),
        p99=percentile(sent, 99),
        memory_kb=None if during_kb is None or before_kb is None else (during_kb - before_kb) / len(paths),
        cpu_ms=None if cpu is None or after_cpu is None else (after_cpu - cpu) * 1000 * share,
        requests=(after.get("requests", 0) - metered.get("requests", 0)) * share,
        read_units=(after.get("read", 0) - metered.get("read", 0)) * share,
    )


async def _meter(server: Server) -> dict[str, float]:
    """What the gateway has asked of DynamoDB; nothing for the peer."""
    if server.name != "viewers":
        return {}
    async with connected(server.port) as connection:
        counts: dict[str, float] = (await connection.ask("GET", "/meter")).json()
        return counts
