"""How many wrong credentials somebody may send: a shared secret may be short enough to be guessed.

Wrong ones are counted in the store, for all processes. A process that has counted too many refuses what is guessed
next, right or wrong, until the window is over, and reads nothing for it. So each process allows one guess more, and a
right credential never costs a read.

The same wrong secret again is no new guess: a page that was left open repeats an old one with every request, and would
lock out everybody else behind its address.
"""

from __future__ import annotations

import hashlib
import ipaddress
import secrets
from typing import TypeVar

from starlette.requests import Request

from gateway.problems import Problem
from tailrace.access import Credentials
from tailrace.aws import VIEWER_ADDRESS

K = TypeVar("K")

# So many wrong ones in a window.
LIMIT = 20
WINDOW_S = 600
# How many guessers, and guesses, a process remembers at most.
_REMEMBERED = 10_000


class Guesses:
    """The guesses that were made at this process."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials
        self._refused_until: dict[str, int] = {}
        # Until when what was guessed is not counted again, by its keyed hash.
        self._counted_until: dict[bytes, int] = {}
        self._key = secrets.token_bytes(32)

    def refuse_too_many(self, guesser: str) -> None:
        """Refuse another try.

        Raises:
            Problem: 429, there were too many wrong ones.
        """
        left = self._refused_until.get(guesser, 0) - self._credentials.now()
        if left > 0:
            detail = f"There were more than {LIMIT} wrong credentials within {WINDOW_S // 60} minutes."
            raise Problem(429, detail, {"Retry-After": str(left)})

    async def failed(self, guesser: str, guess: str) -> None:
        """Count a wrong credential. May raise `LogUnavailable`: who cannot be counted is not served either."""
        now = self._credentials.now()
        window_ends = (now // WINDOW_S + 1) * WINDOW_S
        same = hashlib.blake2b(f"{guesser} {guess}".encode(errors="surrogatepass"), key=self._key).digest()
        if self._counted_until.get(same, 0) > now:
            return
        # Hashed because what is counted is kept: an address is nobody's business.
        key = hashlib.sha256(guesser.encode()).hexdigest()[:32]
        if await self._credentials.count(f"guesses {key}", WINDOW_S) >= LIMIT:
            self._refused_until = _with(self._refused_until, guesser, window_ends, now)
        self._counted_until = _with(self._counted_until, same, window_ends, now)


def _with(times: dict[K, int], key: K, until: int, now: int) -> dict[K, int]:
    """The times with one more. Those that are over make room; without any left it is not remembered."""
    if len(times) >= _REMEMBERED:
        times = {each: end for each, end in times.items() if end > now}
    if len(times) < _REMEMBERED:
        times[key] = until
    return times


def viewer_of(request: Request, *, behind_distribution: bool) -> str:
    """Where a request comes from: an address of IPv4, or the network of an address of IPv6, which has many."""
    client = request.client.host if request.client else ""
    address = request.headers.get(VIEWER_ADDRESS, "") if behind_distribution else client
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return "unknown"
    return str(parsed) if parsed.version == 4 else str(ipaddress.ip_network((int(parsed), 64), strict=False))
