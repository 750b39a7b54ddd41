"""Sleep: a run that only waits for delegated tasks gives its process back, and one of them wakes it.

Nothing is lost between the two. The sleeper asks each delegated task to wake it, then reads whether the task has new
events, and only then sleeps. The other side appends an event, and afterwards reads whether it is to wake somebody. So
one of them sees the other. A wake that comes before the sleep keeps the attempt from sleeping (`EventLog.sleep`).
"""

from __future__ import annotations

import asyncio
import logging

from tailrace.agent.open_calls import OpenCalls
from tailrace.authoring.run_context import RunContext, WaitingCall
from tailrace.aws import on_sam_local
from tailrace.errors import LogUnavailable, TaskUnknown
from tailrace.log import EventLog, Head
from tailrace.log.sleeper import Sleeper
from tailrace.owner import owner_within

logger = logging.getLogger("tailrace.sleep")

# How many times a run is looked at in the time after which it sleeps, and the longest pause in between.
_LOOKS, _LONGEST_S = 4, 1.0


class Sleep:
    """Decides when the run of the head's attempt may sleep, and lets it sleep. `calls` has to see the graph's calls."""

    def __init__(self, log: EventLog, head: Head, run: RunContext) -> None:
        self._log = log
        self._head = head
        self._run = run
        self._after_s = 0.0 if on_sam_local() else run.settings.sleep_after_s  # A container takes longer.
        self._planned: dict[str, WaitingCall] = {}
        self.calls = OpenCalls(run.left)

    @property
    def ready(self) -> bool:
        """Whether the graph has stopped exactly where it is to sleep."""
        return bool(self._planned) and self._run.left.keys() == self._planned.keys()

    async def possible(self) -> None:
        """Return when the run only waits for silent tasks of our own agents, which will wake it."""
        if not self._after_s:
            await asyncio.Event().wait()
        pause = min(self._after_s / _LOOKS, _LONGEST_S)
        while True:
            await asyncio.sleep(pause)
            if await self.prepared():
                return

    async def fall_asleep(self) -> Head:
        """Release the lease and sleep. The head returned is orphaned if the attempt was woken in the meantime.

        Raises:
            Fenced, LogUnavailable
        """
        left_s = min(call.remote.left_s for call in self._planned.values())
        awaits = " ".join(str(call.remote.task_id) for call in self._planned.values())
        until = self._log.now() + int(left_s * 1000)
        return await self._log.sleep(self._head.task_id, self._head.attempt, until, awaits)

    async def prepared(self) -> bool:
        calls = self._silent_calls()
        if not calls:
            return False
        try:
            for call in calls.values():
                if not await self._is_to_wake_us(call):
                    return False
        except LogUnavailable as error:
            logger.warning("task %s does not sleep now: %s", self._head.task_id, error)
            return False
        if self._silent_calls().keys() != calls.keys():
            return False
        self._planned = calls
        return True

    def _silent_calls(self) -> dict[str, WaitingCall]:
        """All calls that wait; none if the run may not sleep now."""
        calls, silent_since = dict(self._run.waiting), asyncio.get_running_loop().time() - self._after_s
        silent = all(
            call.own and call.remote.task_id is not None and call.heard <= silent_since for call in calls.values()
        )
        return calls if silent and self.calls.are_all_in({call.caller for call in calls.values()}) else {}

    async def _is_to_wake_us(self, call: WaitingCall) -> bool:
        """Ask the call's task to wake this one. Return whether it works and has no event that has not come here."""
        task_id, cursor = str(call.remote.task_id), call.remote.cursor or 0
        try:
            head = await self._log.head(task_id)
            call.own = head.owner == owner_within(self._head.owner, self._head.task_id)
            if not call.own or not (head.leased(self._log.now()) or head.asleep(self._log.now())):
                return False
            sleeper = Sleeper(self._head.task_id, self._head.attempt, cursor).encode()
            if head.wakes != sleeper:  # An earlier look may have asked.
                await self._log.request_wake(task_id, sleeper)
        except TaskUnknown:
            call.own = False  # Its agent has another log.
            return False
        return await self._log.last(task_id) <= cursor
