"""Summaries in memory, for tests."""

from __future__ import annotations

from collections.abc import Callable

from tailrace.log.summaries.base import Summaries, Summary


class MemorySummaries(Summaries):
    """Summaries inside one process. `enter` sets `summary` in the head of a task, as `keep` says.

    It returns when what is written now expires, in seconds since the epoch by `clock`.
    """

    def __init__(self, enter: Callable[[str, int, int], int], clock: Callable[[], float]) -> None:
        self._enter = enter
        self._clock = clock
        self._summaries: dict[str, tuple[Summary, int]] = {}

    async def keep(self, task_id: str, attempt: int, summary: Summary) -> None:
        self._summaries[task_id] = summary, self._enter(task_id, attempt, summary.last)

    async def get(self, task_id: str) -> Summary | None:
        summary, ttl = self._summaries.get(task_id, (None, 0))
        return summary if ttl > self._clock() else None

    def forget(self, task_id: str) -> None:
        """Delete the task's summary."""
        self._summaries.pop(task_id, None)
