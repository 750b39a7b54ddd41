"""`python -m tests.bench.silent FOLDER`: what silent streams cost, in the checkout in FOLDER and in this one.

Each checkout has a process with as many streams as `--streams` says, over a SQLite log and under the usual settings:
their tasks are leased, and a live source of each says nothing. Both run at the same time, so what else the machine does
disturbs both. Printed is the CPU of each process, in % of a core.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
import uuid
from contextlib import ExitStack
from pathlib import Path

from tailrace.config import Settings
from tailrace.log import Head
from tailrace.log.sqlite import SQLiteLog
from tailrace.stream.broadcast import Feeds
from tests.bench.processes import ROOT

_SETTLED_S, _MEASURED_S = 4.0, 12.0


async def _ensure_running(head: Head) -> None:
    raise AssertionError(f"Task {head.task_id} is leased.")


async def _measure(streams: int, folder: Path) -> float:
    log = SQLiteLog(folder / "log.sqlite3")
    feeds = Feeds(log, Settings(), _ensure_running)
    with ExitStack() as open_streams:
        for _ in range(streams):
            task_id = str(uuid.uuid4())
            await log.create(Head(task_id=task_id, context_id=task_id, agent="a", owner="o"), b'{"task":{}}')
            await log.claim(task_id, "o", lease_s=3600)
            open_streams.enter_context(feeds.live(task_id))
            feed, _ = open_streams.enter_context(feeds.subscribe(task_id))
            feed.caught_up(1)
            await asyncio.sleep(1.5 / streams)  # not all at the same time
        await asyncio.sleep(_SETTLED_S)
        cpu, wall = time.process_time(), time.monotonic()
        await asyncio.sleep(_MEASURED_S)
        cpu, wall = time.process_time() - cpu, time.monotonic() - wall
    await log.close()
    return cpu / wall * 100


async def _in_checkout(root: Path, streams: int) -> float:
    path = os.pathsep.join(str(each) for each in (root / "layers/tailrace", root / "functions", ROOT))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.bench.silent", str(root), "--alone", "--streams", str(streams)),
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path},
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    return float(out)


async def _compare(before: Path, streams: int) -> None:
    was, now = await asyncio.gather(_in_checkout(before, streams), _in_checkout(ROOT, streams))
    print(f"{streams} silent streams: {was:.1f} % of a core before, {now:.1f} % now")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("before", type=Path)
    parser.add_argument("--streams", type=int, default=400)
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.alone:
        with tempfile.TemporaryDirectory() as folder:
            print(asyncio.run(_measure(asked.streams, Path(folder))))
    else:
        asyncio.run(_compare(asked.before.resolve(), asked.streams))


if __name__ == "__main__":
    main()
