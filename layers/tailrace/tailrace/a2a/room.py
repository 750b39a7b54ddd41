"""Waiting for room at one of our own agents: on Lambda, until an execution is free for it."""

from __future__ import annotations

import asyncio

from tailrace.errors import AgentError

# For how long a run asks an agent again that Lambda has no execution for. A new account has ten: two runs at once.
ROOM_S = 60.0


class Room:
    """Says for one request how long to try it again. The time begins with the first refusal."""

    def __init__(self) -> None:
        self._until: float | None = None

    async def waits_after(self, error: AgentError | None) -> bool:
        """Wait as long as `error` says. False if it is no refusal for want of room, or if that has gone on too long.

        An agent that answers itself is not full in this sense: it says when with a JSON-RPC error.
        """
        if error is None or error.retry_after_s is None or error.code is not None:
            return False
        now = asyncio.get_running_loop().time()
        self._until = self._until or now + ROOM_S
        if now + error.retry_after_s > self._until:
            return False
        await asyncio.sleep(error.retry_after_s)
        return True
