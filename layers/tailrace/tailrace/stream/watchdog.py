"""The watchdog: while a task has readers in this process, it has the task run (docs/ARCHITECTURE.md, promise 7)."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable

from tailrace.errors import Fenced, LogUnavailable, TaskUnknown
from tailrace.events import TERMINAL
from tailrace.log import EventLog, Head
from tailrace.log.sleeper import rests_until

logger = logging.getLogger("tailrace.feed")

# Has an orphaned task run. Called with the task's head, from the watchdog of every process that shows the task.
EnsureRunning = Callable[[Head], Awaitable[None]]
# Margin for clock rounding: a lease that runs out now is checked this much later.
_LEASE_MARGIN_S = 0.02
# Pause between two tries to have an orphaned task run.
_RETRY_S = 1.0


class Watchdog:
    """Watches one task: each `check` calls `ensure_running` if the task is orphaned.

    A task that sleeps is woken if nothing else can wake it any more.

    An event proves that a runner lives, for as long as a lease holds. After that the task's head says whether one does.
    """

    def __init__(self, log: EventLog, task_id: str, lease_s: float, ensure_running: EnsureRunning) -> None:
        self._log = log
        self._task_id = task_id
        self._lease_s = lease_s
        self._ensure_running = ensure_running
        self._clock = asyncio.get_running_loop().time
        self._last_event_at = -math.inf

    def note_event(self) -> None:
        """Note that an event has come."""
        self._last_event_at = self._clock()

    def doubt(self) -> None:
        """Note that a source of events is gone: its last event proves nothing any more."""
        self._last_event_at = -math.inf

    def left(self) -> float:
        """For how many seconds the last event proves that a runner lives."""
        return self._last_event_at + self._lease_s - self._clock()

    async def check(self) -> float | None:
        """Have the task run if it is orphaned; the seconds until the next check, None if there is nothing to watch."""
        try:
            head = await self._log.head(self._task_id)
            now = self._log.now()
            if head.state in TERMINAL:
                return None
            if head.asleep(now):
                if (until := await rests_until(self._log, head)) > now:
                    return min((until - now) / 1000 + _LEASE_MARGIN_S, self._lease_s)
                head = await self._log.wake(head.task_id, head.attempt)
            if head.orphaned(now):
                await self._ensure_running(head)
                return _RETRY_S
            return (head.lease_until - now) / 1000 + _LEASE_MARGIN_S if head.leased(now) else self._lease_s
        except Fenced:
            return _RETRY_S  # It was woken just now.
        except TaskUnknown:
            return None
        except LogUnavailable as error:
            logger.warning("watchdog of task %s: %s", self._task_id, error)
            return _RETRY_S
