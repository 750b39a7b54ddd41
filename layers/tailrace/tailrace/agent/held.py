"""The tasks that a process is about to start or to end: code of it works on them, but no run yet, or none any more.

A task is here before it is claimed. A cancel may learn of the new lease before the code that has taken it goes on, and
two codes of one process under one lease would both write as the same attempt.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager


class Held:
    """The held tasks of a process, by id."""

    def __init__(self) -> None:
        # How many blocks hold each: several requests for a task may come at the same time.
        self._blocks: Counter[str] = Counter()

    def __contains__(self, task_id: str) -> bool:
        return task_id in self._blocks

    @contextmanager
    def holding(self, task_id: str) -> Iterator[None]:
        """Hold the task inside the block."""
        self._blocks[task_id] += 1
        try:
            yield
        finally:
            self._blocks -= Counter([task_id])
