"""Runs a server's command while the scenarios are played, and starts it again when it dies."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Iterator

import httpx

_READY_S = 120.0
_ENDS_S = 10.0


class NoCommand(Exception):
    """The command cannot be run. The text says why."""


@contextlib.contextmanager
def running(command: str, url: str) -> Iterator[None]:
    """Run `command` until the block ends; it has to serve `url`. When it dies it is started again.

    Raises:
        NoCommand: it cannot be run.
        TimeoutError: nobody answers at the URL in two minutes.
    """
    try:
        server = _Server(shlex.split(command))
    except (OSError, ValueError, IndexError) as error:
        raise NoCommand(f"The command {command!r} cannot be run: {error}") from None
    keeping = threading.Thread(target=server.keep)
    keeping.start()
    try:
        _wait(url)
        yield
    finally:
        server.stop()
        keeping.join()


class _Server:
    def __init__(self, command: list[str]) -> None:
        self._command = command
        self._stopped = threading.Event()
        self._process = self._start()

    def keep(self) -> None:
        """Start the command again whenever it ends, until `stop`."""
        while True:
            self._process.wait()
            if self._stopped.is_set():
                return
            self._stopped.wait(0.2)  # A command that cannot start is not started a thousand times.
            self._process = self._start()
            if self._stopped.is_set():
                self._end(self._process)

    def stop(self) -> None:
        """End the command, and all that it has started."""
        self._stopped.set()
        self._end(self._process)

    def _start(self) -> subprocess.Popen[bytes]:
        # In a group of its own, so that what it has started ends with it.
        return subprocess.Popen(self._command, start_new_session=True)  # noqa: S603 - the user names it

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(_ENDS_S)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def _wait(url: str) -> None:
    until = time.monotonic() + _READY_S
    while time.monotonic() < until:
        with contextlib.suppress(httpx.TransportError):
            httpx.get(url)
            return
        time.sleep(0.1)
    raise TimeoutError(f"Nobody answers at {url} after {_READY_S:g} s; the command has to serve it.")
