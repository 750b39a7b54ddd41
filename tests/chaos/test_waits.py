"""The waits of a slow machine are known, so that none of them is taken for a broken promise."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from tests.chaos.waits import Waits
from tests.support.conditions import eventually

BUSY = "import os, sys; os.sched_setaffinity(0, [int(sys.argv[1])])\nwhile True: pass"


def counts_waits() -> bool:
    """Whether this system's kernel does; some containers' kernels do not."""
    schedstat = Path("/proc/self/schedstat")
    return schedstat.exists() and not schedstat.read_text().startswith("0 0 ")


async def test_a_process_that_shares_its_processor_waits_and_one_that_has_ended_does_not() -> None:
    waits, core = Waits(), str(min(os.sched_getaffinity(0)))
    sharing = [await asyncio.create_subprocess_exec(sys.executable, "-c", BUSY, core) for _ in range(2)]
    pids = {process.pid for process in sharing}
    try:
        assert waits.longest_s(pids) == 0
        if counts_waits():
            await eventually(lambda: waits.longest_s(pids) > 0.1)
    finally:
        for process in sharing:
            process.kill()
            await process.wait()
    waited_s = waits.longest_s(pids)
    assert waits.longest_s(pids) == waited_s
