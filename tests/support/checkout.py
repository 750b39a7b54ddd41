"""A checkout that has agents of a test, and `python -m local` in it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests.support.fork_server import VARIABLE as FORK_SERVER
from tests.support.fork_server import ForkedProcess, shared, start_reading
from tests.support.processes import ROOT

ANALYSTS = ("log_analyst", "metric_analyst")


@dataclass
class LocalRun:
    """A running `python -m local`, and what it has printed."""

    folder: Path
    process: asyncio.subprocess.Process | ForkedProcess
    printed: list[str] = field(default_factory=list)

    async def until(self, words: str) -> str:
        """Wait for the first line with these words; return it."""
        while not (lines := [line for line in self.printed if words in line]):
            assert self.process.stdout is not None
            line = await self.process.stdout.readline()
            assert line, f"it ended without {words!r}: {self.printed}"
            self.printed.append(line.decode().rstrip())
        return lines[0]

    @contextlib.asynccontextmanager
    async def client(self) -> AsyncIterator[httpx.AsyncClient]:
        """A client of the gateway that is let in, from when the page's address is printed."""
        url = (await self.until("http://")).partition("/?")[0]
        bearer = f"Bearer {(self.folder / 'data' / 'run-secret').read_text()}"
        headers = {"content-type": "application/json", "authorization": bearer}
        async with httpx.AsyncClient(base_url=url, headers=headers, timeout=60) as http:
            yield http

    @property
    def text(self) -> str:
        return "\n".join(self.printed)


def checkout(folder: Path, without: Collection[str] = (), **agents: str) -> Path:
    """Make a checkout with our functions and with `agents`, the code of each one's handler.py; return its folder.

    `without` names functions that the test does not need: each would be one more process that imports LangGraph.
    """
    folder.mkdir(exist_ok=True)
    for name in ("local", "frontend", "layers", "deploy"):
        (folder / name).symlink_to(ROOT / name)
    (folder / "functions").mkdir()
    for function in (ROOT / "functions").iterdir():
        if function.name not in (*agents, *without):
            (folder / "functions" / function.name).symlink_to(function)
    for name, code in agents.items():
        (folder / "functions" / name).mkdir()
        (folder / "functions" / name / "__init__.py").touch()
        (folder / "functions" / name / "handler.py").write_text(code)
    return folder


@contextlib.asynccontextmanager
async def running(folder: Path, **variables: str) -> AsyncIterator[LocalRun]:
    """Start `python -m local` in a checkout; stop it as Ctrl-C does."""
    environ = {
        **os.environ,
        "PYTHONPATH": f"{folder / 'functions'}:{ROOT}",
        FORK_SERVER: shared().address,
        "TAILRACE_DATA_DIR": str(folder / "data"),
        "TAILRACE_PORT": "0",
        **variables,
    }
    process = await start_reading(["tests.support.forked_local"], environ, folder)
    try:
        async with asyncio.timeout(120):
            yield LocalRun(folder, process)
    finally:
        with contextlib.suppress(ProcessLookupError):  # it may end by itself
            process.send_signal(signal.SIGINT)
        assert process.stdout is not None
        await process.stdout.read()
        await process.wait()
