"""Pauses: a stream on which nothing comes is closed, and its reader is told when to look again.

On Lambda an open stream costs as much as work. A reader that comes back for a moment costs little (docs/OPERATIONS.md).
The pause follows from the age of the newest event, so an event that comes soon after another one is hardly late, and no
event is later than the longest pause.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from tailrace.errors import LogError
from tailrace.events import ends, written_at
from tailrace.log import Batch, EventLog, Head
from tailrace.log.sleeper import rests_until
from tailrace.stream.reader import End, Gap, Idle, Synced

# How old a head may be that says whether the task is run.
_FRESH_S = 1.0
# Margin for clock rounding, as the watchdog's.
_LEASE_MARGIN_S = 0.02


class Pausing(msgspec.Struct, frozen=True):
    """When a stream pauses, and for how long; in seconds. The newest event is `quiet_s` old, or older.

    With a `quiet_s` of 0 a stream pauses as soon as its reader has all that there is. `busy` says in the pause that it
    is for want of a place. With `unattended` it pauses also while nobody runs the task.
    """

    quiet_s: float
    shortest_s: float
    longest_s: float
    busy: bool = False
    unattended: bool = False

    def pause_s(self, age_s: float) -> float:
        """The pause when the newest event is `age_s` seconds old: half its age."""
        return max(self.shortest_s, min(self.longest_s, age_s / 2))


class Pause(NamedTuple):
    """The stream ends, and its reader comes back after `ms` milliseconds. `busy` as in `Pausing`."""

    ms: int
    busy: bool = False


class Quiet:
    """Says after each item of a stream whether it pauses.

    `pausing` is asked each time. `newest` is the event at the reader's cursor if the log had no later one, and `head`
    the task's, both just read. `clock` is in seconds.
    """

    def __init__(
        self,
        log: EventLog,
        task_id: str,
        pausing: Callable[[], Pausing],
        clock: Callable[[], float],
        *,
        newest: bytes | None = None,
        head: Head | None = None,
    ) -> None:
        self._log = log
        self._task_id = task_id
        self._pausing = pausing
        self._clock = clock
        self._newest = newest
        self._head = head
        self._head_at = self._heard_at = clock()
        self._synced = False

    async def after(self, item: Batch | Synced | Gap | End | Idle) -> Pause | None:
        """The pause with which the stream is to end after `item`; None if it stays open.

        It stays open while events come, when the task's end comes next, and while nobody runs the task: then it is a
        reader that has the task run. A pause is not longer than the lease of the process that runs it, so that a reader
        comes back when that process is lost (docs/ARCHITECTURE.md, promise 7).
        """
        if isinstance(item, Batch):
            self._newest, self._heard_at = item.events[-1], self._clock()
        elif isinstance(item, Synced):
            self._synced = True
            self._heard_at -= self._age_s()
        pausing, silence_s = self._pausing(), self._clock() - self._heard_at
        if not self._synced or silence_s < pausing.quiet_s:
            return None
        if self._newest is not None and ends(self._newest) is not None:
            return None
        longest_s = await self._longest_s()
        if longest_s is None and not pausing.unattended:
            return None
        pause_s = max(pausing.shortest_s, min(pausing.pause_s(silence_s), longest_s or 0.0))
        return Pause(round(pause_s * 1000), pausing.busy)

    def _age_s(self) -> float:
        """How old the newest stored event is, by the clocks of its writer and of the log."""
        written = None if self._newest is None else written_at(self._newest)
        return 0.0 if written is None else max(0.0, (self._log.now() - written) / 1000)

    async def _longest_s(self) -> float | None:
        """For how long somebody is known to run the task, or what it sleeps for; None if nobody does."""
        try:
            if self._head is None or self._clock() - self._head_at > _FRESH_S:
                self._head, self._head_at = await self._log.head(self._task_id), self._clock()
            head, now = self._head, self._log.now()
            until = await rests_until(self._log, head) if head.asleep(now) else head.lease_until
        except LogError:
            return None
        if head.unattended(now) and until <= now:
            return None
        return (until - now) / 1000 + _LEASE_MARGIN_S if until > now else 0.0
