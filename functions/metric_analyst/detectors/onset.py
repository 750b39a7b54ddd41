"""Onsets: a series that rests at one value (errors: 0) becomes active and stays active for a while.

Method: a scan statistic (Naus 1965), a burst of an indicator on a binomial background. The indicator is "not the usual
value". Level shifts compare medians with noise, but a series at rest has no noise, and an active one often has so much
that no median is far from 0. Here it only counts that the series is active for much longer than it is now and then.

Only recordings of up to 6 hours are tested: over days a series may rest at night.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from metric_analyst.detectors.change import Change, Signal
from metric_analyst.detectors.robust import median

METHOD = "burst of samples off the usual value against a binomial background"
FEWEST = 24
LONGEST = 6 * 3600.0  # seconds
AT_REST = 0.3  # share of samples at the usual value, at least
SHORTEST = 8  # samples
PAUSE = 5  # samples at rest within a burst
ACTIVE = 0.6  # share of a burst that is not at rest, at least
ACTIVE_OUTSIDE = 0.05  # share of active samples outside bursts, at most
ONE_SIDED = 0.95
CHANCE = 1e-6
TIMES_LONGER = 3  # than the longest activity that is no burst
MOST = 3


def onsets(signal: Signal) -> list[Change]:
    """Return at most three onsets in order of time; none if the series is seldom at rest or often active."""
    values, times = signal.raw, signal.times
    n = len(values)
    if n < FEWEST or times[-1] - times[0] > LONGEST:
        return []
    rest, count = Counter(values).most_common(1)[0]
    if count < AT_REST * n:
        return []
    active = [i for i, value in enumerate(values) if value != rest]
    runs = _bursts(active)
    bursts = [b for b in runs if _length(b) >= SHORTEST and len(b) >= ACTIVE * _length(b)]
    longest_other = max((_length(b) for b in runs if b not in bursts), default=0)
    bursts = [b for b in bursts if _length(b) >= TIMES_LONGER * longest_other]
    inside = sum(len(b) for b in bursts)
    outside = n - sum(_length(b) for b in bursts)
    if not 0 < len(bursts) <= MOST or outside < FEWEST // 2 or len(active) - inside > ACTIVE_OUTSIDE * outside:
        return []
    usual = (len(active) - inside + 1) / (outside + 2)
    changes = [_change(signal, rest, burst, usual) for burst in bursts if burst[0] >= FEWEST // 2]
    return [change for change in changes if change.strength >= 1 and change.magnitude]


def _bursts(active: Sequence[int]) -> list[list[int]]:
    out: list[list[int]] = []
    for i in active:
        if out and i - out[-1][-1] <= PAUSE + 1:
            out[-1].append(i)
        else:
            out.append([i])
    return out


def _length(burst: Sequence[int]) -> int:
    return burst[-1] - burst[0] + 1


def _change(signal: Signal, rest: float, burst: Sequence[int], usual: float) -> Change:
    length, share = _length(burst), len(burst) / _length(burst)
    surprise = share * math.log(share / usual) + ((1 - share) * math.log((1 - share) / (1 - usual)) if share < 1 else 0)
    values = signal.raw[burst[0] : burst[-1] + 1]
    level = median(values)
    sides = sum((signal.raw[i] > rest) == (level > rest) for i in burst)
    strength = length * surprise / -math.log(CHANCE) if sides >= ONE_SIDED * len(burst) else 0.0
    return Change(
        type="level_shift",
        start=signal.times[burst[0]],
        end=signal.times[burst[-1]],
        before=rest,
        after=level,
        magnitude=level - rest,
        strength=min(strength, 10.0),
        samples=length,
        returned=burst[-1] < len(signal.raw) - 1 - PAUSE,
        method=METHOD,
        detail={"highest": max(values), "lowest": min(values)},
    )
