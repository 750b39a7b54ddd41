"""`imports`: how long a fresh interpreter takes to import the gateway and an agent, in ms of wall time and of CPU.

Medians of 7. The clock starts in the interpreter, after its own start. Bytecode is there (a folder of its own, filled
by an untimed first run), as it is in a deployed function. Peers: what an agent on a2a-sdk imports to serve its routes,
and `langgraph.graph`, which is why the gateway has none of it. Beside them, what sign-in and the issuer's tokens add.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections import defaultdict
from pathlib import Path

from tests.bench.processes import ROOT
from tests.bench.report import Aim, BenchError, Report, say

_TIMED = """
import time
wall, cpu = time.perf_counter(), time.process_time()
import {}
print((time.perf_counter() - wall) * 1000, (time.process_time() - cpu) * 1000)
"""
_OURS = {
    "import of the gateway": "gateway.app",
    "with sign-in": "gateway.app, gateway.sign_in",
    "with sign-in and the issuer's tokens": "gateway.app, gateway.sign_in, gateway.issuer_tokens",
}
_AGENT = "log_analyst.handler"
_LANGGRAPH = "langgraph.graph"
_PEERS = {
    "a2a-sdk's server": "a2a.server.routes, a2a.server.request_handlers, a2a.server.tasks",
    "langgraph.graph": _LANGGRAPH,
}
_RUNS = 7


async def bench(folder: Path, runs: int) -> Report:
    environ = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    environ["PYTHONPYCACHEPREFIX"] = str(folder / "bytecode")
    wall: defaultdict[str, list[float]] = defaultdict(list)
    cpu: defaultdict[str, list[float]] = defaultdict(list)
    for run in range(-1, max(runs, _RUNS) if runs >= 5 else runs):
        for modules in (*_OURS.values(), _AGENT, *_PEERS.values()):
            took = await _imported(modules, environ)
            if run >= 0:
                wall[modules].append(took[0])
                cpu[modules].append(took[1])
    (name, ours), *more = _OURS.items()
    say(f"imports: {len(wall[ours])} runs")
    report = Report()
    for peer, modules in _PEERS.items():
        report.add(f"{name}, wall", "ms", wall[ours], peer, wall[modules], Aim("≤", 150))
        report.add(f"{name}, CPU", "ms", cpu[ours], peer, cpu[modules])
    report.add("import of an agent, wall", "ms", wall[_AGENT], _LANGGRAPH, wall[_LANGGRAPH], Aim("≤", 600))
    report.add("import of an agent, CPU", "ms", cpu[_AGENT], _LANGGRAPH, cpu[_LANGGRAPH])
    for what, modules in more:
        report.add(f"{name} {what}, wall", "ms", wall[modules], "without", wall[ours])
    return report


async def _imported(modules: str, environ: dict[str, str]) -> tuple[float, float]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _TIMED.format(modules)), cwd=ROOT, env=environ, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    if process.returncode:
        raise BenchError(f"import {modules} failed.")
    wall, cpu = map(float, out.split())
    return wall, cpu
