"""Names to addresses, on threads of their own.

`loop.getaddrinfo` uses the threads that everything else of the process shares, and a lookup cannot be stopped: six
slow names would take all of them for as long as DNS takes to give up (5 s a server and try, resolv.conf(5)).
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

# How many names are looked up at once. More than these wait.
_THREADS = 8
# How long a caller waits, for a thread and for the answer.
TIMEOUT_S = 5.0


class Resolver:
    """Looks names up for one event loop. The same name is looked up once at a time, however many ask for it."""

    def __init__(self, timeout_s: float = TIMEOUT_S) -> None:
        self._timeout_s = timeout_s
        self._asked: dict[_Key, asyncio.Future[list[Address] | Exception]] = {}
        self._waiting: deque[_Key] = deque()
        self._threads = 0

    async def addresses(self, host: str, port: int) -> list[Address]:
        """All addresses of `host`, as the system knows them; at least one.

        Raises:
            AgentError: there is none, or there was no answer in time.
        """
        try:
            # Shielded: others may wait for the same answer.
            found = await asyncio.wait_for(asyncio.shield(self._lookup((host, port))), self._timeout_s)
        except TimeoutError:
            raise AgentError(f"{shorten(host)!r} could not be resolved within {self._timeout_s:g} seconds.") from None
        if isinstance(found, Exception):
            raise AgentError(f"{shorten(host)!r} could not be resolved: {found}.")
        if not found:
            raise AgentError(f"{shorten(host)!r} has no address.")
        return found

    def _lookup(self, key: _Key) -> asyncio.Future[list[Address] | Exception]:
        if key not in self._asked:
            self._asked[key] = asyncio.get_running_loop().create_future()
            self._waiting.append(key)
            self._begin()
        return self._asked[key]

    def _begin(self) -> None:
        """Begin as many of the lookups that wait as there are threads for."""
        while self._waiting and self._threads < _THREADS:
            self._threads += 1
            # A daemon: a process that ends does not wait for DNS.
            arguments = (asyncio.get_running_loop(), self._waiting.popleft())
            threading.Thread(target=self._run, args=arguments, name="resolver", daemon=True).start()

    def _run(self, loop: asyncio.AbstractEventLoop, key: _Key) -> None:
        found = _look_up(*key)
        with contextlib.suppress(RuntimeError):  # the loop is closed, and nobody waits any more
            loop.call_soon_threadsafe(self._settle, key, found)

    def _settle(self, key: _Key, found: list[Address] | Exception) -> None:
        self._threads -= 1
        answer = self._asked.pop(key)
        if not answer.done():
            answer.set_result(found)
        self._begin()


def _look_up(host: str, port: int) -> list[Address] | Exception:
    try:
        places = getaddrinfo(host, port, type=SOCK_STREAM)
        return [ipaddress.ip_address(str(place[0]).partition("%")[0]) for *_, place in places]
    except (OSError, ValueError) as error:  # UnicodeError, for a name that cannot be one, is a ValueError
        return error
