"""A sleeper: the task that another task is to wake, as that task's head has it (docs/DELIVERY.md, "Sleep")."""

from __future__ import annotations

import msgspec

from tailrace.errors import TaskUnknown
from tailrace.log.base import EventLog
from tailrace.log.head import Head


class Sleeper(msgspec.Struct, frozen=True, array_like=True):
    """The attempt `attempt` of the task `task_id`, which knows the other task's events up to the seq `cursor`."""

    task_id: str
    attempt: int
    cursor: int

    def encode(self) -> str:
        """The sleeper as text, for `EventLog.request_wake`."""
        return msgspec.json.encode(self).decode()


def sleeper_in(text: str) -> Sleeper | None:
    """The sleeper in a head's `wakes`; None if there is none, or one that a newer version has written."""
    try:
        return msgspec.json.decode(text, type=Sleeper) if text else None
    except msgspec.DecodeError:
        return None


async def rests_until(log: EventLog, head: Head) -> int:
    """Until when (ms) a sleeping task can be left alone: until then the tasks that are to wake it certainly work.

    A time that is over means that one of them has ended, waits or was lost, and its wake was lost too.
    """
    until = head.asleep_until
    for task_id in head.awaits.split():
        try:
            awaited = await log.head(task_id)
        except TaskUnknown:
            return 0
        if awaited.asleep(log.now()):
            until = min(until, await rests_until(log, awaited))
        elif awaited.leased(log.now()):
            until = min(until, awaited.lease_until)
        else:
            return 0
    return until
