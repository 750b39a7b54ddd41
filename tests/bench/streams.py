"""`streams`: 500 streams open at once, 10 events a second on each, for 10 seconds.

Ours, agent → gateway → client: 500 tasks with a viewer each, and 50 tasks with 10 viewers each. Peer: one process of
uvicorn and Starlette that pushes frames of the same size itself, without an agent, a log or a cursor. A second peer has
two processes, as ours has, and neither log nor cursor: one runs 500 graphs, whose events Starlette pushes; the other
one passes them on with httpx and Starlette.

Every event carries the time at which its node emitted it. Latency, in ms: from then to its arrival at the client, over
all events of a run. All tasks end in the same tenth of a second, and what ends them takes longer than that: each task's
last event, one of a hundred, waits for it, so the p99 is given without these as well. Delivered: events at the clients
over events emitted, in %, and every stream has to be dense.

CPU an event: that of all servers, from the gate to the last event, in µs for each event at the clients; Linux only.
Memory: the gateway's resident size while the streams run minus before they were opened (after a warm-up), in KB a
stream; Linux only. A fresh gateway and agent for each run. The streams' phases are spread evenly, and all begin when
all are open. An agent that cannot keep up emits late, which latency alone would hide: the notes say how late.
"""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import statistics
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import msgspec

from tests.bench.asking import post_task, some_at_once, until
from tests.bench.client import Connection, Response, connected
from tests.bench.live import live
from tests.bench.processes import Server, allow_files, serve, stack
from tests.bench.report import Aim, Report, percentile, say
from tests.bench.sinks import Paced

_STREAMS = 500
_EVENTS = 100
_INTERVAL_S = 0.1
_DURATION_S = _EVENTS * _INTERVAL_S
# Streams end when they are complete; one that is still open after this time has lost events.
_PATIENCE_S = 30.0

_gates = itertools.count(1)


@dataclass
class _Run:
    """The results of one run."""

    delivered: float
    p50: float
    p99: float
    running_p99: float
    due_p99: float
    memory_kb: float | None
    cpu_us: dict[str, float] = field(default_factory=dict)


async def bench(folder: Path, runs: int) -> Report:
    allow_files(4 * _STREAMS)
    given: defaultdict[str, list[_Run]] = defaultdict(list)
    for run in range(runs):
        for name, measure in _KINDS.items():
            started = time.monotonic()
            place = folder / f"streams-{run}-{len(given[name])}-{name.split()[0]}"
            place.mkdir()
            given[name].append(found := await measure(place))
            took = time.monotonic() - started
            say(f"streams: run {run + 1} of {runs}, {name}: p99 {found.p99:.0f} ms, {took:.0f} s in all")
    return _report(given)


