"""`python -m tests.bench [NAME …]`: run the benchmarks, all or those named, and print one table.

Each figure is the median of the runs, ours and its peer's taken in turn (A B A B). Everything runs on loopback, in
processes of its own that are stopped at the end. Nothing here passes or fails: `met` says what an aim has come to.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import signal
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

from tests.bench import checkpoints, first_event, guarantees, imports, live, log, replay, runtime, streams
from tests.bench.report import BenchError, Report, markdown, say, text

Bench = Callable[[Path, int], Awaitable[Report]]
BENCHES: dict[str, Bench] = {
    "first_event": first_event.bench,
    "live": live.bench,
    "replay": replay.bench,
    "streams": streams.bench,
    "imports": imports.bench,
    "runtime": runtime.bench,
    "log": log.bench,
    "checkpoints": checkpoints.bench,
    "guarantees": guarantees.bench,
}
_LIMIT_S = 300.0


async def run(names: list[str], runs: int) -> tuple[Report, bool]:
    """The report of all benchmarks named, and whether each of them got to its end."""
    loop, me = asyncio.get_running_loop(), asyncio.current_task()
    assert me is not None
    loop.add_signal_handler(signal.SIGTERM, me.cancel)  # so that what was started is stopped
    whole, well, start = Report(), True, time.monotonic()
    for name in names:
        try:
            with tempfile.TemporaryDirectory(prefix=f"tailrace-{name}-") as folder:
                async with asyncio.timeout(_LIMIT_S):
                    report = await BENCHES[name](Path(folder), runs)
        except (BenchError, OSError) as error:
            say(f"{name} failed: {error or f'it took longer than {_LIMIT_S:.0f} s.'}")
            well = False
            continue
        whole.rows += report.rows
        whole.notes += report.notes
    took = time.monotonic() - start
    whole.notes.append(f"{_machine()}; medians of {runs} runs or more; {took:.0f} s in all.")
    return whole, well


def _machine() -> str:
    day = datetime.now(UTC).date().isoformat()
    return (
        f"{day}, Python {platform.python_version()}, {platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHES))
    parser.add_argument("--runs", type=int, default=5, help="runs of each benchmark (default: 5)")
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    given = parser.parse_args()
    if unknown := [name for name in given.names if name not in BENCHES]:
        parser.error(f"there is no benchmark {unknown[0]!r}; there are {', '.join(BENCHES)}")
    try:
        report, well = asyncio.run(run(given.names or list(BENCHES), given.runs))
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.exit("stopped")
    print(markdown(report) if given.markdown else text(report))
    sys.exit(0 if well else 1)


if __name__ == "__main__":
    main()
