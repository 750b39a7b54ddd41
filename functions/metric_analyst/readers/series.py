"""A series: one metric over time, cleaned; and what had to be left out on the way."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from itertools import groupby, pairwise
from operator import itemgetter

import msgspec

from metric_analyst.detectors.robust import median

# Beyond this a difference or a product of two values leaves the range of a float.
HUGEST = 1e150
LONGEST_NAME = 160
MISSED = 3  # rows of others in a gap


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """`times` (seconds since the epoch) strictly increase; every value is finite; as many of the one as of the other.

    `unit` is "" when nothing tells it. `watched_until` is the last time at which the source the series
    came from has anything at all: a series that ends long before went missing, one that ends with
    it simply ends there. `missed` says the same of its longest gap: others had samples meanwhile.
    """

    name: str
    times: list[float]
    values: list[float]
    unit: str
    source: str
    watched_until: float
    missed: bool = False
    dropped: int = 0
    repeated: int = 0

    @property
    def span(self) -> float:
        """Seconds from the first to the last sample."""
        return self.times[-1] - self.times[0] if self.times else 0.0

    @property
    def step(self) -> float:
        """The usual time between samples: the median of the gaps, 0 with fewer than two samples."""
        times = self.times
        return median([b - a for a, b in pairwise(times)]) if len(times) > 1 else 0.0


def clean(samples: Iterable[tuple[float, float | None]]) -> tuple[list[float], list[float], int, int]:
    """Times and values in order, with how many samples had no usable value and how many came twice.

    Of several values at one time the median of the *different* ones counts, so that sending a file
    twice changes nothing. None, NaN, infinities and values past 1e150 are left out.
    """
    times: list[float] = []
    values: list[float] = []
    dropped = 0
    in_order = True
    for time, value in samples:
        if value is None or not -HUGEST <= value <= HUGEST or not math.isfinite(time):
            dropped += 1
        else:
            in_order = in_order and (not times or times[-1] < time)
            times.append(time)
            values.append(float(value) or 0.0)  # zero has no sign
    if in_order:
        return times, values, dropped, 0
    kept = sorted(zip(times, values, strict=True))
    times, values = [], []
    for time, group in groupby(kept, key=itemgetter(0)):
        different = sorted({value for _, value in group})
        times.append(time)
        values.append(different[0] if len(different) == 1 else median(different))
    return times, values, dropped, len(kept) - len(times)


def make_series(
    name: str,
    samples: Iterable[tuple[float, float | None]],
    *,
    unit: str,
    source: str,
    watched: Sequence[Sequence[float]] = (),
) -> Series | None:
    """A cleaned series, or None when no sample has a usable value.

    `watched` has, for each file that the series is in, the times at which it has rows of any series, in order and
    each once.
    """
    times, values, dropped, repeated = clean(samples)
    if not times:
        return None
    _, begin, end = max(((b - a, a, b) for a, b in pairwise(times)), default=(0.0, 0.0, 0.0))
    return Series(
        name=shorten(name),
        times=times,
        values=values,
        unit=unit,
        source=source,
        watched_until=max([times[-1], *(rows[-1] for rows in watched if rows)]),
        missed=len(_between(watched, begin, end)) >= MISSED,
        dropped=dropped,
        repeated=repeated,
    )


def _between(watched: Sequence[Sequence[float]], begin: float, end: float) -> set[float]:
    """The first few times of each file between two moments: enough to tell whether there are MISSED of them."""
    found: set[float] = set()
    for rows in watched:
        first = bisect_right(rows, begin)
        found.update(rows[first : min(bisect_left(rows, end), first + MISSED)])
    return found


def shorten(name: str) -> str:
    """`name` on one line, at most 160 characters."""
    flat = " ".join(name.split())
    return flat if len(flat) <= LONGEST_NAME else flat[: LONGEST_NAME - 1] + "…"
