"""A client of another make as a process that tells, in a line of JSON, what came of each step it took."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Steps = dict[str, dict[str, Any]]


async def steps_of(*command: str | Path, on_step: Callable[[Steps], None], cwd: Path | None = None) -> Steps:
    """Run a client; return its steps by name. `on_step` gets all steps so far after each one. The client must exit with 0."""
    client = await asyncio.create_subprocess_exec(
        *command, cwd=cwd, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    assert client.stdout is not None
    assert client.stderr is not None
    steps: Steps = {}
    async for line in client.stdout:
        step = json.loads(line)
        steps[step.pop("step")] = step
        on_step(steps)
    assert await client.wait() == 0, (await client.stderr.read()).decode()
    return steps
