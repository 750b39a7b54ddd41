"""`runtime`: what our Lambda runtime costs, against the same app on uvicorn.

Cold: from starting a process to the first byte of a stream, ms, and the process's memory then, MB. Ours is the exec
wrapper, as Lambda starts it, behind the tests' own emulator; the peers are `uvicorn` with Starlette (the limit) and
with FastAPI, started as a web adapter starts them.
Warm: from an event's sending to its arrival, ms, median of a stream; ours through the Runtime API and the emulator's
Function URL, the limit straight from uvicorn.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from local.functions import listen
from tests.bench.processes import ROOT
from tests.bench.report import Report, say
from tests.runtime.emulator import Emulator

_EVENTS = 200
_APP = "tests.bench.servers.ticks"
_LIMIT, _PEER = "uvicorn + Starlette", "uvicorn + FastAPI"

Cold = tuple[float, float, float]


async def bench(folder: Path, runs: int) -> Report:
    layer = folder / "opt"
    build = ["make", "--silent", "-C", str(ROOT / "layers" / "runtime"), "build-RuntimeLayer"]
    subprocess.run([*build, f"ARTIFACTS_DIR={layer}", f"PYTHON={sys.executable}"], check=True)  # noqa: ASYNC221
    starters: dict[str, Callable[[], Awaitable[Cold]]] = {
        "ours": lambda: _ours(layer),
        _LIMIT: lambda: _uvicorn(f"{_APP}:app"),
        _PEER: lambda: _uvicorn(f"{_APP}:fastapi_app", "--factory"),
    }
    figures: dict[str, list[Cold]] = {name: [] for name in starters}
    for run in range(-1, runs):  # the first warms the disk's cache, and is not counted
        for name, start in starters.items():
            measured = await start()
            if run >= 0:
                figures[name].append(measured)
        say(f"runtime: run {run + 1} of {runs}")
    report = Report()
    for at, (name, unit) in enumerate(
        (("start to first byte", "ms"), ("memory after the first stream", "MB"), ("an event's way, median", "ms"))
    ):
        ours = [measured[at] for measured in figures["ours"]]
        for peer in (_LIMIT, _PEER):
            report.add(f"runtime: {name}", unit, ours, peer, [measured[at] for measured in figures[peer]])
    return report


async def _ours(layer: Path) -> Cold:
    async with Emulator(layer, ROOT, f"{_APP}.handler", python=sys.executable, freeze=False) as function:
        port = int(function.url.rpartition(":")[2])
        return await _measured(port, lambda: function.environment.process.pid)


async def _uvicorn(app: str, *options: str) -> Cold:
    with listen(0) as listener:
        began = time.perf_counter()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "uvicorn", app, "--fd", str(listener.fileno()), "--log-level", "warning", *options),
            cwd=ROOT,
            pass_fds=(listener.fileno(),),
        )
        try:
            return await _measured(listener.getsockname()[1], lambda: process.pid, began)
        finally:
            process.terminate()
            await process.wait()


async def _measured(port: int, pid: Callable[[], int], began: float | None = None) -> Cold:
    """A process's first stream, its memory after that, and a second stream's median delay."""
    began = time.perf_counter() if began is None else began
    first: list[float] = []
    await _delays(port, 1, lambda: first.append((time.perf_counter() - began) * 1000))
    memory = _rss_mb(pid())
    delays = await _delays(port, _EVENTS, lambda: None)
    return first[0], memory, statistics.median(delays)


async def _delays(port: int, count: int, arrived: Callable[[], Any]) -> list[float]:
    """How long each event of a stream was under way, ms. `arrived` is called at each."""
    delays: list[float] = []
    async with _connection(port) as (reader, writer):
        writer.write(f"GET /{count} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        async with asyncio.timeout(60):
            while len(delays) < count and (line := await reader.readline()):
                if line.startswith(b"data: "):
                    delays.append((time.monotonic_ns() - int(line[6:])) / 1e6)
                    arrived()
    return delays


@asynccontextmanager
async def _connection(port: int) -> Any:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()
        await writer.wait_closed()


def _rss_mb(pid: int) -> float:
    """Resident memory; nan where there is no /proc."""
    path = f"/proc/{pid}/statm"
    if not os.path.exists(path):
        return float("nan")
    with open(path) as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGESIZE") / 1e6
