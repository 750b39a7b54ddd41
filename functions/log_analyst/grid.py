"""The buckets of time in which lines are counted."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain
from math import ceil, floor

import msgspec

from triage.times import without_strays

BUCKETS = 240
_BEFORE, _AFTER = 200, 40  # most buckets before and after a window that is short for its log
_IN_WINDOW = 8  # least buckets of a window, unless it is shorter than as many seconds
# In seconds.
_WIDTHS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400)


class Grid(msgspec.Struct, frozen=True):
    """`size` buckets of `width` seconds each; the first starts at `origin` (seconds since the epoch)."""

    origin: float
    width: float
    size: int

    def start(self, bucket: int) -> float:
        """Return when `bucket` starts, in seconds since the epoch."""
        return self.origin + bucket * self.width

    def bucket(self, time: float) -> int:
        """Return the bucket of a time; it is negative before the grid."""
        return floor((time - self.origin) / self.width)

    def counts(self, times: Iterable[float]) -> tuple[list[int], int, int]:
        """Return how many of the times are in each bucket, how many before the grid, and how many after it."""
        origin, width = self.origin, self.width
        counts = Counter([floor((time - origin) / width) for time in times])
        older = sum(count for bucket, count in counts.items() if bucket < 0)
        later = sum(count for bucket, count in counts.items() if bucket >= self.size)
        return [counts[bucket] for bucket in range(self.size)], older, later


def all_times(logs: Iterable[Sequence[float]]) -> Sequence[float]:
    """Return the times of all logs in order, without the few that a wrong clock put far away from the others."""
    return without_strays(sorted(chain.from_iterable(logs)))


def grid_for(times: Sequence[float], window: tuple[float, float] | None) -> Grid:
    """Return a grid over `times` (in order, at least one); one of its buckets starts where `window` does."""
    first, last = times[0], times[-1]
    if window is None:
        width = _wide_enough((last - first) / BUCKETS)
        origin = floor(first / width) * width
        return Grid(origin, width, floor((last - origin) / width) + 1)
    start = window[0]
    end = max(min(window[1], last + 1.0), start + 1.0)  # there is nothing to miss after the last line
    width = _wide_enough((max(last, end) - min(first, start)) / BUCKETS)
    width = min(width, max((each for each in _WIDTHS if each <= (end - start) / _IN_WINDOW), default=1))
    before = min(max(ceil((start - first) / width), 0), max(_BEFORE, BUCKETS - _buckets(start, end, width)))
    after = min(max(ceil((last - end) / width), 0), _AFTER)
    return Grid(start - before * width, width, before + _buckets(start, end, width) + after)


def _buckets(start: float, end: float, width: float) -> int:
    return max(1, ceil((end - start) / width))


def _wide_enough(seconds: float) -> float:
    at = bisect_left(_WIDTHS, seconds)
    return float(_WIDTHS[at]) if at < len(_WIDTHS) else ceil(seconds / 86_400) * 86_400.0
