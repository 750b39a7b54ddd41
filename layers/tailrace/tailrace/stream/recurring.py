"""Work that is done from time to time. In between it has a timer and no task: there are many streams, and most wait."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from typing import Any

# A wait that is this long ends at a whole tick of the loop's clock. What many streams look for in the log then comes
# together, and takes one way to the log's thread and back.
_LONG_S = 0.5
_TICKS_A_SECOND = 16  # a power of two, so that a tick is exact


class Recurring:
    """Does `work` in `after_s` seconds, and again as many seconds later as it returns. None from it is the end.

    A wait of half a second or more may be up to a sixteenth of a second longer.

    `left` is asked when the work is due: for how many seconds it need not be done yet. An error of the work is the end,
    too, and is passed to `failed` with the name. The work belongs to the context in which this was made.
    """

    __slots__ = ("_context", "_failed", "_hurried", "_left", "_loop", "_name", "_task", "_timer", "_work")

    def __init__(
        self,
        name: str,
        left: Callable[[], float],
        work: Callable[[], Coroutine[Any, Any, float | None]],
        failed: Callable[[str, BaseException], None],
        *,
        after_s: float,
    ) -> None:
        self._name = name
        self._left = left
        self._work = work
        self._failed = failed
        self._loop = asyncio.get_running_loop()
        self._context = copy_context()
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[float | None] | None = None
        self._hurried = False
        self._wait(after_s)

    def hurry(self) -> None:
        """Let the work be due now; if it is being done, when that is over. Does nothing if it has ended."""
        if self._task is not None:
            self._hurried = True
        elif self._timer is not None:
            self._timer.cancel()
            self._wait(0)

    def stop(self) -> None:
        """End the work, also in the middle."""
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            self._task.cancel()
        self._timer = self._task = None

    def _wait(self, seconds: float) -> None:
        due = self._loop.time() + seconds
        if seconds >= _LONG_S:
            due = math.ceil(due * _TICKS_A_SECOND) / _TICKS_A_SECOND
        self._timer = self._loop.call_at(due, self._due, context=self._context)

    def _due(self) -> None:
        self._timer = None
        if (left := self._left()) > 0:
            self._wait(left)
            return
        self._hurried = False
        self._task = self._loop.create_task(self._work(), name=self._name)
        self._task.add_done_callback(self._done, context=self._context)

    def _done(self, task: asyncio.Task[float | None]) -> None:
        if self._task is not task:
            return  # It was stopped.
        self._task = None
        if task.cancelled():
            return
        if (error := task.exception()) is not None:
            self._failed(self._name, error)
        elif (pause := task.result()) is not None:
            self._wait(0 if self._hurried else pause)
