"""Robust statistics: a third of bad samples hardly moves them.

Medians and MADs (Hampel 1974), Theil–Sen slopes (Sen 1968). No finite input raises an error; an empty list gives 0.
They use the standard library only: a Lambda pays for every megabyte of numpy.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence
from itertools import combinations
from operator import sub

TO_SIGMA = 1.4826  # standard deviation of a normal distribution in MADs


def median(values: Sequence[float]) -> float:
    """Return the middle value; of an even number of values the mean of the two in the middle."""
    n = len(values)
    if not n:
        return 0.0
    ordered = sorted(values)
    return ordered[n // 2] if n % 2 else (ordered[n // 2 - 1] + ordered[n // 2]) / 2


def quantile(values: Sequence[float], q: float) -> float:
    """Return the value below which a share `q` (0–1) of `values` lies, without interpolation."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))] if ordered else 0.0


def mad_sigma(values: Sequence[float], centre: float | None = None) -> float:
    """Return the median absolute deviation from `centre` (the median if None), scaled to a standard deviation."""
    if centre is None:
        values = sorted(values)  # the deviations of what is in order are sorted fast
        centre = median(values)
    return TO_SIGMA * median([abs(value - centre) for value in values])


def rolling_median(values: Sequence[float], width: int) -> list[float]:
    """Return the median of each `width` consecutive values: n − width + 1 medians."""
    n = len(values)
    if not 0 < width <= n:
        return []
    window = sorted(values[:width])
    low, high = (width - 1) // 2, width // 2
    out = [(window[low] + window[high]) / 2]
    for leaving, coming in zip(values, values[width:], strict=False):
        if leaving != coming:
            del window[bisect_left(window, leaving)]
            insort(window, coming)
        out.append(window[low] if low == high else (window[low] + window[high]) / 2)
    return out


def theil_sen(times: Sequence[float], values: Sequence[float]) -> tuple[float, float]:
    """Return slope and intercept of the line whose slope is the median of all slopes between two points.

    The work is quadratic. No two times are equal.
    """
    points = zip(times, values, strict=True)
    slope = median([(later - value) / (end - time) for (time, value), (end, later) in combinations(points, 2)])
    return slope, median([value - slope * time for time, value in zip(times, values, strict=True)])


def noise_floor(values: Sequence[float]) -> float:
    """Return the least noise of a series: half the median of its changes where it changes.

    Otherwise a series that is constant most of the time has no noise, and each of its steps is infinitely surprising.
    0 with fewer than five changes, which are too few to tell.
    """
    changes = list(filter(None, map(abs, map(sub, values[1:], values))))
    return median(changes) / 2 if len(changes) >= 5 else 0.0
