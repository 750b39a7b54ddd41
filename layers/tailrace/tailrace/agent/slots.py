"""How many tasks one process of an agent works on at once, and which tasks wait until one of them ends.

A new task is refused while no slot is free. A task that exists already is not refused: it waits for a slot, and comes
before every new task. So nobody waits for ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

T = TypeVar("T")


class Slots:
    """The slots of a process: `most`, or any number if that is None.

    `start` starts a task that has waited, by its id, and must not raise.
    """

    def __init__(self, most: int | None, start: Callable[[str], Coroutine[Any, Any, None]]) -> None:
        self.most = most
        self._start = start
        self._taken = 0
        self._waiting: dict[str, None] = {}
        # Tasks that are being started now, for no request or for one that may be gone before.
        self.starting: set[asyncio.Task[Any]] = set()
        # Those of them whose task may turn out to need no start.
        self._visits: set[asyncio.Task[Any]] = set()

    @property
    def full(self) -> bool:
        """Whether no slot is left for a new task."""
        return self.most is not None and self._taken + len(self._waiting) >= self.most

    async def refuse(self) -> bool:
        """Whether a new task has to be refused. This is known when each visit knows whether it needs its slot."""
        while self.full and self._visits:
            await asyncio.wait(self._visits)
        return self.full

    def take(self) -> None:
        """Take a slot, even if none is free."""
        self._taken += 1

    def free(self) -> None:
        """Give a slot back. The task that has waited longest gets it."""
        self._taken -= 1
        while self._waiting and self._free():
            task_id = next(iter(self._waiting))
            del self._waiting[task_id]
            self.take()
            self.begin(task_id, partial(self._start, task_id))

    def begin(self, task_id: str, start: Callable[[], Coroutine[Any, Any, T]]) -> asyncio.Task[T]:
        """Run what starts the task, in a slot that was taken for it. The slot is given back at the end."""
        task = asyncio.create_task(self._start_in_slot(start), name=f"start {task_id}")
        self.starting.add(task)
        task.add_done_callback(self.starting.discard)
        return task

    def visit(self, task_id: str, start: Callable[[], Coroutine[Any, Any, T]]) -> asyncio.Task[T]:
        """As `begin`, in a slot that is taken here, for a task that `start` starts only if that is new."""
        self.take()
        visit = self.begin(task_id, start)
        self._visits.add(visit)
        visit.add_done_callback(self._visits.discard)
        return visit

    @contextmanager
    def one(self) -> Iterator[None]:
        """Take a slot for the time of the block, even if none is free."""
        self.take()
        try:
            yield
        finally:
            self.free()

    def wait_for_one(self, task_id: str) -> bool:
        """Take a slot for the task, and return True; or have the task started when one is free."""
        if self._free():
            self.take()
            return True
        self._waiting.setdefault(task_id)
        return False

    def close(self) -> None:
        """Start no more tasks."""
        self._waiting.clear()
        for task in self.starting:
            task.cancel()

    def _free(self) -> bool:
        return self.most is None or self._taken < self.most

    async def _start_in_slot(self, start: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run `start`, which may have taken a slot for a run. Nothing else runs in between, so no task counts twice."""
        try:
            return await start()
        finally:
            self.free()
