"""Counters: series that only grow, until a restart. They are read as their rate."""

from __future__ import annotations

import re
from array import array
from collections.abc import Sequence
from itertools import islice, pairwise
from operator import sub

import msgspec

from metric_analyst.readers.series import Series
from metric_analyst.readers.units import per_second

_COUNTER_NAME = re.compile(r"(?:_total|_count|_sum|_bucket|[_ ]cumulative)(?:\{.*|\s*\(.*)?$", re.IGNORECASE)
# Names of levels. A memory leak grows like a counter, but is none.
LEVEL_NAME = re.compile(
    r"mem|heap|rss|swap|disk|used|usage|size|free|avail|depth|queue|lag|backlog|open|connections|"
    r"threads|fds?\b|uptime|age|percent|%|ratio|temp|load|goroutines|inflight|active|pending",
    re.IGNORECASE,
)
FEWEST = 5
LOOKED_AT = 10_000  # steps that show whether they differ


def is_counter(series: Series) -> bool:
    """Return whether the series counts: it grows or stands still, except for restarts near zero.

    With a counter's name (Prometheus: `_total`, `_count`, `_sum`, `_bucket`) that is enough. Without one its values
    must be whole, and its name not that of a level.
    """
    values = series.values
    if len(values) < FEWEST or min(values) < 0 or not _grows(values):
        return False
    if _COUNTER_NAME.search(series.name):
        return True
    if len(values) < 4 * FEWEST or LEVEL_NAME.search(series.name):
        return False
    steps = array("d", map(sub, values[1:], values))
    # A series that rises by the same step each time is a clock or a ramp. Counts are irregular.
    return (
        all(v == int(v) for v in values)
        and len(set(steps[:LOOKED_AT])) > 4
        and sum(s > 0 for s in steps) > len(steps) / 4
    )


def _grows(values: Sequence[float]) -> bool:
    most = max(1, len(values) // 20)
    falls = list(islice(((a, b) for a, b in pairwise(values) if b < a), most + 1))
    return values[-1] != values[0] and len(falls) <= most and all(b <= a / 2 for a, b in falls)


def rate(series: Series) -> Series:
    """Return the growth per second between samples. After a fall the counter started again at 0."""
    samples = pairwise(zip(series.times, series.values, strict=True))
    rates = ((now - last if now >= last else now) / (time - before) for (before, last), (time, now) in samples)
    unit = per_second(series.unit)
    return msgspec.structs.replace(series, times=series.times[1:], values=array("d", rates), unit=unit)