async def _tasks(folder: Path, tasks: int) -> _Run:
    """Run ours, with as many viewers per task as make 500 streams."""
    name = f"streams-{next(_gates)}"
    async with (
        stack(folder) as here,
        connected(here.agent.port) as to_agent,
        connected(here.gateway.port) as to_gateway,
    ):
        for _ in range(5):
            await live(to_gateway, to_agent, 200)
        before, ids = here.gateway.rss_kb(), list[str]()

        async def create(number: int) -> None:
            async with connected(here.gateway.port) as connection:
                asked = {"events": _EVENTS, "interval_s": _INTERVAL_S, "phase": number / tasks, "gate": name}
                ids.append(await post_task(connection, **asked))

        await some_at_once(create, tasks)
        paths = [f"/api/stream/{task_id}" for task_id in ids for _ in range(_STREAMS // tasks)]
        # Each task has emitted three events by the gate, and has two more at its end.
        return await _measure(paths, here.gateway, [here.agent, here.gateway], to_agent, name, before, 3, _EVENTS + 5)


async def _plain(folder: Path) -> _Run:
    async with serve("plain", folder) as plain, connected(plain.port) as to_plain:
        await to_plain.ask("GET", "/graph/1000")
        name = f"streams-{next(_gates)}"
        return await _measure(_paths("/paced", name), plain, [plain], to_plain, name, plain.rss_kb(), 0, _EVENTS)


async def _relayed(folder: Path) -> _Run:
    """Run a graph for each stream in one server, and pass its events on in another one, without a log."""
    async with (
        serve("plain", folder) as graphs,
        serve("plain", folder, BENCH_UPSTREAM=graphs.url) as relay,
        connected(graphs.port) as to_graphs,
        connected(relay.port) as to_relay,
    ):
        await to_relay.ask("GET", "/relay/1000")
        name, before = f"streams-{next(_gates)}", relay.rss_kb()
        both = [dataclasses.replace(graphs, name="graphs"), dataclasses.replace(relay, name="relay")]
        return await _measure(_paths("/paced-relay", name), relay, both, to_graphs, name, before, 0, _EVENTS)


def _paths(path: str, gate: str) -> list[str]:
    """The paths of all streams of a peer, their phases spread evenly over the interval."""
    asked = {"events": _EVENTS, "interval_s": _INTERVAL_S, "gate": gate}
    each = [{**asked, "phase": number / _STREAMS} for number in range(_STREAMS)]
    return [f"{path}?asked={quote(msgspec.json.encode(one).decode())}" for one in each]


_KINDS: dict[str, Callable[[Path], Awaitable[_Run]]] = {
    "500 tasks × 1 viewer": lambda folder: _tasks(folder, 500),
    "plain": _plain,
    "50 tasks × 10 viewers": lambda folder: _tasks(folder, 50),
    "relay": _relayed,
}
_PEERS = {"plain": "Starlette, no log, no agent", "relay": "LangGraph, Starlette, httpx, Starlette; no log"}
# The relay has a graph for each stream, as only the tasks with one viewer have.
_COMPARED = [("500 tasks × 1 viewer", "plain"), ("500 tasks × 1 viewer", "relay"), ("50 tasks × 10 viewers", "plain")]


async def _measure(
    paths: list[str],
    server: Server,
    servers: list[Server],
    control: Connection,
    gate: str,
    before_kb: float | None,
    before_gate: int,
    expected: int,
) -> _Run:
    """Open all streams, open the gate, and read until every stream has ended."""
    connections: list[Connection] = []
    sinks = [Paced() for _ in paths]
    try:
        ends: list[asyncio.Future[Response]] = []

        async def view(number: int) -> None:
            connection = Connection(server.port)
            connections.append(connection)
            await connection.open()
            ends.append(connection.begin("GET", paths[number], sink=sinks[number]))

        await some_at_once(view, len(paths))
        await until(sinks, before_gate, _PATIENCE_S)
        cpu, client_cpu = [each.cpu_s() for each in servers], time.process_time()
        await control.ask("POST", f"/gate/{gate}")
        await asyncio.sleep(_DURATION_S * 0.8)
        during_kb = server.rss_kb()
        done, _ = await asyncio.wait(ends, timeout=_DURATION_S * 0.2 + _PATIENCE_S)
        for end in done:
            end.result()
        spent = {"client": time.process_time() - client_cpu}
        for each, then in zip(servers, cpu, strict=True):
            if then is not None and (now := each.cpu_s()) is not None:
                spent[each.name] = now - then
    finally:
        for connection in connections:
            connection.close()
    sent = [age for sink in sinks for age in sink.since_sent]
    due = [age for sink in sinks for age in sink.since_due]
    return _Run(
        delivered=100 * sum(sink.count for sink in sinks) / (expected * len(paths)),
        p50=percentile(sent, 50),
        p99=percentile(sent, 99),
        running_p99=percentile([age for sink in sinks for age in sink.since_sent[:-1]], 99),
        due_p99=percentile(due, 99),
        memory_kb=None if during_kb is None or before_kb is None else (during_kb - before_kb) / len(paths),
        cpu_us={name: cpu_s * 1e6 / (expected * len(paths)) for name, cpu_s in spent.items()},
    )


def _report(given: dict[str, list[_Run]]) -> Report:
    report = Report()
    for name, peer in _COMPARED:
        for what, unit, aim, value in _FIGURES:
            ours, peers = ([v for run in given[kind] if (v := value(run)) is not None] for kind in (name, peer))
            report.add(f"{name}: {what}", unit, ours, _PEERS[peer], peers, aim if peer == "plain" else None)
    for name, runs in given.items():
        cpu = {key: statistics.median(run.cpu_us[key] for run in runs) for key in runs[0].cpu_us}
        used = ", ".join(f"{key} {value:.0f} µs" for key, value in cpu.items())
        late = statistics.median(run.due_p99 for run in runs)
        report.notes.append(f"{name}: p99 since an event was due {late:,.0f} ms; CPU a delivered event: {used}.")
    return report


def _cpu_us(run: _Run) -> float | None:
    """The CPU time of all servers for an event."""
    return sum(spent for name, spent in run.cpu_us.items() if name != "client") or None


_FIGURES: list[tuple[str, str, Aim | None, Callable[[_Run], float | None]]] = [
    ("delivered", "%", Aim("=", 100), lambda run: run.delivered),
    ("latency p50", "ms", None, lambda run: run.p50),
    ("latency p99", "ms", Aim("≤", 100), lambda run: run.p99),
    ("latency p99, without each task's last event", "ms", None, lambda run: run.running_p99),
    ("CPU an event", "µs", Aim("≤", 3, "ratio"), _cpu_us),
    ("memory a stream", "KB", Aim("≤", 2, "ratio"), lambda run: run.memory_kb),
]
