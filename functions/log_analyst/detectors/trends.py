"""Trends: a template whose rate rises or falls steadily, without a burst.

Method: the concordance of pairs (Mann 1945) among the counts of eight equal stretches, and among their ratios to all
other ordinary lines, so that a day's rise and fall is no trend. The two last stretches have at least twice the lines of
the two first, or half, by more than chance gives, and no single step makes most of the difference. Most other ordinary
templates do not change like that: health checks may be half of a log, and do not follow its traffic.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations, pairwise
from math import sqrt
from statistics import median

from log_analyst.detectors.comparing import Candidate
from log_analyst.detectors.timeline import Timeline
from log_analyst.detectors.window import dispersion
from log_analyst.readers import levels

_STRETCHES = 8
_FEWEST = 80  # lines
_CONCORDANT = 0.75  # share of the pairs of stretches that go one way
_TIMES, _SIGMAS = 2.0, 5.0
_CONFIDENCE = 0.6
_STEP = 0.65  # share of the difference that one step makes, at most: a line makes 0.33, a jump all of it


def trends(timeline: Timeline) -> Iterator[Candidate]:
    """Yield the templates whose rate rises, or if they are no warnings or errors, falls.

    Usual are as many lines as at the rate of the first quarter of the recording.
    """
    is_part = any(row.older or row.later for row in timeline.rows)  # an alert's window had the buckets made for it
    if timeline.grid is None or timeline.grid.size < 4 * _STRETCHES or is_part:
        return
    ordinary = _stretches(timeline.ordinary)
    growths = {
        id(row): _growth(counts)
        for row in timeline.rows
        if row.level < levels.WARNING and sum(counts := _stretches(row.series)) >= _FEWEST
    }
    for row in timeline.rows:
        counts = _stretches(row.series)
        is_ordinary = row.level < levels.WARNING
        others = [all_lines - count * is_ordinary for all_lines, count in zip(ordinary, counts, strict=True)]
        if row.coarse or sum(counts) < _FEWEST or not all(others):
            continue
        before, after = sum(counts[:2]), sum(counts[-2:])
        chance = sqrt(dispersion(row.series) * (before + after))
        ratios = [count / other for count, other in zip(counts, others, strict=True)]
        if abs(after - before) < _SIGMAS * chance or (after < before and not is_ordinary):
            continue
        usual = median([growths[key] for key in growths if key != id(row)] or [1.0])
        relative = _growth(counts) / usual
        if (relative if after > before else 1 / relative) < _TIMES:
            continue
        if _goes_one_way(counts) and _goes_one_way(ratios):
            yield Candidate("trend", row, 0, timeline.grid.size, 4.0 * before, _CONFIDENCE)


def _stretches(series: Sequence[int]) -> list[int]:
    edges = [len(series) * k // _STRETCHES for k in range(_STRETCHES + 1)]
    return [sum(series[a:b]) for a, b in pairwise(edges)]


def _growth(counts: Sequence[int]) -> float:
    return (sum(counts[-2:]) + 1) / (sum(counts[:2]) + 1)


def _goes_one_way(values: Sequence[float]) -> bool:
    """Return whether the values rise by small steps to twice as much, or fall to half. They are compared in twos."""
    ordered = values if values[-1] > values[0] else values[::-1]
    pairs = list(combinations(ordered, 2))
    twos = [a + b for a, b in pairwise(ordered)]
    steps = [later - now for now, later in zip(twos, twos[2:], strict=False)]
    rising = sum(a < b for a, b in pairs) >= _CONCORDANT * len(pairs)
    return rising and twos[-1] >= _TIMES * twos[0] and max(steps) <= _STEP * (twos[-1] - twos[0])
