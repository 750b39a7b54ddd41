"""Rhythms: what a series does every day, or every few minutes, is removed before changes are looked for.

Method: a profile of medians around a running median (a robust classical decomposition; STL without the loess, Cleveland
et al. 1990). The day is tried first, because the calendar is better evidence than any statistic. Otherwise the period
comes from the autocorrelation of the clipped series, if it repeats at least four times.

1. The trend is a running median over one period, so that the profile does not contain level shifts.
2. The profile is the median distance from the trend at each point of the period.
3. Weekends have their own profile, and their own level compared with the working days around them. Where the weekend
   starts in UTC depends on where the users live, so several borders are tried.
4. With fewer than two periods, or with days that do not resemble each other, nothing is removed.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from metric_analyst.detectors.robust import (
    centred_median,
    mad_sigma,
    median,
    quantile,
    rolling_median,
    spearman,
    theil_sen,
)

DAY = 86_400.0
MOST_SLOTS = 288
ALIKE = 0.35  # rank correlation of one day with the next, at least
CERTAIN = 2.2  # standard errors of that correlation
FEWEST_PERIODS = 4
AUTOCORRELATION = 0.5
COARSE = 400  # samples of the autocorrelation
BORDERS = (0, -5, -8, 2, 5, 9)  # hours from UTC at which users' weekends may start


def without_rhythm(times: Sequence[float], values: list[float]) -> tuple[list[float], float]:
    """Return the values without their rhythm, and its period in seconds; without a rhythm the same list and 0."""
    if len(times) < 40:
        return values, 0.0
    span = times[-1] - times[0]
    if span >= 1.9 * DAY:
        if len(times) < 16 * span / DAY:
            return values, 0.0
        around = _around(times, values, DAY)
        if not _days_alike(times, around):
            return values, 0.0
        return _without_days(times, values, around), DAY
    period = _period(times, values)
    if not period:
        return values, 0.0
    profile = Profile(times, _around(times, values, period), period)
    return [value - profile.at(time) for time, value in zip(times, values, strict=True)], period


class Profile:
    """The median at each point of the period, with linear interpolation."""

    def __init__(self, times: Sequence[float], values: Sequence[float], period: float) -> None:
        per_period = len(times) / max(1.0, (times[-1] - times[0]) / period)
        self.period, self.slots = period, max(4, min(MOST_SLOTS, int(per_period)))
        by_slot: list[list[float]] = [[] for _ in range(self.slots)]
        for time, value in zip(times, values, strict=True):
            by_slot[int(time % period / period * self.slots) % self.slots].append(value)
        known = [i for i, slot in enumerate(by_slot) if slot]
        self.medians = [median(slot) if slot else 0.0 for slot in by_slot]
        for i, slot in enumerate(by_slot):
            if not slot:
                self.medians[i] = self.medians[min(known, key=lambda k: min(abs(k - i), self.slots - abs(k - i)))]
        middle = median(self.medians)
        self.medians = [value - middle for value in self.medians]

    def at(self, time: float) -> float:
        """Return the profile's value at a time in seconds since the epoch."""
        place = time % self.period / self.period * self.slots - 0.5
        low = int(place // 1)
        share = place - low
        return self.medians[low % self.slots] * (1 - share) + self.medians[(low + 1) % self.slots] * share


def _around(times: Sequence[float], values: Sequence[float], period: float) -> list[float]:
    """Return the distance of the values from their trend.

    It is computed twice, because a rhythm bends the running median of a rising series.
    """
    width = max(3, round(len(times) * period / (times[-1] - times[0])))
    middle = rolling_median(values, min(width, len(values)))
    head = width // 2
    # Constant at the ends, where half of a period is missing: a shrinking window would follow the rhythm.
    trend = [middle[0]] * head + middle + [middle[-1]] * (len(values) - len(middle) - head)
    profile = Profile(times, [v - t for v, t in zip(values, trend, strict=True)], period)
    trend = centred_median([v - profile.at(t) for t, v in zip(times, values, strict=True)], width)
    return [value - level for value, level in zip(values, trend, strict=True)]


def _days_alike(times: Sequence[float], values: Sequence[float]) -> bool:
    """Return whether the hours of one day rank like those of the next, in the median over all pairs of days.

    With few days the correlation must be high, because noise of one day correlates with that of the next by 0.2.
    """
    hours: dict[int, list[float]] = {}
    for time, value in zip(times, values, strict=True):
        hours.setdefault(int(time // 3600), []).append(value)
    medians = {hour: median(values) for hour, values in hours.items()}
    first, last = min(hours), max(hours)
    correlations = []
    pairs = 0
    for start in range(first, last - 24 - 11, 24):
        shared = [h for h in range(start, start + 24) if h in medians and h + 24 in medians]
        if len(shared) >= 12:
            pairs += len(shared)
            correlations.append(spearman([medians[h] for h in shared], [medians[h + 24] for h in shared]))
    return bool(correlations) and median(correlations) >= max(ALIKE, CERTAIN / pairs**0.5)


def is_weekend(time: float, border: float) -> bool:
    """Return whether it is Saturday or Sunday where a day starts `border` hours after it does in UTC."""
    return int((time - border * 3600) // DAY + 3) % 7 >= 5  # 1970-01-01 was a Thursday


def _without_days(times: Sequence[float], values: Sequence[float], around: Sequence[float]) -> list[float]:
    kinds = {border: [is_weekend(time, border) for time in times] for border in BORDERS}
    best: tuple[float, list[float]] | None = None
    for weekend in kinds.values():
        share = sum(weekend) / len(weekend)
        if not 0.05 < share < 0.9 or times[-1] - times[0] < 2.5 * DAY:
            weekend = [False] * len(weekend)
        rest = _without_kinds(times, values, around, weekend)
        trend = centred_median(rest, round(len(times) * DAY / 2 / (times[-1] - times[0])))
        rough = sum(abs(r - t) for r, t in zip(rest, trend, strict=True))
        if best is None or rough < 0.97 * best[0]:
            best = (rough, rest)
        if not any(weekend):
            break
    assert best is not None
    return best[1]


def _without_kinds(
    times: Sequence[float], values: Sequence[float], around: Sequence[float], weekend: list[bool]
) -> list[float]:
    working = [i for i, flag in enumerate(weekend) if not flag]
    resting = [i for i, flag in enumerate(weekend) if flag]
    profile = Profile([times[i] for i in working], [around[i] for i in working], DAY)
    expected = [profile.at(time) for time in times]
    if not resting:
        return [value - e for value, e in zip(values, expected, strict=True)]
    if len(resting) > 1.6 * len(times) * DAY / (times[-1] - times[0]):
        own = Profile([times[i] for i in resting], [around[i] for i in resting], DAY)
        for i in resting:
            expected[i] = own.at(times[i])
    else:
        # One day is too little for its own profile, so it gets the working days', scaled.
        factor, _ = theil_sen([expected[i] for i in resting], [around[i] for i in resting])
        for i in resting:
            expected[i] *= max(0.0, min(factor, 2.0))
    rest = [value - e for value, e in zip(values, expected, strict=True)]
    for begin, end in _stretches(weekend):
        beside = _beside(times, rest, weekend, begin, end)
        if beside:
            level = median(rest[begin:end]) - median(beside)
            for i in range(begin, end):
                rest[i] -= level
    return rest


def _stretches(flags: Sequence[bool]) -> list[tuple[int, int]]:
    out: list[tuple[int, int]] = []
    for i, flag in enumerate(flags):
        if flag and i and flags[i - 1]:
            out[-1] = (out[-1][0], i + 1)
        elif flag:
            out.append((i, i + 1))
    return out


def _beside(
    times: Sequence[float], rest: Sequence[float], weekend: Sequence[bool], begin: int, end: int
) -> list[float]:
    """Return the values within a day before and after a weekend."""
    low = bisect_left(times, times[begin] - DAY)
    high = bisect_right(times, times[end - 1] + DAY)
    return [rest[i] for i in (*range(low, begin), *range(end, high)) if not weekend[i]]


def _period(times: Sequence[float], values: Sequence[float]) -> float:
    """Return the period with the highest autocorrelation, also at its multiples, in seconds; 0 if there is none."""
    n = min(len(values), COARSE)
    step = (times[-1] - times[0]) / (n - 1)
    grid = _on_grid(times, values, n)
    slope, start = theil_sen([float(i) for i in range(n)], grid)
    flat = [value - start - slope * i for i, value in enumerate(grid)]
    spread = mad_sigma(flat, 0.0) or quantile([abs(f) for f in flat], 0.9)
    if not spread:
        return 0.0
    flat = [max(-3 * spread, min(3 * spread, f)) for f in flat]
    power = sum(f * f for f in flat) / n
    lags = range(n // FEWEST_PERIODS + 1)
    correlations = [sum(a * b for a, b in zip(flat, flat[lag:], strict=False)) / (n - lag) / power for lag in lags]
    dips = [lag for lag in lags if correlations[lag] < 0.2]
    if not dips:
        return 0.0
    highest = max(correlations[dips[0] :])
    peaks = (
        lag for lag in lags[dips[0] + 1 : -1] if correlations[lag - 1] <= correlations[lag] >= correlations[lag + 1]
    )
    # The multiples of a period correlate as well as the period itself, so the first high peak is taken.
    best = next((lag for lag in peaks if correlations[lag] >= 0.85 * highest), 0)
    if best < 4 or correlations[best] < AUTOCORRELATION:
        return 0.0
    if not all(_correlation(flat, best * k, power) >= AUTOCORRELATION / 2 for k in range(2, FEWEST_PERIODS)):
        return 0.0
    # The third multiple gives the period three times as exactly.
    around = range(3 * best - 2, min(3 * best + 3, n - 4))
    third = max(around, key=lambda lag: _correlation(flat, lag, power), default=3 * best)
    return third / 3 * step


def _correlation(flat: Sequence[float], lag: int, power: float) -> float:
    n = len(flat) - lag
    return sum(a * b for a, b in zip(flat, flat[lag:], strict=False)) / n / power if n > 0 else 0.0


def _on_grid(times: Sequence[float], values: Sequence[float], n: int) -> list[float]:
    """Return the last value at or before each of `n` evenly spaced times."""
    first, step = times[0], (times[-1] - times[0]) / (n - 1)
    return [values[max(0, bisect_right(times, first + i * step + step / 2) - 1)] for i in range(n)]
