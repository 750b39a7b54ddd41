"""DNS lookups on separate threads.

`loop.getaddrinfo` uses the event loop's default threads, which the whole process shares, and a lookup cannot be
stopped. Six slow names would occupy all of them until DNS gives up (5 s for each server and try, resolv.conf(5)).
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import threading
from collections import deque
from socket import SOCK_STREAM, getaddrinfo

from tailrace.errors import AgentError, shorten

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_Key = tuple[str, int]

# How many lookups run at once. Others wait.
THREADS = 8
# How long a caller waits for a thread and the answer together.
TIMEOUT_S = 5.0


class Resolver:
    """Looks names up for one event loop. Callers that ask for the same name at the same time share one lookup."""

    def __init__(self, timeout_s: float = TIMEOUT_S) -> None:
        self._timeout_s = timeout_s
        self._lookups: dict[_Key, asyncio.Future[list[Address] | Exception]] = {}
        self._waiting: deque[_Key] = deque()
        self._threads = 0

    async def addresses(self, host: str, port: int) -> list[Address]:
        """All addresses of `host` that the system knows; at least one.

        Raises:
            AgentError: there is none, or the lookup failed or took longer than `timeout_s`.
        """
        try:
            # Shielded: other callers may wait for the same lookup.
            result = await asyncio.wait_for(asyncio.shield(self._lookup((host, port))), self._timeout_s)
        except TimeoutError:
            raise AgentError(f"{shorten(host)!r} could not be resolved within {self._timeout_s:g} seconds.") from None
        if isinstance(result, Exception):
            raise AgentError(f"{shorten(host)!r} could not be resolved: {result}.")
        if not result:
            raise AgentError(f"{shorten(host)!r} has no address.")
        return result

    def _lookup(self, key: _Key) -> asyncio.Future[list[Address] | Exception]:
        if key not in self._lookups:
            self._lookups[key] = asyncio.get_running_loop().create_future()
            self._waiting.append(key)
            self._start_threads()
        return self._lookups[key]

    def _start_threads(self) -> None:
        """Start waiting lookups, up to `THREADS` at once."""
        while self._waiting and self._threads < THREADS:
            self._threads += 1
            # A daemon thread, so that the process can end without waiting for DNS.
            arguments = (asyncio.get_running_loop(), self._waiting.popleft())
            threading.Thread(target=self._run, args=arguments, name="resolver", daemon=True).start()

    def _run(self, loop: asyncio.AbstractEventLoop, key: _Key) -> None:
        result = look_up(*key)
        with contextlib.suppress(RuntimeError):  # The loop is closed, so nobody waits.
            loop.call_soon_threadsafe(self._finish, key, result)

    def _finish(self, key: _Key, result: list[Address] | Exception) -> None:
        self._threads -= 1
        future = self._lookups.pop(key)
        if not future.done():
            future.set_result(result)
        self._start_threads()


def look_up(host: str, port: int) -> list[Address] | Exception:
    """Resolve a name, which blocks; return its addresses, or the error of the lookup."""
    try:
        results = getaddrinfo(host, port, type=SOCK_STREAM)
        return [ipaddress.ip_address(str(address[0]).partition("%")[0]) for *_, address in results]
    except (OSError, ValueError) as error:  # A malformed name raises UnicodeError, which is a ValueError.
        return error
