"""`calls`: how many calls of functions a task takes, and each event more of a stream, on the servers' event loops.

These hardly depend on the machine or on what else it does, unlike every time. cProfile counts them, on the main thread:
the threads of SQLite are not in them. A task is one of `first_event`, from its creation to its end. An event is one of
20 streams with 10 events a second, each delivered by itself: 100 events a stream less 50, over 50. Peer of an event:
Starlette, which pushes frames of the same size without an agent or a log.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec

from tests.bench.asking import one_by_one, post_task, until
from tests.bench.client import Connection, connected
from tests.bench.processes import Server, serve, stack
from tests.bench.report import Aim, Report, say
from tests.bench.sinks import Counter

_TASKS, _WARM_UP = 100, 20
_STREAMS, _INTERVAL_S = 20, 0.1
_FEW, _MANY = 50, 100
_PATIENCE_S = 30.0

_gates = itertools.count(1)

# Opens the streams of `events` events each, which wait for the gate with this name; returns their paths.
Open = Callable[[int, str], Awaitable[list[str]]]


async def bench(folder: Path, runs: int) -> Report:
    figures: dict[str, list[float]] = {name: [] for name in ("task gateway", "task agent", "gateway", "agent", "plain")}
    with _counted(folder):
        async with (
            stack(folder) as here,
            serve("plain", folder) as plain,
            connected(here.gateway.port) as to_gateway,
            connected(here.agent.port) as to_agent,
            connected(plain.port) as to_plain,
        ):

            async def tasks(events: int, gate: str) -> list[str]:
                return [f"/api/stream/{await post_task(to_gateway, **asked)}" for asked in _asked(events, gate)]

            async def frames(events: int, gate: str) -> list[str]:
                asked = map(msgspec.json.encode, _asked(events, gate))
                return [f"/paced?asked={quote(each.decode())}" for each in asked]

            await one_by_one(to_gateway, _WARM_UP)
            for run in range(runs):
                async with _counting(folder, here.gateway, here.agent) as counted:
                    await one_by_one(to_gateway, _TASKS)
                for server, calls in counted.items():
                    figures[f"task {server}"].append(calls / _TASKS)
                for open_streams, servers, control in (
                    (tasks, (here.gateway, here.agent), to_agent),
                    (frames, (plain,), to_plain),
                ):
                    few = await _streamed(folder, servers, control, open_streams, _FEW)
                    many = await _streamed(folder, servers, control, open_streams, _MANY)
                    for server in many:
                        figures[server].append((many[server] - few[server]) / (_STREAMS * (_MANY - _FEW)))
                say(f"calls: run {run + 1} of {runs}")
    report = Report()
    report.add("calls a task, gateway", "", figures["task gateway"])
    report.add("calls a task, agent", "", figures["task agent"])
    both = [sum(pair) for pair in zip(figures["gateway"], figures["agent"], strict=True)]
    for name, ours in (("gateway", figures["gateway"]), ("agent", figures["agent"]), ("both", both)):
        aim = Aim("≤", 3, "ratio") if name == "both" else None
        report.add(f"calls an event, {name}", "", ours, "Starlette, no log, no agent", figures["plain"], aim)
    return report


def _asked(events: int, gate: str) -> list[dict[str, Any]]:
    """What the servers are asked for, one of each stream; their events are spread evenly over the interval."""
    return [
        {"events": events, "interval_s": _INTERVAL_S, "phase": number / _STREAMS, "gate": gate}
        for number in range(_STREAMS)
    ]


async def _streamed(
    folder: Path, servers: Sequence[Server], control: Connection, open_streams: Open, events: int
) -> dict[str, int]:
    """The calls of each server, by its name, from when the streams' gate is opened until all have ended."""
    name = f"calls-{next(_gates)}"
    paths, sinks = await open_streams(events, name), [Counter(ids=False) for _ in range(_STREAMS)]
    connections = [Connection(servers[0].port) for _ in paths]
    try:
        for connection in connections:
            await connection.open()
        ends = [
            connection.begin("GET", path, sink=sink)
            for connection, path, sink in zip(connections, paths, sinks, strict=True)
        ]
        await until(sinks, 3 if len(servers) > 1 else 0, _PATIENCE_S)  # what a task has before its gate
        async with _counting(folder, *servers) as counted:
            await control.ask("POST", f"/gate/{name}")
            await asyncio.gather(*ends)
    finally:
        for connection in connections:
            connection.close()
    return counted


@contextmanager
def _counted(folder: Path) -> Iterator[None]:
    """Servers that are started inside the block can count (`counted/sitecustomize.py`)."""
    before = dict(os.environ)
    paths = [str(Path(__file__).with_name("counted")), before.get("PYTHONPATH", "")]
    os.environ |= {"PYTHONPATH": os.pathsep.join(filter(None, paths)), "COUNTED_IN": str(folder)}
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@asynccontextmanager
async def _counting(folder: Path, *servers: Server) -> AsyncIterator[dict[str, int]]:
    """The calls that each server makes in the block, by its name; filled when the block ends."""
    counted: dict[str, int] = {}
    await asyncio.gather(*(_toggled(folder, server) for server in servers))
    yield counted
    for server in servers:
        counted[server.name] = int(await _toggled(folder, server))


async def _toggled(folder: Path, server: Server) -> str:
    """What the server says when its count has begun or ended."""
    file = folder / str(server.pid)
    os.kill(server.pid, signal.SIGUSR1)
    async with asyncio.timeout(_PATIENCE_S):
        while not file.exists():
            await asyncio.sleep(0.01)
    text = file.read_text()
    file.unlink()
    return text
