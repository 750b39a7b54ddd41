"""A log whose calls fail as the worker's control file says: refused, throttled, or failed after they were done."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

from tailrace.errors import LogUnavailable
from tailrace.log import EventLog
from tailrace.log.conversations import Conversations
from tailrace.log.summaries import Summaries
from tests.chaos.control import Control

_CHANGES = frozenset({"create_or_find", "append", "claim", "renew", "update_state", "request_cancel", "keep"})
# After how many seconds a throttled call is refused.
_THROTTLED_S = 0.15


class FaultyLog:
    """A proxy for all methods of `log`, and for those of its conversations and its summaries."""

    def __init__(self, log: EventLog | Conversations | Summaries, control: Control) -> None:
        self._log = log
        self._control = control

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._log, name)
        if name in ("conversations", "summaries"):
            return FaultyLog(method, self._control)
        awaited = inspect.iscoroutinefunction(method) or name == "append"  # of SQLite it returns a future
        if name == "close" or not awaited:
            return method

        async def spoiled(*args: Any, **options: Any) -> Any:
            if self._control.take("refuse"):
                raise LogUnavailable(f"The store refused {name} (chaos).")
            if self._control.take("throttle"):
                await asyncio.sleep(_THROTTLED_S)
                raise LogUnavailable(f"The store throttled {name} (chaos).")
            outcome = await method(*args, **options)
            if name in _CHANGES and self._control.take("lose"):
                raise LogUnavailable(f"The store carried out {name}, and its response was lost (chaos).")
            return outcome

        return spoiled
