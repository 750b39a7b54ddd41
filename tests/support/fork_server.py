"""Processes of sample agents that start fast: one parent imports what they need, and forks each of them.

`python -m tests.support.fork_server FD` takes orders on the listening Unix socket `FD`. An order is a connection with
one file descriptor, the agent's listening socket, and JSON, `{"module", "variables"}`, where `variables` is the whole
environment. The forked process answers with its process id and a line feed, and serves the app. The connection ends
when the process does. When stdin ends, the parent kills its agents and itself.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import functools
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

_ROOT = Path(__file__).parents[2]


class ForkedProcess:
    """A process that the fork server has started."""

    def __init__(self, pid: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.pid = pid
        self._ended = asyncio.ensure_future(reader.read())
        self._writer = writer

    def send_signal(self, number: int) -> None:
        """Send a signal.

        Raises:
            ProcessLookupError: the process has ended.
        """
        if self._ended.done():
            raise ProcessLookupError(self.pid)
        os.kill(self.pid, number)

    async def wait(self) -> None:
        await asyncio.shield(self._ended)
        self._writer.close()


class ForkServer:
    """The parent's address."""

    def __init__(self, address: str) -> None:
        self._address = address

    async def start(self, listener: socket.socket, module: str, variables: Mapping[str, str]) -> ForkedProcess:
        """Start the `app` of a module as a server on `listener`; `variables` are added to this environment."""
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(self._address)
        order = json.dumps({"module": module, "variables": {**os.environ, **variables}}).encode()
        sent = socket.send_fds(connection, [order], [listener.fileno()])
        connection.sendall(order[sent:])
        connection.shutdown(socket.SHUT_WR)
        reader, writer = await asyncio.open_connection(sock=connection)
        try:
            pid = int(await reader.readline())
        except asyncio.CancelledError:
            os.kill(int(await reader.readline()), signal.SIGKILL)
            raise
        return ForkedProcess(pid, reader, writer)


@contextlib.contextmanager
def _parent() -> Iterator[ForkServer]:
    """Run the parent until the block ends."""
    # A short path: the address of a Unix socket has at most 104 characters.
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listener:
        address = f"{folder}/orders"
        listener.bind(address)
        listener.listen()
        command = [sys.executable, "-m", "tests.support.fork_server", str(listener.fileno())]
        with subprocess.Popen(
            command, cwd=_ROOT, stdin=subprocess.PIPE, pass_fds=(listener.fileno(),), start_new_session=True
        ):
            yield ForkServer(address)


@functools.cache
def _shared() -> ForkServer:
    stack = contextlib.ExitStack()
    atexit.register(stack.close)
    return stack.enter_context(_parent())


async def start_forked(listener: socket.socket, module: str, variables: Mapping[str, str]) -> ForkedProcess:
    """Start the `app` of a module as `ForkServer.start` does, with one parent for all tests of this process."""
    return await _shared().start(listener, module, variables)


def _serve_orders(orders: socket.socket) -> None:
    with selectors.DefaultSelector() as selector:
        selector.register(0, selectors.EVENT_READ)
        selector.register(orders, selectors.EVENT_READ)
        while True:
            ready = [key.fd for key, _ in selector.select()]
            if 0 in ready:
                os.killpg(0, signal.SIGKILL)
            connection, _ = orders.accept()
            data, (listener,), _, _ = socket.recv_fds(connection, 65536, 1)
            while more := connection.recv(65536):
                data += more
            if os.fork() == 0:
                selector.close()
                orders.close()
                _be_agent(connection, listener, **json.loads(data))
            connection.close()
            os.close(listener)


def _be_agent(connection: socket.socket, listener: int, module: str, variables: dict[str, str]) -> None:
    """Serve the app. Does not return: what the parent does at its end is not for its children."""
    import uvicorn

    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.environ.clear()
    os.environ.update(variables)
    connection.sendall(f"{os.getpid()}\n".encode())
    try:
        uvicorn.run(f"{module}:app", fd=listener, log_level="warning", timeout_graceful_shutdown=1)
    finally:
        os._exit(0)


if __name__ == "__main__":
    from tests.support.preloaded import preload

    sys.path.append(str(_ROOT / "examples"))
    preload()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel forgets processes that have ended
    _serve_orders(socket.socket(fileno=int(sys.argv[1])))
