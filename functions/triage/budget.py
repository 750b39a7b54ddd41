"""The CPU time of an analysis: a limit for each task, spent in turns so that the event loop serves others too."""

from __future__ import annotations

import asyncio
import math
import os
import time
from collections.abc import Generator
from typing import TypeVar

from tailrace.config import Settings

T = TypeVar("T")

# How long the analysis may hold the event loop. Leases, streams and cancels wait that long at most.
_TURN_S = 0.005


class Budget:
    """A limit of CPU time: `seconds` in all, of which `spent` are used. The work checks whether it is `exhausted`."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.spent = 0.0

    @classmethod
    def of_a_task(cls, share: float = 1.0) -> Budget:
        """Return a share of a task's budget, which is the setting `TAILRACE_ANALYSIS_S`."""
        return cls(share * Settings.load(os.environ).analysis_s)

    @property
    def exhausted(self) -> bool:
        """Whether nothing is left. It changes between turns only."""
        return self.spent >= self.seconds

    def ended(self, work: str) -> str:
        """Return in words why `work` stopped, without a period."""
        return f"{work} stopped when it had used its {self.seconds:g} s of CPU time (TAILRACE_ANALYSIS_S)"


UNLIMITED = Budget(math.inf)


async def in_turns(work: Generator[object, None, T], budget: Budget) -> T:
    """Run a generator to its end and return its value.

    Between two yields it may pause for other work of the event loop, or be cancelled. The CPU time of its turns is
    added to `budget.spent`. Nothing stops the work when the budget is exhausted: it must check that itself.
    """
    while True:
        begun, turn_end = time.thread_time(), time.perf_counter() + _TURN_S
        try:
            while time.perf_counter() < turn_end:
                next(work)
        except StopIteration as end:
            value: T = end.value
            return value
        finally:
            budget.spent += time.thread_time() - begun
        await asyncio.sleep(0)
