"""Processes that start fast: one parent imports what they need, and forks each of them.

`python -m tests.support.fork_server FD` takes orders on the listening Unix socket `FD`. An order is a connection with
file descriptors and an `Order` as JSON. The forked process runs a module as `python -m` does, or a script. The parent
answers with a line that has the process id and, when the process has ended, with one that has its exit code. When stdin
ends, the parent kills all processes and itself.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import ctypes
import fcntl
import functools
import io
import os
import random
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

_ROOT = Path(__file__).parents[2]
# Has the socket's address, for a process that orders others itself.
VARIABLE = "TAILRACE_TESTS_FORK_SERVER"
# A process has the command line that its parent had room for.
_ROOM = "-" * 400
# Above all descriptors that a process is given.
_HIGH = 700


class Order(msgspec.Struct):
    """A process: `arguments` are those of `python -m`, or of `python` with a script; `variables` the whole environment.

    The file descriptors that come with the order get the numbers `descriptors`. `ordered_by` is a process id.
    """

    arguments: list[str]
    variables: dict[str, str]
    descriptors: list[int]
    folder: str
    ordered_by: int


class ForkedProcess:
    """A process that the fork server has started. It behaves as `asyncio.subprocess.Process` does."""

    def __init__(self, pid: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self.stdout: asyncio.StreamReader | None = None
        self._ended = asyncio.ensure_future(self._end(reader))
        self._writer = writer

    async def _end(self, reader: asyncio.StreamReader) -> int:
        line = await reader.readline()
        self.returncode = int(line) if line else -signal.SIGKILL  # the fork server was killed, and so was this
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal.

        Raises:
            ProcessLookupError: the process has ended.
        """
        if self._ended.done():
            raise ProcessLookupError(self.pid)
        os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    async def wait(self) -> int:
        code = await asyncio.shield(self._ended)
        self._writer.close()
        return code


class ForkServer:
    """The parent's address."""

    def __init__(self, address: str) -> None:
        self.address = address

    async def start(
        self,
        arguments: Sequence[str],
        variables: Mapping[str, str],
        descriptors: Mapping[int, int],
        folder: Path | None = None,
    ) -> ForkedProcess:
        """Start `python -m` with `arguments` in `folder`, or in this one's; `variables` are its whole environment.

        `descriptors` has the number of each file descriptor in that process, and the one that it has here.
        """
        where = str(folder or Path.cwd())
        order = msgspec.json.encode(Order(list(arguments), dict(variables), list(descriptors), where, os.getpid()))
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(self.address)
        sent = socket.send_fds(connection, [order], list(descriptors.values()))
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
        command = [sys.executable, "-m", "tests.support.fork_server", str(listener.fileno()), _ROOM]
        with subprocess.Popen(
            command, cwd=_ROOT, stdin=subprocess.PIPE, pass_fds=(listener.fileno(),), start_new_session=True
        ):
            yield ForkServer(address)


@functools.cache
def shared() -> ForkServer:
    """The parent for all tests: that of pytest-xdist's controller, if there is one, or else this process has one."""
    if VARIABLE in os.environ:
        return ForkServer(os.environ[VARIABLE])
    stack = contextlib.ExitStack()
    atexit.register(stack.close)
    return stack.enter_context(_parent())


async def start_forked(listener: socket.socket, module: str, variables: Mapping[str, str]) -> ForkedProcess:
    """Start the `app` of a module as a server on `listener`; `variables` are added to this environment."""
    number = listener.fileno()
    quick = ("--log-level", "warning", "--timeout-graceful-shutdown", "1")
    arguments = ("uvicorn", *quick, "--fd", str(number), f"{module}:app")
    return await shared().start(arguments, {**os.environ, **variables}, {number: number})


