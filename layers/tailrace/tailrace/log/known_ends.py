"""Where the batches that were read last end, so that a tail which waits there needs no second query."""

from __future__ import annotations

# For how many tasks this is known.
_REMEMBERED = 4096


class KnownEnds:
    """By task: the last seq and the ttl of the latest batch that was read."""

    def __init__(self) -> None:
        self._ends: dict[str, tuple[int, int]] = {}

    def has(self, task_id: str, seq: int, seconds: int) -> bool:
        """Whether a batch that has not expired at `seconds` is known to end at `seq`."""
        end, ttl = self._ends.get(task_id, (0, 0))
        return end == seq and ttl > seconds

    def remember(self, task_id: str, seq: int, ttl: int) -> None:
        """Note the end of a batch. The latest end is kept: one reader may replay what others have at its end."""
        self._ends[task_id] = max(self._ends.pop(task_id, (0, 0)), (seq, ttl))
        if len(self._ends) > _REMEMBERED:
            del self._ends[next(iter(self._ends))]

    def forget(self, task_id: str) -> None:
        """The task's events are deleted."""
        self._ends.pop(task_id, None)
