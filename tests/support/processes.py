"""What `make run` runs, as a child of the tests: real processes on free loopback ports."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx

ROOT = Path(__file__).parents[2]
_READY_S = 90


@dataclass
class Stack:
    """`python -m local`, its page's address, and where it keeps its log."""

    url: str
    folder: Path
    supervisor: asyncio.subprocess.Process

    async def pid_of(self, name: str) -> int | None:
        """The process id of a function, None while it is down."""
        listing = await asyncio.create_subprocess_exec(
            *("ps", "-ww", "-eo", "pid=,ppid=,args="), stdout=asyncio.subprocess.PIPE
        )
        out, _ = await listing.communicate()
        for line in out.decode().splitlines():
            pid, parent, command = line.split(None, 2)
            named = f"local.serve {name} " in command or command.endswith(f" local.{name}")
            if int(parent) == self.supervisor.pid and named:
                return int(pid)
        return None

    async def kill(self, name: str) -> None:
        """Kill a function, and return when another process has taken its place."""
        old = await self.pid_of(name)
        assert old is not None, f"{name} does not run"
        os.kill(old, signal.SIGKILL)
        async with asyncio.timeout(30):
            while await self.pid_of(name) in (old, None):
                await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def stack(folder: Path, **variables: str) -> AsyncIterator[Stack]:
    """Start everything, wait for the address it prints, stop it with Ctrl-C's signal."""
    environ = {**os.environ, "TAILRACE_DATA_DIR": str(folder), "TAILRACE_PORT": "0", **variables}
    supervisor = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "local"), cwd=ROOT, env=environ, stdout=asyncio.subprocess.PIPE
    )
    assert supervisor.stdout is not None
    try:
        async with asyncio.timeout(_READY_S):
            while not (line := (await supervisor.stdout.readline()).decode().strip()).startswith("http://"):
                assert supervisor.returncode is None, f"the stack ended: {line}"
        yield Stack(line, folder, supervisor)
    finally:
        if supervisor.returncode is None:
            supervisor.send_signal(signal.SIGINT)
        await supervisor.wait()


@contextlib.asynccontextmanager
async def agent(folder: Path, name: str) -> AsyncIterator[str]:
    """Run the sample agent `name` as a process; give its URL. Its log is in `folder`, which others may share."""
    async with _agent(f"tests.sample_agents.{name}", folder, {}) as url:
        yield url


@contextlib.asynccontextmanager
async def example(folder: Path, name: str, **variables: str) -> AsyncIterator[str]:
    """Run the agent in examples/`name` as a process, in the same way as `agent`."""
    async with _agent(f"{name}.handler", folder, variables) as url:
        yield url


@contextlib.asynccontextmanager
async def _agent(module: str, folder: Path, variables: dict[str, str]) -> AsyncIterator[str]:
    with socket.create_server(("127.0.0.1", 0), backlog=2048) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "uvicorn", f"{module}:app", "--fd", str(listener.fileno())),
            *("--log-level", "warning", "--timeout-graceful-shutdown", "1"),
            cwd=ROOT,
            env={**os.environ, "TAILRACE_DATA_DIR": str(folder), "PYTHONPATH": str(ROOT / "examples"), **variables},
            pass_fds=(listener.fileno(),),
        )
        try:
            async with httpx.AsyncClient(timeout=_READY_S) as http:
                (await http.get(f"{url}.well-known/agent-card.json")).raise_for_status()
            yield url
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()
