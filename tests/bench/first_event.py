"""`first_event`: how long a user waits for the first sign of life. In ms, p50 and p99 of 200 tasks one after another.

Ours: from `POST /api/tasks` being sent to the task's first event at the client, over `GET /api/stream/{id}`, which is
asked for when the POST is answered. That event is the task itself, durable in the log; the first event that the
agent's graph emits is told apart. Peer: an agent on a2a-sdk with its store in memory, no gateway and nothing durable:
from `SendStreamingMessage` being sent to its first event (the task), and to the executor's first status update. Both
over one kept-alive connection, each task finished before the next.

Ours also with a browser's session, which is looked up in its store at every request, beside the secret of `make run`,
which is not; the runs alternate.

Also the CPU time that a task takes from its creation to its end, in ms: ours in the agent and the gateway together, the
peer's in its one process. Linux only.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tailrace.access.credential import new_session
from tailrace.access.sqlite import SQLiteCredentials
from tailrace.owner import LOCAL_OWNER, Owner
from tests.bench.asking import one_by_one, stream_sdk
from tests.bench.client import Connection, connected
from tests.bench.processes import Server, serve, stack
from tests.bench.report import Aim, Report, percentile, say
from tests.bench.sinks import Watch

_TASKS = 200
_WARM_UP = 20
_PEER = "a2a-sdk, in memory"


async def bench(folder: Path, runs: int) -> Report:
    ours: list[tuple[list[float], list[float]]] = []
    known: list[tuple[list[float], list[float]]] = []
    peers: list[tuple[list[float], list[float]]] = []
    cpu, peers_cpu = list[float](), list[float]()
    async with (
        stack(folder) as here,
        serve("sdk", folder, "/.well-known/agent-card.json") as sdk,
        connected(here.gateway.port) as to_gateway,
        connected(here.gateway.port, await _session(here.folder)) as with_session,
        connected(sdk.port) as to_sdk,
    ):
        await one_by_one(to_gateway, _WARM_UP)
        await one_by_one(with_session, _WARM_UP)
        await _peer(to_sdk, _WARM_UP)
        for run in range(runs):
            async with _cpu_of(cpu, here.agent, here.gateway):
                ours.append(await one_by_one(to_gateway, _TASKS))
            known.append(await one_by_one(with_session, _TASKS))
            async with _cpu_of(peers_cpu, sdk):
                peers.append(await _peer(to_sdk, _TASKS))
            say(f"first_event: run {run + 1} of {runs}")
    report = Report()
    for place, name in enumerate(("first event", "first event of the graph")):
        for percent, aim in ((50, Aim("≤", 15)), (99, Aim("≤", 50))):
            report.add(
                f"{name}, p{percent}",
                "ms",
                [percentile(run[place], percent) for run in ours],
                _PEER,
                [percentile(run[place], percent) for run in peers],
                aim if place == 0 else None,
            )
    for percent in (50, 99):
        report.add(
            f"first event with a session, p{percent}",
            "ms",
            [percentile(first, percent) for first, _ in known],
            "with the run's secret",
            [percentile(first, percent) for first, _ in ours],
        )
    report.add("CPU a task", "ms", cpu, _PEER, peers_cpu)
    return report


async def _session(folder: Path) -> dict[str, str]:
    """The headers of a browser that has come in at the gateway over this data folder."""
    store = SQLiteCredentials(folder / "access.sqlite3")
    session, cookie = new_session(Owner.named(LOCAL_OWNER), now=store.now(), idle_s=0, lasts_s=3600)
    await store.keep(session)
    await store.close()
    # The benchmarks' client names no port in `Host`.
    return {"Cookie": f"tailrace-80={cookie}", "Origin": "http://127.0.0.1"}


@asynccontextmanager
async def _cpu_of(figures: list[float], *servers: Server) -> AsyncIterator[None]:
    """Add the CPU time that the servers use in the block, in ms a task, where there is a /proc."""
    before = [server.cpu_s() for server in servers]
    yield
    after = [server.cpu_s() for server in servers]
    used = [now - then for now, then in zip(after, before, strict=True) if now is not None and then is not None]
    if len(used) == len(servers):
        figures.append(sum(used) * 1000 / _TASKS)


async def _peer(sdk: Connection, tasks: int) -> tuple[list[float], list[float]]:
    first, update = list[float](), list[float]()
    for _ in range(tasks):
        watch, start = Watch(b"data: ", b'"statusUpdate"'), time.monotonic_ns()
        await stream_sdk(sdk, 1, watch)
        first.append((watch.seen[b"data: "] - start) / 1e6)
        update.append((watch.seen[b'"statusUpdate"'] - start) / 1e6)
    return first, update
