"""`python -m tests.bench [NAME …]`: run the named benchmarks, or all of them, and print one table.

Each figure is the median of the runs, which alternate between Tailrace and its peer (A B A B). Everything runs on
loopback, in separate processes that are stopped at the end. Nothing passes or fails: the column `met` compares a figure
with its aim.
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

from tests.bench import (
    calls,
    checkpoints,
    first_event,
    guarantees,
    imports,
    live,
    log,
    page,
    quiet,
    replay,
    requests,
    runtime,
    sizes,
    starts,
    streams,
    viewers,
    wakes,
)
from tests.bench.report import BenchError, Report, markdown, say, text

Bench = Callable[[Path, int], Awaitable[Report]]
BENCHES: dict[str, Bench] = {
    "first_event": first_event.bench,
    "calls": calls.bench,
    "live": live.bench,
    "replay": replay.bench,
    "streams": streams.bench,
    "imports": imports.bench,
    "runtime": runtime.bench,
    "log": log.bench,
    "checkpoints": checkpoints.bench,
    "guarantees": guarantees.bench,
    "page": page.bench,
    "viewers": viewers.bench,
    "quiet": quiet.bench,
    "starts": starts.bench,
    "sizes": sizes.bench,
    "wakes": wakes.bench,
    "requests": requests.bench,
}
_LIMIT_S = 300.0


async def run(names: list[str], runs: int) -> tuple[Report, bool]:
    """Run the benchmarks; return their report and whether all of them finished."""
    loop, me = asyncio.get_running_loop(), asyncio.current_task()
    assert me is not None
    loop.add_signal_handler(signal.SIGTERM, me.cancel)  # so that child processes are stopped
    whole, finished, start = Report(), True, time.monotonic()
    for name in names:
        try:
            with tempfile.TemporaryDirectory(prefix=f"tailrace-{name}-") as folder:
                async with asyncio.timeout(_LIMIT_S):
                    report = await BENCHES[name](Path(folder), runs)
        except (BenchError, OSError) as error:
            say(f"{name} failed: {error or f'it took longer than {_LIMIT_S:.0f} s.'}")
            finished = False
            continue
        whole.rows += report.rows
        whole.notes += report.notes
    elapsed = time.monotonic() - start
    whole.notes.append(f"{_machine()}; medians of {runs} runs or more; {elapsed:.0f} s in all.")
    return whole, finished


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
    options = parser.parse_args()
    if unknown := [name for name in options.names if name not in BENCHES]:
        parser.error(f"there is no benchmark {unknown[0]!r}; there are {', '.join(BENCHES)}")
    try:
        report, finished = asyncio.run(run(options.names or list(BENCHES), options.runs))
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.exit("stopped")
    print(markdown(report) if options.markdown else text(report))
    sys.exit(0 if finished else 1)


if __name__ == "__main__":
    main()
