"""Servers as real processes on free loopback ports: any server, an agent, and all that `make run` starts."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.support.fork_server import VARIABLE as FORK_SERVER
from tests.support.fork_server import ForkedProcess, shared, start_forked, start_reading

ROOT = Path(__file__).parents[2]
_READY_S = 300
# The stacks that run now; a browser of the tests is let in at all of them (browser.py).
RUNNING: list[Stack] = []
UVICORN = ("-m", "uvicorn", "--log-level", "warning")


@dataclass
class Stack:
    """A running `python -m local`: the URL of its page, and the folder of its log.

    `secret` lets programs in, and `cookies` (by name) a browser: the printed address has been opened.
    """

    url: str
    folder: Path
    supervisor: asyncio.subprocess.Process | ForkedProcess
    secret: str
    cookies: dict[str, str]

    @property
    def bearer(self) -> dict[str, str]:
        """The header that lets a program in."""
        return {"authorization": f"Bearer {self.secret}"}

    @property
    def origin(self) -> dict[str, str]:
        """The header that a change needs which a browser's cookie goes along with."""
        return {"origin": self.url}

    def client(self, **options: Any) -> httpx.AsyncClient:
        """A client that is let in."""
        return httpx.AsyncClient(**{"base_url": self.url, "headers": self.bearer, "timeout": 60, **options})

    async def pid_of(self, name: str) -> int | None:
        """Return the process id of a function, None while it is down."""
        listing = await asyncio.create_subprocess_exec(
            *("ps", "-ww", "-eo", "pid=,ppid=,args="), stdout=asyncio.subprocess.PIPE
        )
        stdout, _ = await listing.communicate()
        for line in stdout.decode().splitlines():
            pid, parent, command = line.split(None, 2)
            serves = f" local.serve {name} " in command or f" local.{name} " in f"{command} "
            if serves and (int(parent) == self.supervisor.pid or f"(of {self.supervisor.pid})" in command):
                return int(pid)
        return None

    async def kill(self, name: str) -> None:
        """Kill a function's process, and return when another one runs in its place."""
        killed = await self.pid_of(name)
        assert killed is not None, f"{name} does not run"
        os.kill(killed, signal.SIGKILL)
        async with asyncio.timeout(60):
            while await self.pid_of(name) in (killed, None):
                await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def stack(folder: Path, root: Path = ROOT, *, forked: bool = True, **variables: str) -> AsyncIterator[Stack]:
    """Start all that `make run` starts in the checkout `root`, wait for the URL, and stop it as Ctrl-C does.

    All processes are forked by the fork server. If they are not, each one imports all that it needs.
    """
    address = shared().address
    environ = {**os.environ, "TAILRACE_DATA_DIR": str(folder), "TAILRACE_PORT": "0", FORK_SERVER: address, **variables}
    if root != ROOT:
        environ["PYTHONPATH"] = f"{root / 'functions'}:{ROOT}"
    supervisor: asyncio.subprocess.Process | ForkedProcess
    if forked:
        supervisor = await start_reading(["tests.support.forked_local"], environ, root)
    else:
        supervisor = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "local"), cwd=root, env=environ, stdout=asyncio.subprocess.PIPE
        )
    assert supervisor.stdout is not None
    try:
        async with asyncio.timeout(_READY_S):
            printed = ""
            while not (line := (await supervisor.stdout.readline()).decode()).startswith("http://"):
                printed += line
                assert line, f"the stack ended:\n{printed}"
            line = line.strip()
        async with httpx.AsyncClient(timeout=_READY_S) as http:
            cookies = dict((await http.get(line)).cookies)
        started = Stack(line.partition("/?")[0], folder, supervisor, (folder / "run-secret").read_text(), cookies)
        RUNNING.append(started)
        yield started
        RUNNING.remove(started)
    finally:
        with contextlib.suppress(ProcessLookupError):  # it may end by itself
            supervisor.send_signal(signal.SIGINT)
        await supervisor.wait()


def listen() -> socket.socket:
    """Open a socket on a free loopback port. It outlives the processes that accept its connections."""
    return socket.create_server(("127.0.0.1", 0), backlog=2048)


@contextlib.contextmanager
def reserved_port() -> Iterator[int]:
    """Reserve a port for a program that takes only its number.

    Linux gives the port of a bound socket to no other program that asks for any port. A program that names the port can
    listen on it if both sockets have SO_REUSEADDR, which Go and Rust's tokio set.
    """
    with socket.socket() as reservation:
        reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reservation.bind(("127.0.0.1", 0))
        port: int = reservation.getsockname()[1]
        yield port


def url_of(listener: socket.socket) -> str:
    """The URL of a server on `listener`, without a slash at the end."""
    return f"http://127.0.0.1:{listener.getsockname()[1]}"


async def start_server(
    listener: socket.socket, arguments: tuple[str, ...], variables: Mapping[str, str], **pipes: Any
) -> asyncio.subprocess.Process:
    """Start `python` with `arguments` as a server on `listener`; `variables` are added to the environment."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, *arguments, "--fd", str(listener.fileno())),
        cwd=ROOT,
        env={**os.environ, **variables},
        pass_fds=(listener.fileno(),),
        **pipes,
    )


async def start_agent(listener: socket.socket, module: str, variables: Mapping[str, str]) -> asyncio.subprocess.Process:
    """Start the `app` of a module as a server on `listener`, in a process that imports everything itself."""
    return await start_server(listener, (*UVICORN, "--timeout-graceful-shutdown", "1", f"{module}:app"), variables)


@contextlib.asynccontextmanager
async def agent_of(module: str, **variables: str) -> AsyncIterator[str]:
    """Run the `app` of a module as a process until the block ends; yield its URL, with a slash at the end."""
    with listen() as listener:
        url = f"{url_of(listener)}/"
        process = await start_forked(listener, module, variables)
        try:
            async with httpx.AsyncClient(timeout=_READY_S) as http:
                (await http.get(f"{url}.well-known/agent-card.json")).raise_for_status()
            yield url
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
            await process.wait()


def agent(folder: Path, name: str) -> contextlib.AbstractAsyncContextManager[str]:
    """Run the sample agent `name` as a process. Its log is in `folder`, which other processes may share."""
    return agent_of(f"tests.sample_agents.{name}", TAILRACE_DATA_DIR=str(folder))


def example(folder: Path, name: str, **variables: str) -> contextlib.AbstractAsyncContextManager[str]:
    """Run the agent in examples/`name` as a process. Its log is in `folder`."""
    return agent_of(f"{name}.handler", TAILRACE_DATA_DIR=str(folder), **variables)
