"""Flat lines: a series that used to vary is stuck at one value, or has no more samples.

Method: the longest run (a runs test, Wald & Wolfowitz 1940). If a share p of the neighbours outside it are equal, a run
of n equal values has the probability p^n by chance. It must also be four times as long as any other run. For missing
samples, the longest gap is compared with the other gaps, unless all series of a source have it.
"""

from __future__ import annotations

import math
from array import array
from heapq import nlargest
from itertools import chain, pairwise
from operator import eq, sub

from metric_analyst.detectors.change import FEWEST, Change
from metric_analyst.detectors.robust import median
from metric_analyst.readers.series import Series

METHOD_STUCK = "longest run of equal values (runs test)"
METHOD_MISSING = "longest gap against the usual time between samples"
SHORTEST = 6  # samples
TIMES_LONGER = 4
CHANCE = 1e-6
REGULAR = 0.8
RECENT = 40  # gaps before the longest one, which show what is usual
MOSTLY = 0.9  # share of equal neighbours above which a series does not vary anyway


def flat_lines(series: Series) -> list[Change]:
    """Return the stuck and the missing stretch, if any. The magnitude is their length in seconds."""
    return [change for change in (_stuck(series), _missing(series)) if change]


def _stuck(series: Series) -> Change | None:
    values, n = series.values, len(series.values)
    if sum(map(eq, values, values[1:])) < SHORTEST - 1:
        return None
    changes = (i for i, (a, b) in enumerate(pairwise(values), 1) if a != b)
    edges = array("q", chain([0], changes, [n]))
    lengths = array("q", map(sub, edges[1:], edges))
    length = max(lengths)
    run = lengths.index(length)
    first, last = edges[run], edges[run + 1] - 1
    outside = n - length
    # A run at the start has no time before it: something started there, which a level shift says better.
    if min(length, outside, len(lengths), first) < SHORTEST:
        return None
    second = max((other for i, other in enumerate(lengths) if i != run), default=0)
    same = (outside - (len(lengths) - 1) + 1) / (outside + 2)
    surprise = length * math.log(same) / math.log(CHANCE) if same <= MOSTLY else 0.0
    strength = min(surprise, length / (TIMES_LONGER * second), 10.0)
    if strength < 1:
        return None
    before = values[:first]
    return Change(
        type="flat_line",
        start=series.times[first],
        end=series.times[last],
        before=median(before[-max(length, FEWEST) :]),
        after=values[first],
        strength=strength,
        samples=length,
        state="over" if last < n - 1 else "ongoing",
        late=series.step,
        method=METHOD_STUCK,
        detail={"kind": "stuck", "value": values[first], "usual_low": min(before), "usual_high": max(before)},
    )


def _missing(series: Series) -> Change | None:
    times = series.times
    gaps = array("d", map(sub, times[1:], times))
    gaps.append(series.recorded_until - times[-1])
    longest = max(gaps)
    place = gaps.index(longest)
    over = place < len(times) - 1
    usual = sorted(b - a for a, b in pairwise(times[max(0, place - RECENT) : place + 1]))
    if len(usual) < FEWEST - 1:
        return None
    # Only regular samples can be missing: many metrics exist only while there is something to count.
    step = usual[len(usual) // 2]
    regular = usual[int(REGULAR * len(usual))] <= 1.5 * step
    if not regular or longest < SHORTEST * step or (over and not series.missed):
        return None
    _, other = nlargest(2, gaps)
    strength = min(longest / (SHORTEST * step), longest / (TIMES_LONGER * other), 10.0)
    if strength < 1:
        return None
    return Change(
        type="flat_line",
        start=times[place],
        end=times[place + 1] if over else series.recorded_until,
        before=median(series.values[max(0, place - FEWEST + 1) : place + 1]),
        after=series.values[place],
        strength=strength,
        samples=int(longest / step) - 1,
        state="over" if over else "ongoing",
        late=min(series.step, longest),
        method=METHOD_MISSING,
        detail={"kind": "missing", "usual_step_s": step},
    )
