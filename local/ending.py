"""Ending a process that was started here: it is asked to, and made to if it does not."""

from __future__ import annotations

import asyncio
import contextlib

# How long a process may take to stop before it is killed.
_STOP_S = 5.0


async def end(process: asyncio.subprocess.Process) -> None:
    """Return when the process is gone."""
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
        try:
            async with asyncio.timeout(_STOP_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
