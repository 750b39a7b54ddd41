"""`live`: one task with many small events, as fast as they go, one a turn of the event loop. In events/s.

Ours: agent → gateway → client, every event durable before it leaves the agent. The stream is open before the graph
begins (a gate), so nothing is replayed. The clock runs from when the gate is asked to open to the last event at the
client. (From the first event on would flatter whoever holds events back: they would all be late together.)

Flatness: the time that an event of a task with 20,000 takes over that of one with 5,000, both by the client's clock. A
node emits faster than its events are stored and sent, so windows inside one run would compare its pace with itself. The
SDK's, which paces its node, is the time of its last quarter over its second.

Peers, the clock from when the request is sent: `graph.astream` in process, which nothing that runs LangGraph can beat;
the same graph over SSE through a relay on httpx, without a log (one chunk an event); an agent on a2a-sdk, straight to
the client without a gateway, with its store in memory and with its SQL cluster store on SQLite. The SDK rewrites the
task with every event, so it is measured at fewer events than ours would take in a second, and so are we beside it.
"""

from __future__ import annotations

import itertools
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tests.bench.asking import post_task, stream_sdk, until
from tests.bench.client import Connection, connected
from tests.bench.processes import serve, stack
from tests.bench.report import Aim, BenchError, Report, say
from tests.bench.sinks import Counter

EVENTS = 20_000
_IN_MEMORY = 2_000
_SQL = 500
_FEWER = 5_000
# Before the gate: the task, the attempt's fence, the node's start.
_BEFORE = 3

_gates = itertools.count(1)


async def bench(folder: Path, runs: int) -> Report:
    figures: defaultdict[str, list[float]] = defaultdict(list)
    flat: defaultdict[str, list[float]] = defaultdict(list)
    sdk_folders = folder / "sdk-memory", folder / "sdk-sql"
    for each in sdk_folders:
        each.mkdir()
    async with (
        stack(folder) as here,
        serve("plain", folder) as plain,
        serve("plain", folder, BENCH_UPSTREAM=plain.url) as relay,
        serve("sdk", sdk_folders[0], "/.well-known/agent-card.json") as memory,
        serve("sdk", sdk_folders[1], "/.well-known/agent-card.json", BENCH_SDK_STORE="sql") as sql,
        connected(here.gateway.port) as to_gateway,
        connected(here.agent.port) as to_agent,
        connected(plain.port) as to_plain,
        connected(relay.port) as to_relay,
        connected(memory.port) as to_memory,
        connected(sql.port) as to_sql,
    ):
        for run in range(-1, runs):  # run -1 warms everything up
            count = EVENTS if run >= 0 else 1_000
            ours = await live(to_gateway, to_agent, count)
            rates = {"ours": ours.rate}
            seconds = float((await to_plain.ask("GET", f"/astream/{count}")).body)
            rates["astream"] = count / seconds
            relayed, start = Counter(), time.monotonic_ns()
            await to_relay.ask("GET", f"/relay/{count}", sink=relayed)
            rates["relay"] = relayed.events_per_s(start)
            if run < 0:
                await _sdk(to_memory, 20)
                await _sdk(to_sql, 20)
                continue
            flat["ours"].append((await live(to_gateway, to_agent, _FEWER)).rate / ours.rate)
            rates["ours beside memory"] = (await live(to_gateway, to_agent, _IN_MEMORY)).rate
            in_memory = await _sdk(to_memory, _IN_MEMORY)
            rates["memory"] = in_memory.rate
            flat["memory"].append(_flatness(in_memory.counter.times()))
            rates["ours beside sql"] = (await live(to_gateway, to_agent, _SQL)).rate
            rates["sql"] = (await _sdk(to_sql, _SQL)).rate
            for name, rate in rates.items():
                figures[name].append(rate)
            say(f"live: run {run + 1} of {runs}, {rates['ours']:,.0f} ev/s")
    report = Report()
    unit, all_events = "ev/s", figures["ours"]
    report.add(
        f"live, {EVENTS:,} events", unit, all_events, "graph.astream in process", figures["astream"], Aim("≥", 10_000)
    )
    report.add(f"live, {EVENTS:,} events", unit, all_events, "SSE relay on httpx, no log", figures["relay"])
    report.add(
        f"live, {_IN_MEMORY:,} events",
        unit,
        figures["ours beside memory"],
        "a2a-sdk, in memory",
        figures["memory"],
        Aim("≥", 10, "ratio"),
    )
    report.add(f"live, {_SQL:,} events", unit, figures["ours beside sql"], "a2a-sdk, SQL cluster store", figures["sql"])
    name = f"flatness, an event of {EVENTS:,} over one of {_FEWER:,}"
    report.add(name, "×", flat["ours"], "a2a-sdk, by quarters of 2,000", flat["memory"], Aim("≤", 1.2))
    return report


class Stream(NamedTuple):
    """A stream that was read to its end, and its events/s."""

    counter: Counter
    rate: float


async def live(gateway: Connection, agent: Connection, events: int) -> Stream:
    """One task of ours, its stream read from before the first event of its graph to the end."""
    name, counter = f"live-{next(_gates)}", Counter()
    task_id = await post_task(gateway, events=events, gate=name)
    streamed = gateway.begin("GET", f"/api/stream/{task_id}", sink=counter)
    await until([counter], _BEFORE, 10)
    start = time.monotonic_ns()
    await agent.ask("POST", f"/gate/{name}")
    await streamed
    return Stream(counter, counter.events_per_s(start, _BEFORE))


async def _sdk(sdk: Connection, events: int) -> Stream:
    counter, start = Counter(ids=False, line_end=b"\r\n"), time.monotonic_ns()
    await stream_sdk(sdk, events, counter)
    if counter.count < events:
        raise BenchError(f"The SDK's server closed its stream after {counter.count:,} events of {events:,}.")
    return Stream(counter, counter.events_per_s(start))


def _flatness(times: Sequence[float]) -> float:
    """The time of the SDK's last quarter over that of its second one: the first is the warm-up."""
    quarter = _IN_MEMORY // 4
    begin = _BEFORE + quarter
    return (times[-1] - times[-1 - quarter]) / (times[begin + quarter] - times[begin])
