"""`replay`: a finished task of 20,000 events read again from seq 1. In events/s, from asking to the stream's end.

Ours: `GET /api/stream/{id}`, from the SQLite log through the gateway. Peer: nobody else has it (a2a-sdk refuses to
stream a finished task), so the limit stands in: Starlette's StreamingResponse sending the very same frames from
memory, one event a chunk as an SSE library would send them, and 100 a chunk.
"""

from __future__ import annotations

import time
from pathlib import Path

from tests.bench.client import Connection, connected
from tests.bench.live import EVENTS, live
from tests.bench.processes import serve, stack
from tests.bench.report import Aim, BenchError, Report, say
from tests.bench.sinks import Counter


async def bench(folder: Path, runs: int) -> Report:
    ours, single, hundred = list[float](), list[float](), list[float]()
    async with (
        stack(folder) as here,
        connected(here.gateway.port) as to_gateway,
        connected(here.agent.port) as to_agent,
    ):
        task_id = await _finished(to_gateway, to_agent)
        path, keep = f"/api/stream/{task_id}", Counter(keep=True)
        await to_gateway.ask("GET", path, sink=keep)
        file = folder / "frames"
        file.write_bytes(keep.frames())
        size = file.stat().st_size / EVENTS
        async with serve("plain", folder, BENCH_FRAMES=str(file)) as plain, connected(plain.port) as to_plain:
            for run in range(-1, runs):
                rates = [
                    await _rate(to_gateway, path),
                    await _rate(to_plain, "/replay/1"),
                    await _rate(to_plain, "/replay/100"),
                ]
                if run >= 0:
                    for figures, rate in zip((ours, single, hundred), rates, strict=True):
                        figures.append(rate)
                    say(f"replay: run {run + 1} of {runs}, {rates[0]:,.0f} ev/s")
    report = Report()
    report.add("replay", "ev/s", ours, "Starlette from memory, 1 a chunk", single, Aim("≥", 100_000))
    report.add("replay", "ev/s", ours, "Starlette from memory, 100 a chunk", hundred)
    report.notes.append(f"Replay: {size:,.0f} bytes an event on the wire.")
    return report


async def _finished(gateway: Connection, agent: Connection) -> str:
    """A task that has ended; its id."""
    await live(gateway, agent, EVENTS)
    listed = await gateway.ask("GET", "/api/tasks?pageSize=1")
    return str(listed.json()["tasks"][0]["id"])


async def _rate(connection: Connection, path: str) -> float:
    counter, start = Counter(), time.monotonic_ns()
    await connection.ask("GET", path, sink=counter)
    if counter.count < EVENTS:
        raise BenchError(f"{path} gave {counter.count:,} events of {EVENTS:,}.")
    return counter.count / (counter.arrivals[-1][0] - start) * 1e9
