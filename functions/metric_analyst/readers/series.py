"""A series: one metric over time, cleaned, with what was left out of it."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from itertools import groupby
from operator import itemgetter, sub

import msgspec

from metric_analyst.detectors.robust import median
from metric_analyst.readers.table import HUGEST, Column
from tailrace.errors import shorten

LONGEST_NAME = 160
MOST_GAPS = 10_000
MISSED = 3  # samples of other series in a gap, from which on the gap's samples are missing


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """One metric over time.

    `times` (seconds since the epoch) strictly increase; `values` has a finite value for each. Neither is to be changed:
    series of one file share their times. `unit` is "" if unknown.
    `recorded_until` is the last time at which the sources of the series have any sample: a series that ends long before
    went missing. `missed` is whether its longest gap is one of its own: other series have samples in it, or there are
    no others. `dropped` samples had no usable value, and `repeated` ones the time of another.
    """

    name: str
    times: Sequence[float]
    values: Sequence[float]
    unit: str
    recorded_until: float
    missed: bool = False
    dropped: int = 0
    repeated: int = 0

    @property
    def span(self) -> float:
        """Seconds from the first to the last sample."""
        return self.times[-1] - self.times[0] if self.times else 0.0

    @property
    def step(self) -> float:
        """Seconds between samples: the median of the gaps, of many about 10,000; 0 with fewer than two samples."""
        times = self.times
        every = max(1, len(times) // MOST_GAPS)
        return median([times[i + 1] - times[i] for i in range(0, len(times) - 1, every)])


def clean(samples: Iterable[tuple[float, float | None]]) -> tuple[list[float], list[float], int, int]:
    """Return times and values in order, how many samples had no usable value, and how many had the time of another.

    Of several values at one time, the median of the *different* ones counts, so that sending a file twice changes
    nothing. None, NaN, infinities and values beyond 1e150 are left out.
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
            values.append(float(value) or 0.0)  # no negative zero
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
    samples: Column | Iterable[tuple[float, float | None]],
    *,
    unit: str,
    recorded: Sequence[Sequence[float]] = (),
    single: bool = False,
) -> Series | None:
    """Return a cleaned series; None if no sample has a usable value.

    `recorded` has, for each file of the series, the times of all its rows, strictly increasing. `single` is whether
    those files have no other series.
    """
    times: Sequence[float]
    values: Sequence[float]
    if isinstance(samples, Column) and samples.whole:
        times, values, dropped, repeated = samples.times, samples.values, 0, 0
    else:
        times, values, dropped, repeated = clean(samples.samples if isinstance(samples, Column) else samples)
    if not times:
        return None
    gaps = array("d", map(sub, times[1:], times)) or [0.0]
    longest = gaps.index(max(gaps))
    begin, end = times[longest], times[min(longest + 1, len(times) - 1)]
    return Series(
        name=shorten(" ".join(name.split()), LONGEST_NAME),
        times=times,
        values=values if isinstance(values, array) else array("d", values),
        unit=unit,
        recorded_until=max([times[-1], *(rows[-1] for rows in recorded if rows)]),
        missed=single or len(_between(recorded, begin, end)) >= MISSED,
        dropped=dropped,
        repeated=repeated,
    )


def _between(recorded: Sequence[Sequence[float]], begin: float, end: float) -> set[float]:
    """Return the first few times of each file between two times: enough to tell whether there are MISSED."""
    times: set[float] = set()
    for rows in recorded:
        first = bisect_right(rows, begin)
        times.update(rows[first : min(bisect_left(rows, end), first + MISSED)])
    return times
