"""Ends a process that was started here: by SIGTERM, and by SIGKILL if it does not stop in time."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Protocol

# How long a process may take to stop before it is killed.
_STOP_S = 5.0


class Process(Protocol):
    """What is used of an `asyncio.subprocess.Process`."""

    def terminate(self) -> None: ...
    def kill(self) -> None: ...
    async def wait(self) -> int: ...


async def end(process: Process) -> None:
    """End the process and return when it is gone."""
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
        try:
            async with asyncio.timeout(_STOP_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
