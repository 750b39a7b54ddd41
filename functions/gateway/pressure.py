"""Pressure: Lambda has no execution left for an agent. Then streams are windows: each that is held occupies one.

No call says how many executions are left. So a process learns it from what happens to it: Lambda refuses to invoke an
agent (429), answers in its place at its URL (429, 503), or an agent that was invoked has not begun after some seconds.
Each process learns it for itself, and forgets it soon.
"""

from __future__ import annotations

import logging

import httpx

from tailrace.a2a.peer import NO_ROOM
from tailrace.a2a.trust import is_own_agent
from tailrace.config import Settings
from tailrace.events import encode
from tailrace.log import EventLog

logger = logging.getLogger("tailrace.gateway")

# An agent that is invoked begins within this time, also where it starts without a snapshot.
STARTS_MS = 5_000
# How long it lasts after it was last seen.
_LASTS_MS = 30_000


class Pressure:
    """Whether streams of this process are to be windows. Where a stream that is open costs nothing, they never are."""

    def __init__(self, log: EventLog, settings: Settings) -> None:
        self._log = log
        self._settings = settings
        self._applies = settings.quiet_s > 0
        self._until = 0

    def note(self, reason: str) -> None:
        """Note that Lambda had no execution for an agent."""
        if self._applies and not self.is_on():
            logger.warning(encode({"event": "pressure", "reason": reason, "ts": self._log.now()}).decode())
        self._until = self._log.now() + _LASTS_MS

    async def notice(self, response: httpx.Response) -> None:
        """Note that one of our own agents was asked by its URL, and there was no execution for it: a hook of httpx."""
        if self._applies and response.status_code in NO_ROOM and is_own_agent(str(response.url), self._settings):
            self.note(f"{response.status_code} from {response.url.host}")

    def is_on(self) -> bool:
        return self._applies and self._log.now() < self._until
