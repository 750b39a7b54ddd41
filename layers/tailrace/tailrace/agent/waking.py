"""Waking: a delegated task that has something new wakes the task that sleeps for it (`tailrace.agent.sleep`).

Nothing here needs LangGraph.
"""

from __future__ import annotations

import asyncio
import logging

from tailrace.agent.dispatch import Dispatch
from tailrace.errors import Fenced, LogUnavailable, TaskUnknown
from tailrace.log import EventLog, Head
from tailrace.log.sleeper import Sleeper, sleeper_in

logger = logging.getLogger("tailrace.sleep")


class Waker:
    """Wakes the task that is asleep for the task of one attempt, when that has something new for it."""

    def __init__(self, log: EventLog, dispatch: Dispatch, head: Head) -> None:
        self._log = log
        self._dispatch = dispatch
        self._last = 0
        self._held = False
        self._sleeper: Sleeper | None = None
        self._woken: set[Sleeper] = set()
        self._waking: set[asyncio.Task[None]] = set()
        self.see(head)

    def see(self, head: Head) -> None:
        """Note whom this head says to wake."""
        self._sleeper = sleeper_in(head.wakes)
        self._look()

    def published(self, last: int) -> None:
        """Note that the log has events that are news, up to the seq `last`."""
        if not self._held:
            self._last = last
            self._look()

    def hold(self) -> None:
        """Note that what comes from now on is no news."""
        self._held = True

    async def settled(self) -> None:
        """Wait for the wakes under way."""
        await asyncio.gather(*self._waking)

    def close(self) -> None:
        """Stop the wakes under way."""
        for waking in self._waking:
            waking.cancel()

    def _look(self) -> None:
        sleeper = self._sleeper
        if sleeper is not None and self._last > sleeper.cursor and sleeper not in self._woken:
            self._woken.add(sleeper)
            waking = asyncio.create_task(self._wake(sleeper), name=f"wake {sleeper.task_id}")
            self._waking.add(waking)
            waking.add_done_callback(self._waking.discard)

    async def _wake(self, sleeper: Sleeper) -> None:
        if not await _wake(self._log, self._dispatch, sleeper):
            self._woken.discard(sleeper)  # The next event or renewal tries again.


async def wake_sleeper(log: EventLog, dispatch: Dispatch | None, head: Head) -> None:
    """Wake the task that sleeps for the head's task, which has ended or waits. This never raises."""
    if (sleeper := sleeper_in(head.wakes)) is not None:
        await _wake(log, dispatch, sleeper)


async def _wake(log: EventLog, dispatch: Dispatch | None, sleeper: Sleeper) -> bool:
    """Wake the sleeper; False if the log is unavailable. Then the sweeper wakes it when this task has ended."""
    try:
        head = await log.wake(sleeper.task_id, sleeper.attempt)
    except (Fenced, TaskUnknown):
        return True  # It is awake already, or gone.
    except LogUnavailable as error:
        logger.warning("task %s was not woken: %s", sleeper.task_id, error)
        return False
    if dispatch is not None and head.orphaned(log.now()):
        await dispatch(head)
    return True
