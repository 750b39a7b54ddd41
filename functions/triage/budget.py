"""What a task's analysis may take: CPU time up to a limit, in turns that leave the event loop to others."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Generator
from typing import TypeVar

from tailrace.config import Settings

T = TypeVar("T")

# How long one task works before others have their turn. The lease, streams and a cancel wait for no longer.
_TURN_S = 0.005


class Budget:
    """CPU seconds: how many there are, and how many are spent. Work that finds it `exhausted` comes to its end."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.spent = 0.0

    @classmethod
    def of_a_task(cls) -> Budget:
        """What `TAILRACE_ANALYSIS_S` allows."""
        return cls(Settings.load(os.environ).analysis_s)

    @property
    def exhausted(self) -> bool:
        """Whether all is spent. It is told after each turn, not within one."""
        return self.spent >= self.seconds


async def in_turns(work: Generator[object, None, T], budget: Budget) -> T:
    """Run a generator to its end and return its value. At what it yields it may be stopped for a while, or cancelled.

    `budget` counts the CPU time of this thread while the work runs. It stops nothing by itself: the work asks it.
    """
    while True:
        begun, over = time.thread_time(), time.perf_counter() + _TURN_S
        try:
            while time.perf_counter() < over:
                next(work)
        except StopIteration as end:
            value: T = end.value
            return value
        finally:
            budget.spent += time.thread_time() - begun
        await asyncio.sleep(0)
