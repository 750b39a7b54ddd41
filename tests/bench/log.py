"""`log`: what the stores take and give by themselves, in this process. For information; nothing is aimed at.

Append: batches/s of 10 events of 560 bytes each, by 1 writer and by 32 at once, each on a task of its own and each
waiting for its acknowledgement before the next (for SQLite that is an fsync; writers that wait share one). Peer:
the same packed bytes appended to a file by one writer, with an fsync each. Read: events/s of a task of 20,000.
Paced: 50 and 500 writers, each with one event ten times a second for 3 s: this process's CPU an event, in µs.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from tailrace import events
from tailrace.events import Details, Message, Source
from tailrace.log import Batch, EventLog, Head
from tailrace.log.memory import MemoryLog
from tailrace.log.packing import pack
from tailrace.log.sqlite import SQLiteLog
from tests.bench.report import Report, say
from tests.bench.servers.pace import times

_TOGETHER = 10
_BATCHES = 200
_EVENTS = 20_000
_PACED, _INTERVAL_S = 30, 0.1
_ID = "00000000-0000-4000-8000-00000000{:04d}"


async def bench(folder: Path, runs: int) -> Report:
    stores: dict[str, Callable[[], EventLog]] = {
        "SQLite": lambda: SQLiteLog(folder / "log.sqlite3"),
        "memory": MemoryLog,
    }
    figures: defaultdict[str, list[float]] = defaultdict(list)
    for run in range(runs):
        figures["file"].append(await asyncio.to_thread(_file, folder / "file"))
        for name, make in stores.items():
            log = make()
            try:
                for writers in (1, 32):
                    figures[f"{name}, append, {writers} at once"].append(await _append(log, run, writers))
                figures[f"{name}, read"].append(await _read(log, run))
                for writers in (50, 500):
                    figures[f"{name}, paced, {writers} writers"].append(await _paced(log, run, writers))
            finally:
                await log.close()
        say(f"log: run {run + 1} of {runs}")
    report = Report()
    for name, values in figures.items():
        if "append" in name:
            peers = figures["file"] if name.startswith("SQLite") else []
            report.add(f"log: {name}", "batches/s", values, "a file, fsync each" if peers else "", peers)
        elif "read" in name:
            report.add(f"log: {name}", "ev/s", values)
        elif "paced" in name:
            report.add(f"log: {name}", "µs", values)
    return report


async def _append(log: EventLog, run: int, writers: int) -> float:
    each = _BATCHES if writers == 1 else _BATCHES // 4
    tasks = [await _create(log, run * 100 + writers + number) for number in range(writers)]

    batches = [[_batch(source, 2 + number * _TOGETHER, _TOGETHER) for number in range(each)] for source in tasks]

    async def write(source: Source, given: list[Batch]) -> None:
        for batch in given:
            await log.append(source.task_id, batch)

    start = time.perf_counter()
    await asyncio.gather(*map(write, tasks, batches))
    return writers * each / (time.perf_counter() - start)


async def _read(log: EventLog, run: int) -> float:
    source, together = await _create(log, run * 100), 400
    for seq in range(2, _EVENTS, together):
        await log.append(source.task_id, _batch(source, seq, together))
    cursor, start = 0, time.perf_counter()
    while found := await log.read(source.task_id, cursor):
        cursor = found[-1].last
    return cursor / (time.perf_counter() - start)


async def _paced(log: EventLog, run: int, writers: int) -> float:
    tasks = [await _create(log, run * 2_000 + 1_000_000 + writers + number) for number in range(writers)]

    async def write(source: Source, phase: float) -> None:
        seq = 1
        async for _ in times(_PACED, _INTERVAL_S, phase):
            seq += 1
            await log.append(source.task_id, _batch(source, seq, 1))

    start = time.process_time()
    await asyncio.gather(*(write(source, number / writers) for number, source in enumerate(tasks)))
    return (time.process_time() - start) * 1e6 / (writers * _PACED)


async def _create(log: EventLog, number: int) -> Source:
    task_id = _ID.format(number)
    source = Source(task_id, task_id, "agent", 1)
    head = Head(task_id=task_id, owner="bench", context_id=task_id, agent="agent", fingerprint="-")
    await log.create(head, events.submitted(source, Message(message_id="m", role="ROLE_USER", parts=[])))
    return source


def _batch(source: Source, seq: int, count: int) -> Batch:
    return Batch(seq, 1, [_event(source, number) for number in range(seq, seq + count)])


def _event(source: Source, seq: int) -> bytes:
    return events.status_update(source, seq, "progress", Details(step=source.task_id, done=seq), text="tick")


def _file(path: Path) -> float:
    packed = pack("-", 1, _batch(Source(_ID.format(0), _ID.format(0), "agent", 1), 1, _TOGETHER).events)
    with path.open("ab", buffering=0) as file:
        start = time.perf_counter()
        for _ in range(_BATCHES):
            file.write(packed)
            os.fsync(file.fileno())
        return _BATCHES / (time.perf_counter() - start)
