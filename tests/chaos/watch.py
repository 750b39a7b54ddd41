"""Watches the log grow: the position of each task, and how long a task whose runner died waits for another."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.chaos.inspector import TERMINAL, WAITING, Entry, StoreInspector

_LOOK_S = 0.02


@dataclass
class Watched:
    """A task as it is in the log so far."""

    task: str
    entries: list[Entry] = field(default_factory=list)
    state: str = "TASK_STATE_SUBMITTED"
    # Which process ran which attempt, as far as it was seen.
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
    """A task whose runner was killed or stopped `at` a time. `since` is when it or what could save it was hit last."""

    task: str
    # The user's task that it belongs to: itself, or the one whose delegation it is.
    root: str
    attempt: int
    at: float
    since: float
    # While somebody reads it. Without that it is the sweeper's, which has longer.
    watched: bool
    # Something else went wrong meanwhile; `since` was moved.
    disturbed: bool = False
    # How far a clock was wrong then: a lease holds for so much longer, or seems to.
    clock_s: float = 0.0
    # For how long this machine did nothing for the one who looks, meanwhile: it did as little for the others.
    starved_s: float = 0.0
    # How long it took, from `at`; and from `since`, which is what is promised.
    orphaned_s: float | None = None
    taken_s: float | None = None


class Watch:
    """Reads the log every 20 ms, which is the resolution of all its figures."""

    def __init__(self, inspector: StoreInspector, spoiled: Callable[[], int] = lambda: 0) -> None:
        self._inspector = inspector
        # How many calls of the store have failed so far, in all processes.
        self._spoiled = spoiled
        self._tasks: dict[str, Watched] = {}
        self.orphans: list[Orphan] = []
        self._changed = asyncio.Condition()
        self._clocks: list[float] = []
        # For how long this machine has done nothing for the one who looks.
        self.starved_s = 0.0

    def add(self, task: str) -> Watched:
        return self._tasks.setdefault(task, Watched(task))

    def forget(self, tasks: list[str]) -> None:
        for task in tasks:
            del self._tasks[task]

    async def until(self, true: Callable[[], bool]) -> None:
        """Return when `true()` holds; it is called again whenever the log has grown."""
        async with self._changed:
            await self._changed.wait_for(true)

    def orphan(self, pid: int, watched: Callable[[str], bool]) -> None:
        """Note that the process `pid` was killed or stopped: its tasks wait for another process."""
        for head in self._inspector.run_by(pid):
            if head.task not in {orphan.task for orphan in self.orphans if orphan.taken_s is None}:
                root = head.owner.partition("/")[2] or head.task
                now = time.monotonic()
                self.orphans.append(Orphan(head.task, root, head.attempt, now, now, watched(root)))
                self._note_clocks()

    def clock_wrong(self, by_s: float) -> None:
        """A process's clock is wrong now, until `clock_right` says the same."""
        self._clocks.append(by_s)
        self._note_clocks()

    def clock_right(self, by_s: float) -> None:
        """No lease that was taken or looked at by a wrong clock counts any more."""
        self._clocks.remove(by_s)

    def disturb(self, root: str | None = None) -> None:
        """Something that could have saved an orphan (of `root`) was hit: its time begins anew."""
        for orphan in self.orphans:
            if orphan.taken_s is None and root in (None, orphan.root):
                orphan.since, orphan.disturbed = time.monotonic(), True

    async def run(self) -> None:
        looked, spoiled = time.monotonic(), self._spoiled()
        while True:
            if spoiled != (spoiled := self._spoiled()):
                self.disturb()  # a store that is away is away for as long as it takes to ask it so many times
            starved_s, looked = max(0.0, time.monotonic() - looked - _LOOK_S), time.monotonic()
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
                if orphan.taken_s is None and self._saved(orphan):
                    now = time.monotonic()
                    orphan.taken_s, orphan.orphaned_s = now - orphan.since, now - orphan.at
                    # Only now does anybody ask for its specialists' answers again.
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

    def _saved(self, orphan: Orphan) -> bool:
        """Whether a newer attempt has written, or nothing was left to do."""
        newest = self._inspector.tail(orphan.task)
        if newest is None:
            return False
        return newest.attempt > orphan.attempt or newest.state in TERMINAL or newest.state == WAITING
