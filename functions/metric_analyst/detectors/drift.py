"""Drift: a slow, steady rise or fall that does not come back, such as a leak.

Method: Theil–Sen slope (Sen 1968) with the Mann–Kendall trend statistic (Mann 1945) on the medians of blocks, and a
test of the increments against a random walk.

Mann–Kendall alone finds a trend in every random walk and in every morning. So there are more conditions:

- The increments from block to block are steady: their mean is large compared with their scatter.
- Two increments do not make more than half of the rise, otherwise it is a step.
- The whole rise is clearly larger than the noise.
- In a recording of 2 to 20 hours a rise may be the time of day. There it must be a straight line, unless the series is
  by its name something that fills up.

A drift may start late, so it is also tried from the hinge that fits best. A restart ends a leak, so only the longest
stretch between level shifts is tested.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import pairwise

import msgspec

from metric_analyst.detectors.change import Change, Signal
from metric_analyst.detectors.robust import kendall_tau, mad_sigma, median, noise_floor, theil_sen

METHOD = "Theil–Sen slope and Mann–Kendall on block medians, increments against a random walk"
FEWEST = 24
BLOCKS = 18
ONSETS = 24
TAU = 0.85
STEADY = 4.5
NOISES = 3.0
CURVED = 1.5  # the steepest third in relation to the flattest
HOUR = 3600.0
LEAST_SHARE = 0.4


def drifts(signal: Signal, shifts: Sequence[Change] = ()) -> list[Change]:
    """Return the drift between the level shifts, at most one; nothing for fewer than 24 samples."""
    total = len(signal.rest)
    signal = _longest_stretch(signal, shifts)
    n = len(signal.rest)
    if n < FEWEST or n < LEAST_SHARE * total:
        return []
    late = (n // 3, n // 2) if signal.stock or not _time_of_day(signal) else ()
    for first in (0, *late):
        if n - first < FEWEST:
            break
        drift = _drift(signal, max(first, _onset(signal, first)) if first else 0)
        if drift:
            return [drift]
    return []


def _longest_stretch(signal: Signal, shifts: Sequence[Change]) -> Signal:
    if not shifts:
        return signal
    times = signal.times
    edges = [0, len(times)]
    for shift in shifts:
        edges += [bisect_left(times, shift.start), bisect_right(times, shift.end)]
    first, last = max(pairwise(sorted(edges)), key=lambda pair: pair[1] - pair[0])
    return msgspec.structs.replace(
        signal, times=times[first:last], raw=signal.raw[first:last], rest=signal.rest[first:last]
    )


def _drift(signal: Signal, first: int) -> Change | None:
    times, values = signal.times[first:], signal.rest[first:]
    n = len(values)
    count = min(BLOCKS, n // 3)
    edges = [n * k // count for k in range(count + 1)]
    at = [median(times[a:b]) for a, b in pairwise(edges)]
    blocks = [median(values[a:b]) for a, b in pairwise(edges)]
    tau = kendall_tau(blocks)
    if abs(tau) < TAU:
        return None
    sign = 1.0 if tau > 0 else -1.0
    slope, start = theil_sen(at, blocks)
    total = slope * (times[-1] - times[0])
    noise = max(mad_sigma([v - start - slope * t for t, v in zip(times, values, strict=True)]), noise_floor(values))
    steps = [sign * (b - a) for a, b in pairwise(blocks)]
    steadiness = _steadiness(steps)
    strength = min(abs(total) / (NOISES * noise) if noise else 10.0, steadiness / STEADY, 10.0)
    if strength < 1 or sign * total <= 0 or _stepwise(steps) or not _straight_enough(signal, times, blocks):
        return None
    begin, end = start + slope * times[0], start + slope * times[-1]
    return Change(
        type="drift",
        start=times[0],
        end=times[-1],
        before=begin,
        after=end,
        magnitude=total,
        strength=strength,
        samples=n,
        returned=False,
        method=METHOD,
        detail={"per_hour": slope * HOUR, "tau": round(tau, 2)},
    )


def _steadiness(steps: Sequence[float]) -> float:
    """Return Student's t of the increments: about normal for a random walk, large for a steady rise."""
    n = len(steps)
    mean = sum(steps) / n
    spread = (sum((s - mean) ** 2 for s in steps) / (n - 1)) ** 0.5
    return mean / spread * n**0.5 if spread > abs(mean) * 1e-9 else 100.0


def _stepwise(steps: Sequence[float]) -> bool:
    """Return whether two increments make more than half of the rise: then it is a jump, not a drift."""
    return sum(sorted(steps)[-2:]) > 0.5 * sum(steps)


def _onset(signal: Signal, first: int) -> int:
    """Return where a level turns into a rise: the hinge with the least absolute error; `first` if it is too late."""
    n = len(signal.rest)
    edges = [n * k // ONSETS for k in range(ONSETS + 1)]
    blocks = [median(signal.rest[a:b]) for a, b in pairwise(edges)]
    best, where = float("inf"), 0
    for hinge in range(3, ONSETS * 3 // 4):
        level = median(blocks[:hinge])
        slope = median([(blocks[j] - level) / (j - hinge + 0.5) for j in range(hinge, ONSETS)])
        error = sum(abs(b - level) for b in blocks[:hinge])
        error += sum(abs(blocks[j] - level - slope * (j - hinge + 0.5)) for j in range(hinge, ONSETS))
        if error < best:
            best, where = error, edges[hinge]
    return where if n - where >= FEWEST else first


def _time_of_day(signal: Signal) -> bool:
    """Return whether the time of day may explain a rise: the recording is long enough, but too short for a rhythm."""
    return signal.period < 20 * HOUR and 2 * HOUR < signal.times[-1] - signal.times[0] < 48 * HOUR


def _straight_enough(signal: Signal, times: Sequence[float], blocks: Sequence[float]) -> bool:
    span = times[-1] - times[0]
    if signal.stock or signal.period >= 20 * HOUR or not 2 * HOUR < span < 20 * HOUR:
        return True
    third = len(blocks) // 3
    rises = [
        median(blocks[-third:]) - median(blocks[third:-third]),
        median(blocks[third:-third]) - median(blocks[:third]),
    ]
    slopes = [theil_sen(range(third), blocks[k * third : (k + 1) * third])[0] for k in range(3)]
    parts = [abs(x) for x in (*rises, *(slope * third for slope in slopes))]
    return min(*rises, *slopes) * max(*rises, *slopes) > 0 and max(parts) < CURVED * min(parts)
