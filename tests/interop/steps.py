"""Runs another SDK's client as a process that prints the result of each step as a line of JSON."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

Steps = dict[str, dict[str, Any]]


async def steps_of(
    *command: str | Path, on_step: Callable[[Steps], None], cwd: Path | None = None, token: str = ""
) -> Steps:
    """Run a client, which sends the `token`; return its results by step. `on_step` gets all so far after each step."""
    environ = {**os.environ, "TOKEN": token}
    client = await asyncio.create_subprocess_exec(
        *command, cwd=cwd, env=environ, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
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
