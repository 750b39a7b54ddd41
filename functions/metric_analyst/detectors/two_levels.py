"""Two levels: a recording that is too short for running medians, or has no noise that a jump could be compared with.

Method: Otsu's threshold (1979), and the rise from one level to the other in the usual steps of the series. A series
that rests at one value (errors: 0) has no noise there, and often so much elsewhere that no median is far from it. Of
such a series only whether it is active is looked at.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from metric_analyst.detectors.robust import TO_SIGMA, mad_sigma, median, rolling_median

FEWEST, MOST = 12, 80  # samples; more have windows enough, and a walk of more has two levels by chance
LEAST = 5  # samples on each level, at least
NOISES = 4.0
QUIET_NOISES = 8.0
SUDDEN = 5.0
AT_REST = 0.3  # share of the samples at one value, at least
PAUSE = 5  # samples at rest while a series is active, at most
ACTIVE, ACTIVE_OUTSIDE = 0.6, 0.05  # share of active samples in an active stretch, at least, and elsewhere, at most
SHORTEST = 8  # samples of an active stretch
CAUTION = 8.0  # by how much few samples raise both thresholds


def two_levels(values: Sequence[float]) -> list[tuple[int, float]]:
    """Return where a series of 12 to 80 samples, or one without noise, changes between two levels.

    These are at most two places, each as (first sample, strength).

    The threshold splits the values into two groups. Each must be an unbroken stretch, but one may be on both sides of
    the other. By chance that has a probability below 1 in 1,000 with 12 samples, far less with more.
    The groups must be apart by 4 times their noise, or by 8 times that of the quieter one. The change between them must
    be much larger than the usual change from sample to sample.
    """
    n = len(values)
    if n < FEWEST:
        return []
    threshold = _otsu(sorted(values))
    high = _without_strays([value > threshold for value in values])
    splits = [i for i in range(1, n) if high[i] != high[i - 1]]
    lengths = [b - a for a, b in pairwise([0, *splits, n])]
    if not 1 <= len(splits) <= 2 or min(lengths) < (LEAST if len(splits) == 1 else LEAST - 1):
        return []
    up = [v for v, flag in zip(values, high, strict=True) if flag]
    down = [v for v, flag in zip(values, high, strict=True) if not flag]
    noise = mad_sigma(up), mad_sigma(down)
    if n > MOST and any(noise):
        return []
    apart = median(up) - median(down)
    caution = 1 + CAUTION / n
    needed = caution * max(min(NOISES * sum(noise) / 2, QUIET_NOISES * min(noise)), sum(noise))
    shifts = []
    for split in splits:
        sudden = _suddenness(values, split)
        shifts.append((split, min(apart / needed if needed else 10.0, sudden / SUDDEN / caution, 10.0)))
    return shifts if all(strength >= 1 for _, strength in shifts) else []


def activity(values: Sequence[float]) -> tuple[int, int] | None:
    """Return the first sample of the stretch in which a series is active that otherwise rests, and the one after it.

    None if it has no such stretch, is seldom at rest, or is now and then active outside it.
    """
    rest, count = Counter(values).most_common(1)[0]
    if count < AT_REST * len(values):
        return None
    active = [float(value != rest) for value in values]
    busy = [at for at, mostly in enumerate(rolling_median(active, 2 * PAUSE + 1), PAUSE) if mostly]
    if not busy or busy[0] < FEWEST:
        return None
    first, end = _edge(active, busy[0], -1), _edge(active, busy[-1], 1) + 1
    inside, outside = sum(active[first:end]), sum(active[:first]) + sum(active[end:])
    others = len(values) - (end - first)
    is_clear = inside >= ACTIVE * (end - first) and others >= FEWEST and outside <= ACTIVE_OUTSIDE * others
    return (first, end) if is_clear and end - first >= SHORTEST else None


def _edge(active: Sequence[float], at: int, step: int) -> int:
    """Return the outermost active sample that one reaches from sample `at` on, in steps of 1 or −1, over pauses."""
    edge = at
    while 0 <= at < len(active) and abs(at - edge) <= PAUSE:
        edge = at if active[at] else edge
        at += step
    return edge


def _without_strays(high: list[bool]) -> list[bool]:
    """Return `high` with single samples on the wrong side corrected, if they are at most one in twelve."""
    strays = [i for i in range(1, len(high) - 1) if high[i - 1] != high[i] != high[i + 1]]
    if len(strays) > len(high) // 12:
        return high
    return [flag != (i in strays) for i, flag in enumerate(high)]


def _suddenness(values: Sequence[float], split: int) -> float:
    """Return the rise across the split in usual steps of the quieter side. A random walk crosses in usual steps."""
    rise = max(abs(values[j] - values[i]) for i in (split - 1, split - 2) for j in (split, split + 1))
    steps = [abs(b - a) for a, b in pairwise(values)]
    ordinary = TO_SIGMA * min(median(steps[: split - 1]), median(steps[split:]))
    return rise / ordinary if ordinary else 10.0 * SUDDEN


def _otsu(ordered: Sequence[float]) -> float:
    """Return the value that splits `ordered` into two groups with the largest variance between them."""
    n, base = len(ordered), ordered[0]
    total = sum(value - base for value in ordered)
    best, where, left = -1.0, 0, 0.0
    for i in range(n - 1):
        left += ordered[i] - base
        between = (i + 1) * (n - i - 1) * (left / (i + 1) - (total - left) / (n - i - 1)) ** 2
        if ordered[i] != ordered[i + 1] and between > best:
            best, where = between, i
    return ordered[where]
