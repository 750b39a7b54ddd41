"""Waiting before a server is asked again: longer each time, with jitter, and not for ever."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

from tailrace.errors import ClientError, ServerUnreachable

# docs/PROTOCOL.md, section 7.1.
FIRST_WAIT_S = 0.1
LONGEST_WAIT_S = 5.0

# Called with the reason when a server stops answering, and with None when it answers again.
OnCut = Callable[[str | None], None]


class Backoff:
    """The waits between the tries of one thing. `patience_s` is for how long the server may be away, in seconds."""

    def __init__(self, patience_s: float, on_cut: OnCut | None = None) -> None:
        self._patience_s = patience_s
        self._on_cut = on_cut
        self._tries = 0
        self._away_since: float | None = None

    async def wait(self, why: ClientError, at_least_s: float = 0.0) -> None:
        """Wait until the next try.

        Raises:
            ServerUnreachable: the server has been away for as long as it may be. Its text has the last reason.
            ClientError: `why` itself, if the server wants to be asked only after that time.
        """
        now = asyncio.get_running_loop().time()
        if self._away_since is None:
            self._away_since = now
            if self._on_cut is not None:
                self._on_cut(str(why))
        left_s = self._away_since + self._patience_s - now
        if at_least_s > left_s and self._tries == 0:
            raise why
        if left_s <= 0:
            raise ServerUnreachable(f"{str(why).rstrip('.')}, and so on for {self._patience_s:g} s.") from why
        longest_s = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2**self._tries)
        self._tries += 1
        # So that many readers of one server do not come back at the same moment.
        jittered_s = longest_s * random.uniform(0.5, 1.0)  # noqa: S311
        await asyncio.sleep(min(max(at_least_s, jittered_s), left_s))

    def answered(self) -> None:
        """Note that the server answers: the next wait is a first one."""
        self._tries = 0
        if self._away_since is not None:
            self._away_since = None
            if self._on_cut is not None:
                self._on_cut(None)
