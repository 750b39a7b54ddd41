"""Follows each task in the log, and measures how long a task whose process died waits for another process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.chaos.inspector import TERMINAL, WAITING, Entry, StoreInspector

_LOOK_S = 0.02


@dataclass
class Watched:
    """A task's events in the log so far."""

    task: str
    entries: list[Entry] = field(default_factory=list)
    state: str = "TASK_STATE_SUBMITTED"
    # The process id of each attempt that was seen.
    pids: dict[int, int] = field(default_factory=dict)

    @property
    def newest(self) -> int:
        return self.entries[-1].seq if self.entries else 0

    @property
    def attempt(self) -> int:
        return self.entries[-1].attempt if self.entries else 0

    @property
    def ended(self) -> bool:
        return self.state in TERMINAL


@dataclass
class Orphan:
    """A task whose process was killed or stopped at the time `at`.

    `since` is the time of the last fault that hit the task or a process that could continue it.
    """

    task: str
    # The user's task that it belongs to: itself, or the task that delegated it.
    root: str
    attempt: int
    at: float
    since: float
    # Whether it had a reader. Without one, only the sweeper finds it, which takes longer.
    watched: bool
    # Whether another fault has moved `since`.
    disturbed: bool = False
    # The largest error of a clock in that time. A lease may seem to hold for so much longer.
    clock_s: float = 0.0
    # How long this process, or one of the workers, had to wait for the machine in that time.
    starved_s: float = 0.0
    # How long the takeover took from `at`, and from `since`, for which the promise holds.
    orphaned_s: float | None = None
    taken_s: float | None = None


class Watch:
    """Reads the log every 20 ms, which is the resolution of its measurements."""

    def __init__(
        self,
        inspector: StoreInspector,
        spoiled: Callable[[], int] = lambda: 0,
        waited_s: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._inspector = inspector
        # How long the workers have waited for the machine so far.
        self._waited_s = waited_s
        # How many calls of the store have failed so far, in all processes.
        self._spoiled = spoiled
        self._tasks: dict[str, Watched] = {}
        self.orphans: list[Orphan] = []
        self._changed = asyncio.Condition()
        self._clocks: list[float] = []
        # How long this process, or one of the workers, has had to wait for the machine, in all.
        self.starved_s = 0.0

    def add(self, task: str) -> Watched:
        return self._tasks.setdefault(task, Watched(task))

    def forget(self, tasks: list[str]) -> None:
        for task in tasks:
            del self._tasks[task]

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until `condition()` is true; it is called whenever the log has grown."""
        async with self._changed:
            await self._changed.wait_for(condition)

    def orphan(self, pid: int, watched: Callable[[str], bool]) -> None:
        """Note that the process `pid` was killed or stopped, so that its tasks wait for another process."""
        for head in self._inspector.run_by(pid):
            if head.task not in {orphan.task for orphan in self.orphans if orphan.taken_s is None}:
                root = head.owner.partition("/")[2] or head.task
                now = time.monotonic()
                self.orphans.append(Orphan(head.task, root, head.attempt, now, now, watched(root)))
                self._note_clocks()

    def clock_wrong(self, by_s: float) -> None:
        """Note that a process's clock is wrong by `by_s` seconds, until `clock_right`."""
        self._clocks.append(by_s)
        self._note_clocks()

    def clock_right(self, by_s: float) -> None:
        """Note that this clock is right again, and that every lease that it affected is over."""
        self._clocks.remove(by_s)

    def disturb(self, root: str | None = None) -> None:
        """Restart the time of the orphans (only those of `root`): a fault has hit what could continue them."""
        for orphan in self.orphans:
            if orphan.taken_s is None and root in (None, orphan.root):
                orphan.since, orphan.disturbed = time.monotonic(), True

    async def run(self) -> None:
        last_look, spoiled, waited_s = time.monotonic(), self._spoiled(), self._waited_s()
        while True:
            if spoiled != (spoiled := self._spoiled()):
                self.disturb()  # The store fails for a number of calls, however long these take.
            waited_before_s, waited_s = waited_s, self._waited_s()
            starved_s = max(0.0, time.monotonic() - last_look - _LOOK_S, waited_s - waited_before_s)
            last_look = time.monotonic()
            self.starved_s += starved_s
            for orphan in self.orphans:
                if orphan.taken_s is None:
                    orphan.starved_s += starved_s
            grown = False
            for watched in self._tasks.values():
                if fresh := self._inspector.entries(watched.task, watched.newest):
                    grown = True
                    watched.entries += fresh
                    states = [entry.state for entry in fresh if entry.state is not None]
                    watched.state = states[-1] if states else watched.state
                    self._note_runner(watched)
            for orphan in self.orphans:
                if orphan.taken_s is None and self._taken_over(orphan):
                    now = time.monotonic()
                    orphan.taken_s, orphan.orphaned_s = now - orphan.since, now - orphan.at
                    # Only from now on can its delegated tasks be continued.
                    self.disturb(orphan.root)
            if grown:
                async with self._changed:
                    self._changed.notify_all()
            await asyncio.sleep(_LOOK_S)

    def _note_clocks(self) -> None:
        for orphan in self.orphans:
            if orphan.taken_s is None:
                orphan.clock_s = max([orphan.clock_s, *self._clocks])

    def _note_runner(self, watched: Watched) -> None:
        if watched.attempt in watched.pids:
            return
        head = self._inspector.head(watched.task)
        if head is not None and head.pid and head.attempt == watched.attempt:
            watched.pids[head.attempt] = head.pid

    def _taken_over(self, orphan: Orphan) -> bool:
        """Whether a newer attempt has written to the log, or there was nothing left to do."""
        newest = self._inspector.tail(orphan.task)
        if newest is None:
            return False
        return newest.attempt > orphan.attempt or newest.state in TERMINAL or newest.state == WAITING
