"""Drift: a slow, steady rise or fall that does not come back, such as a leak.

Method: Theil–Sen slope (Sen 1968) on the medians of blocks, and a test of the increments against a random walk; a
broken line finds where a late drift begins (Hinkley 1971).

A slope is found in every random walk and in every morning. So there are more conditions:

- The increments from block to block are steady: their mean is large compared with their scatter.
- Two increments do not make more than half of the rise, otherwise it is a step.
- In a recording of 2 to 20 hours a rise may be the time of day. There it must be a straight line, unless the series is
  by its name something that fills up.

A restart ends a leak, so only the longest stretch between level shifts is tested.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import accumulate, pairwise

import msgspec

from metric_analyst.detectors.change import Change, Signal
from metric_analyst.detectors.rhythm import HOUR
from metric_analyst.detectors.robust import mad_sigma, median, theil_sen

METHOD = "Theil–Sen slope on block medians, increments against a random walk"
FEWEST = 24
BLOCKS, LATE_BLOCKS = 18, 7
STEADY, STEADY_LATE = 4.5, 3.5  # Student's t of the increments
JUMP = 0.5  # share of the rise that two increments have, at most
# Or these, beside at least so many blocks of a level: how many times more than it wanders by itself the rise is.
STEADY_BESIDE, JUMP_BESIDE, WANDER, FEW_BLOCKS = 2.2, 0.7, 4.5, 6
CURVED = 1.5  # the steepest third in relation to the flattest
LEAST_SHARE = 0.4


def drifts(signal: Signal, shifts: Sequence[Change] = ()) -> list[Change]:
    """Return the drift between the level shifts, at most one; nothing for fewer than 24 samples."""
    stretch = _longest_stretch(signal, shifts)
    n = len(stretch.rest)
    drift = _drift(stretch, 0) or _late(stretch) if n >= max(FEWEST, LEAST_SHARE * len(signal.rest)) else None
    if drift is None:
        return []
    if drift.end < signal.times[-1]:
        drift.state = "unknown"
    return [drift]


def without_drift(signal: Signal, drift: Change) -> Signal:
    """Return the signal as if it had stayed at the level before the drift."""
    slope = drift.magnitude / (drift.end - drift.start)

    def level(values: list[float]) -> list[float]:
        return [v - slope * max(0.0, t - drift.start) for t, v in zip(signal.times, values, strict=True)]

    raw = level(signal.raw)
    return msgspec.structs.replace(signal, raw=raw, rest=level(signal.rest) if signal.period else raw)


def _longest_stretch(signal: Signal, shifts: Sequence[Change]) -> Signal:
    times = signal.times
    edges = [0, len(times)]
    for shift in shifts:  # what is a shift with an end may be a leak and a restart
        edges.append(bisect_right(times, shift.end) if shift.returned else bisect_left(times, shift.start))
    first, last = max(pairwise(sorted(edges)), key=lambda pair: pair[1] - pair[0])
    return msgspec.structs.replace(
        signal, times=times[first:last], raw=signal.raw[first:last], rest=signal.rest[first:last]
    )


def _late(signal: Signal) -> Change | None:
    """Return a drift that begins after a level: where a line through the rest of the series fits best."""
    values, n = signal.rest, len(signal.rest)
    edges, blocks = _blocks(values, min(60, n // 4))
    first = edges[_hinge(blocks)]
    if n - first < max(FEWEST, 2 * LATE_BLOCKS) or first < n // 10:
        return None
    return _drift(signal, first)


def _blocks(values: Sequence[float], count: int) -> tuple[list[int], list[float]]:
    """Return where `count` blocks of equal length begin, and their medians."""
    edges = [len(values) * k // count for k in range(count + 1)]
    return edges, [median(values[a:b]) for a, b in pairwise(edges)]


def _hinge(values: Sequence[float]) -> int:
    """Return where a level turns into a line with the least squares."""
    n = len(values)
    sums, weighted = [0.0, *accumulate(values)], [0.0, *accumulate(i * v for i, v in enumerate(values))]
    best, where = float("inf"), 0
    for hinge in range(n // 10, n - 6):
        level, m = sums[hinge] / hinge if hinge else values[0], n - hinge
        # The line starts at the level: its slope is that of the least squares through this point.
        along = weighted[n] - weighted[hinge] - hinge * (sums[n] - sums[hinge]) - level * m * (m - 1) / 2
        squares = (m - 1) * m * (2 * m - 1) / 6
        rest = -level * level * hinge - along * along / squares
        rest -= 2 * level * (sums[n] - sums[hinge]) - level * level * m
        if rest < best:
            best, where = rest, hinge
    return where


def _drift(signal: Signal, first: int) -> Change | None:
    times, values = signal.times[first:], signal.rest[first:]
    n = len(values)
    count = min(LATE_BLOCKS if first else BLOCKS, n // 3)
    blocks = _blocks(values, count)[1]
    slope, start = theil_sen(_blocks(times, count)[1], blocks)
    sign = 1.0 if slope > 0 else -1.0
    total = slope * (times[-1] - times[0])
    steps = [sign * (b - a) for a, b in pairwise(blocks)]
    steady, largest = _steadiness(steps), sum(sorted(steps)[-2:]) / (sum(steps) or 1.0)
    rising = steady / (STEADY_LATE if first else STEADY) if largest <= JUMP else 0.0
    before = _blocks(signal.rest[:first], max(1, first * count // n))[1] if first else []
    if len(before) > FEW_BLOCKS and largest <= JUMP_BESIDE:
        wander = WANDER * mad_sigma([b - a for a, b in pairwise(before)], 0.0) * count**0.5
        rising = max(rising, min(steady / STEADY_BESIDE, abs(total) / wander if wander else 10.0))
    if rising < 1 or not total or not _straight_enough(signal, times, blocks):
        return None
    blur = (times[-1] - times[0]) / 6  # a line's start is not known exactly
    return Change(
        type="drift",
        start=times[0],
        end=times[-1],
        before=start + slope * times[0],
        after=start + slope * times[-1],
        strength=min(rising, 10.0),
        samples=n,
        state="ongoing",
        early=blur,
        late=blur,
        method=METHOD,
        detail={"per_hour": slope * HOUR},
    )


def _steadiness(steps: Sequence[float]) -> float:
    """Return Student's t of the increments: about normal for a random walk, large for a steady rise."""
    n = len(steps)
    mean = sum(steps) / n
    spread = (sum((s - mean) ** 2 for s in steps) / (n - 1)) ** 0.5
    return mean / spread * n**0.5 if spread > abs(mean) * 1e-9 else 100.0


def _straight_enough(signal: Signal, times: Sequence[float], blocks: Sequence[float]) -> bool:
    span = times[-1] - times[0]
    if signal.stock or signal.period >= 20 * HOUR or not 2 * HOUR < span < 20 * HOUR:
        return True
    third = len(blocks) // 3
    levels = map(median, (blocks[:third], blocks[third:-third], blocks[-third:]))
    rises = [after - before for before, after in pairwise(levels)]
    slopes = [theil_sen(range(third), blocks[k * third : (k + 1) * third])[0] for k in range(3)]
    parts = [abs(x) for x in (*rises, *(slope * third for slope in slopes))]
    return min(*rises, *slopes) * max(*rises, *slopes) > 0 and max(parts) < CURVED * min(parts)