async def start_reading(arguments: Sequence[str], variables: Mapping[str, str], folder: Path) -> ForkedProcess:
    """Start `python -m` with `arguments` in `folder`; what it prints, also as errors, can be read from its `stdout`."""
    reading, writing = os.pipe()
    try:
        process = await shared().start(arguments, variables, {1: writing, 2: writing}, folder)
    finally:
        os.close(writing)
    process.stdout = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(process.stdout)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, os.fdopen(reading, "rb"))
    return process


def _serve_orders(orders: socket.socket) -> Order:
    """Fork a process for each order. Returns in that process only."""
    with selectors.DefaultSelector() as selector:
        selector.register(0, selectors.EVENT_READ)
        selector.register(orders, selectors.EVENT_READ)
        connections: dict[int, socket.socket] = {}  # by process id
        while True:
            for key, _ in selector.select():
                if key.fd == 0:
                    for pid in connections:
                        os.kill(pid, signal.SIGKILL)
                    os._exit(0)
                elif key.fileobj is orders:
                    order, received, connection = _take(orders)
                    _preload()
                    if (pid := os.fork()) == 0:
                        for each in (*connections.values(), connection, orders):
                            each.close()
                        selector.close()
                        _give(received, order.descriptors)
                        return order
                    for each_fd in received:
                        os.close(each_fd)
                    connections[pid] = connection
                    selector.register(os.pidfd_open(pid), selectors.EVENT_READ, pid)
                    _tell(connection, pid)
                else:
                    _, status = os.waitpid(key.data, 0)
                    selector.unregister(key.fd)
                    os.close(key.fd)
                    with connections.pop(key.data) as connection:
                        _tell(connection, os.waitstatus_to_exitcode(status))


def _take(orders: socket.socket) -> tuple[Order, list[int], socket.socket]:
    connection, _ = orders.accept()
    data, received, _, _ = socket.recv_fds(connection, 65536, 16)
    while more := connection.recv(65536):
        data += more
    return msgspec.json.decode(data, type=Order), received, connection


def _tell(connection: socket.socket, number: int) -> None:
    with contextlib.suppress(OSError):  # who ordered it may be gone
        connection.sendall(f"{number}\n".encode())


def _give(received: list[int], numbers: list[int]) -> None:
    high = [fcntl.fcntl(each, fcntl.F_DUPFD, _HIGH) for each in received]
    for each in received:
        os.close(each)
    for descriptor, number in zip(high, numbers, strict=True):
        os.dup2(descriptor, number)
        os.close(descriptor)


def _run(order: Order) -> None:
    os.setsid()
    random.seed()
    os.environ.clear()
    os.environ.update(order.variables)
    os.chdir(order.folder)
    paths = order.variables.get("PYTHONPATH", "")
    # The first one is the parent's folder.
    sys.path[:1] = [order.folder, *filter(None, paths.split(os.pathsep))]
    sys.argv = order.arguments
    _be_called(f"python -m {' '.join(order.arguments)} (of {order.ordered_by})")
    if order.variables.get("PYTHONUNBUFFERED"):
        sys.stdout = io.TextIOWrapper(io.FileIO(1, "w"), write_through=True)
    if order.arguments[0].endswith(".py"):
        runpy.run_path(order.arguments[0], run_name="__main__")
    else:
        runpy.run_module(order.arguments[0], run_name="__main__", alter_sys=True)


def _be_called(title: str) -> None:
    """Change the command line that `ps` shows."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    start, end = int(fields[45]), int(fields[46])  # arg_start and arg_end of proc(5), after the command's name
    text = title.encode()[: end - start - 1]
    ctypes.memmove(start, text.ljust(end - start, b"\0"), end - start)


@functools.cache
def _preload() -> None:
    """Import what processes need; nobody may ever order one."""
    from tests.support.preloaded import preload

    sys.path.append(str(_ROOT / "examples"))
    preload()


def _main() -> None:
    _run(_serve_orders(socket.socket(fileno=int(sys.argv[1]))))


if __name__ == "__main__":
    _main()
