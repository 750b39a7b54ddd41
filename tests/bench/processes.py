"""The servers as processes, each on its own loopback port. Each is stopped by its id, also after an error."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import resource
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from local.ending import end
from local.functions import listen
from tests.bench.client import RUN_SECRET, connected
from tests.bench.report import BenchError

ROOT = Path(__file__).parents[2]
_LOG_SHOWN = 2_000

_numbers = itertools.count(1)


@dataclass
class Server:
    """A running server."""

    name: str
    port: int
    pid: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def rss_kb(self) -> float | None:
        """Its resident memory in KB; None where there is no /proc."""
        status = self._proc("status")
        return float(status.partition("VmRSS:")[2].split()[0]) if status else None

    def cpu_s(self) -> float | None:
        """The CPU time it has used; None where there is no /proc."""
        stat = self._proc("stat").rpartition(")")[2].split()
        return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK") if stat else None

    def _proc(self, name: str) -> str:
        path = Path(f"/proc/{self.pid}/{name}")
        return path.read_text() if path.exists() else ""


@contextlib.asynccontextmanager
async def serve(
    name: str, folder: Path, path: str = "/", *, root: Path = ROOT, **variables: str
) -> AsyncIterator[Server]:
    """`name` served as `local/serve.py` serves a function, from when it answers at `path`.

    The gateway is served by `local.serve` itself, anything else is the `app` of `tests.bench.servers.<name>`.
    No setting of the caller's environment reaches it; its log is a file in `folder`. `root` is the checkout whose code
    it is.
    """
    environ = {key: value for key, value in os.environ.items() if not key.startswith(("TAILRACE_", "BENCH_"))}
    environ |= {"TAILRACE_DATA_DIR": str(folder), "TAILRACE_RUN_SECRET": RUN_SECRET, **variables}
    if root != ROOT:
        environ["PYTHONPATH"] = os.pathsep.join(str(root / part) for part in ("layers/tailrace", "functions"))
    module = "local.serve" if name == "gateway" else "tests.bench.serve"
    log = folder / f"{name}-{next(_numbers)}.log"
    with listen(0) as listener, log.open("wb") as output:
        port = listener.getsockname()[1]
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", module, name, "--fd", str(listener.fileno())),
            cwd=root,
            env=environ,
            stdout=output,
            stderr=output,
            pass_fds=(listener.fileno(),),
            start_new_session=True,
        )
    try:
        async with connected(port) as connection:
            await connection.ask("GET", path)
        yield Server(name, port, process.pid)
    except BenchError as error:
        state = "" if process.returncode is None else f", which ended with {process.returncode}"
        raise BenchError(f"{error}\n{name}{state}, said: {_complaints(log)}") from None
    finally:
        await end(process)


@dataclass
class Stack:
    """Run our agent and a gateway in front of it, over one SQLite log in `folder`."""

    agent: Server
    gateway: Server
    folder: Path


@contextlib.asynccontextmanager
async def stack(folder: Path, *, root: Path = ROOT) -> AsyncIterator[Stack]:
    """Run a new agent and gateway with an empty log, as `make run` does, of the checkout `root`."""
    place = folder / f"stack-{next(_numbers)}"
    place.mkdir()
    async with (
        serve("agent", place, "/.well-known/agent-card.json", root=root) as agent,
        serve("gateway", place, "/api/health", root=root, TAILRACE_ORCHESTRATOR_URL=agent.url) as gateway,
    ):
        yield Stack(agent, gateway, place)


def allow_files(count: int) -> None:
    """Let this process and its children open `count` files.

    Raises:
        BenchError: the system does not allow it; the message says what would.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < count:
        if hard != resource.RLIM_INFINITY and hard < count:
            raise BenchError(
                f"This benchmark opens {count:,} files a process and the hard limit is {hard:,}: "
                f"run it from a shell with `ulimit -n {count}`."
            )
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))


def _complaints(log: Path) -> str:
    """The end of a server's log, without lines about successful streams."""
    lines = log.read_text(errors="replace").splitlines()
    routine = ('{"event":"stream_opened"', '{"event":"stream_resumed"', '{"event":"stream_ended"')
    return "\n".join(line for line in lines if not line.startswith(routine))[-_LOG_SHOWN:] or "nothing"
