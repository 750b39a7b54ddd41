"""`imports`: how long a fresh interpreter takes to import the gateway and an agent, in ms of wall time and of CPU.

Medians of 7. The clock starts in the interpreter, after its own start. All is as in a deployed function: bytecode is
there (a folder of its own, filled by an untimed first run), nothing is collected as garbage and some packages wait
(`tailrace_runtime`'s `handler.py`), and packages that no layer has cannot be imported, like uvicorn, rich and
OpenTelemetry's SDK. Peers: what an agent on a2a-sdk imports to serve its routes, with the packages of this environment,
and `langgraph.graph` with nothing that waits, which is why the gateway has none of it. Beside them, what sign-in and
the issuer's tokens add.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from importlib.metadata import Distribution, distributions
from pathlib import Path

from tests.bench.processes import ROOT
from tests.bench.report import Aim, BenchError, Report, say

_TIMED = """
import gc, sys, time
sys.modules.update(dict.fromkeys({}))
{}
gc.disable()
wall, cpu = time.perf_counter(), time.process_time()
import {}
print((time.perf_counter() - wall) * 1000, (time.process_time() - cpu) * 1000)
"""
_RUNTIME = "sys.path.append('layers/runtime'); from tailrace_runtime import lazy_packages; lazy_packages.set_up()"
_OURS = {
    "import of the gateway": "gateway.app",
    "with sign-in": "gateway.app, gateway.sign_in",
    "with sign-in and the issuer's tokens": "gateway.app, gateway.sign_in, gateway.issuer_tokens",
}
_AGENT = "log_analyst.handler"
_LANGGRAPH = "langgraph.graph"
_A2A = "a2a.server.routes, a2a.server.request_handlers, a2a.server.tasks"
_PEERS = {
    "a2a-sdk's server": _A2A,
    "langgraph.graph": _LANGGRAPH,
}
_RUNS = 7


async def bench(folder: Path, runs: int) -> Report:
    environ = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    environ["PYTHONPYCACHEPREFIX"] = str(folder / "bytecode")
    wall: defaultdict[str, list[float]] = defaultdict(list)
    cpu: defaultdict[str, list[float]] = defaultdict(list)
    absent = _absent()
    for run in range(-1, max(runs, _RUNS) if runs >= 5 else runs):
        for modules in (*_OURS.values(), _AGENT, *_PEERS.values()):
            before = "" if modules in _PEERS.values() else _RUNTIME
            took = await _imported(modules, [] if modules == _A2A else absent, before, environ)
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


def _absent() -> list[str]:
    """The modules of this environment that a deployed function has not, unless issuers' tokens need them."""
    locked = {"cffi", "cryptography", "pyjwt"}
    locks = (lock.read_text() for lock in ROOT.glob("layers/*/requirements.txt"))
    locked |= {name for lock in locks for name in re.findall(r"^([\w-]+)==", lock, re.MULTILINE)}
    here, there = set[str](), set[str]()
    for package in distributions():
        (there if _canonical(package.name) in locked else here).update(_modules_in(package))
    only_here = here - there
    return sorted(each for each in only_here if each.rpartition(".")[0] not in only_here and "tailrace" not in each)


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _modules_in(package: Distribution) -> Iterator[str]:
    """The names of the package's modules, with those of the packages around them."""
    for file in package.files or ():
        if file.suffix == ".py" and ".." not in file.parts:
            parts = file.with_suffix("").parts
            yield from (".".join(parts[:end]) for end in range(1, len(parts) + 1))


async def _imported(modules: str, absent: list[str], before: str, environ: dict[str, str]) -> tuple[float, float]:
    code = _TIMED.format(absent, before, modules)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", code), cwd=ROOT, env=environ, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    if process.returncode:
        raise BenchError(f"import {modules} failed.")
    wall, cpu = map(float, out.split())
    return wall, cpu
