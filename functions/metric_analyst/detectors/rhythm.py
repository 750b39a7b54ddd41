"""The daily rhythm: what a series does every day is removed before changes are looked for.

Method: a profile of medians (a robust classical decomposition; STL without the loess, Cleveland et al. 1990).

1. Each day's median is taken off, so that days of different levels can be compared. The profile is the median over the
   days at each point of the day. Level shifts and single odd days stay in what is left.
2. Weekends have a profile of their own, and their own level, if that explains the hours clearly better. Where they
   start in UTC depends on where the users live, so several borders are tried.
3. With less than two days, or with days that do not resemble each other, nothing is removed. All other rhythms stay:
   the detectors compare a series with its own usual changes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import accumulate
from math import exp, log
from operator import sub

from metric_analyst.detectors.robust import mad_sigma, median, quantile, rolling_median

DAY = 86_400.0
HOUR = 3_600.0
MOST_SLOTS = 288
ALIKE = 0.35  # correlation of one day with the next, at least
CERTAIN = 1.8  # standard errors of that correlation
CLEARLY = 0.7  # of the roughness without weekends, which they must be below
BORDERS = (0, -7, 7)  # hours from UTC at which users' weekends may start
WITH_WEEKEND = 2.5 * DAY  # seconds; shorter recordings have no working days to compare a weekend with
FEWEST_IN_A_DAY = 12
NOISIER = 1.5  # times the noise of the eight lowest hours that the eight highest have, if noise grows with the level
STEADY = 0.4  # share of the usual rise from day to day that all hours have, where it is a trend
LEAST_SHARE = 0.01  # of the median; values below it have no useful logarithm


def rhythm_of(times: Sequence[float], values: list[float]) -> tuple[list[float], bool]:
    """Return what the daily rhythm adds to each value, or multiplies it with (then also True); nothing without one.

    It multiplies where the series is noisier when it is high.
    """
    added = _rhythm(times, values)
    if not added or min(values) < 0 or not _noisier_when_high(times, values, added):
        return added, False
    least = LEAST_SHARE * median(values)
    if quantile(values, 0.05) <= least:
        return added, False
    logs = _rhythm(times, [log(max(value, least)) for value in values])
    return ([exp(share) for share in logs], True) if logs else (added, False)


def _noisier_when_high(times: Sequence[float], values: Sequence[float], added: Sequence[float]) -> bool:
    noise: list[list[float]] = [[] for _ in range(24)]
    level: list[list[float]] = [[] for _ in range(24)]
    rest = list(map(sub, values, added))
    for time, value, step in zip(times[1:], values[1:], map(sub, rest[1:], rest), strict=True):
        hour = int(time % DAY / HOUR)
        noise[hour].append(abs(step))
        level[hour].append(value)
    hours = sorted(zip(map(median, level), map(median, noise), strict=True))
    quiet, noisy = (median([each for _, each in some]) for some in (hours[:8], hours[-8:]))
    return noisy > NOISIER * quiet


def _rhythm(times: Sequence[float], values: list[float]) -> list[float]:
    span = times[-1] - times[0]
    if span < 1.9 * DAY or len(times) < FEWEST_IN_A_DAY * span / DAY:
        return []
    by_hour: dict[float, list[float]] = defaultdict(list)
    for time, value in zip(times, values, strict=True):
        by_hour[time // HOUR].append(value)
    hours = {int(hour): median(part) for hour, part in by_hour.items()}
    if not _days_alike(hours):
        return []
    slope = _slope(hours)
    hourly = [hour * HOUR for hour in hours], [value - slope * hour * HOUR for hour, value in hours.items()]
    borders = BORDERS if span >= WITH_WEEKEND else ()
    rough = {border: _roughness(_expected(*hourly, border, 24), hourly[1]) for border in (None, *borders)}
    best = min(rough, key=rough.__getitem__)
    border = best if rough[best] < CLEARLY * rough[None] else None
    slots = min(MOST_SLOTS, max(4, int(len(times) * DAY / span)))
    flat = [value - slope * time for time, value in zip(times, values, strict=True)] if slope else values
    return _expected(times, flat, border, slots)


def is_weekend(day: float) -> bool:
    """Return whether a day, by its number since 1970-01-01 in UTC, is a Saturday or a Sunday."""
    return (day + 3) % 7 >= 5


def _days_alike(hours: dict[int, float]) -> bool:
    """Return whether the hours of one day are like those of the next, in the median over all pairs of days.

    With few days the correlation must be high, because noise of one day correlates with that of the next by 0.2.
    """
    values = list(hours.values())
    trend = rolling_median(values, min(24, len(values)))
    trend = [trend[0]] * 12 + trend + [trend[-1]] * 12
    away = [value - level for value, level in zip(values, trend, strict=False)]
    bound = 6 * mad_sigma(away, 0.0)
    around = {hour: max(-bound, min(bound, a)) for hour, a in zip(hours, away, strict=True)}
    correlations = []
    pairs = 0
    for start in range(min(hours), max(hours) - 24 - 11, 24):
        shared = [(around[h], around[h + 24]) for h in range(start, start + 24) if h in around and h + 24 in around]
        power = sum(a * a for a, _ in shared) * sum(b * b for _, b in shared)
        if len(shared) >= 12:
            pairs += len(shared)
            correlations.append(sum(a * b for a, b in shared) / power**0.5 if power else 0.0)
    return bool(correlations) and median(correlations) >= max(ALIKE, CERTAIN / pairs**0.5)


def _expected(times: Sequence[float], values: Sequence[float], border: int | None, slots: int) -> list[float]:
    """Return what the rhythm adds at each time; 0 in its median over a working day."""
    width = DAY / slots
    places = [int(time % DAY / width) for time in times]
    begin = times[0] if border is None else border * HOUR
    days = [(time - begin) // DAY for time in times]
    by_day: dict[float, list[float]] = defaultdict(list)
    for day, value in zip(days, values, strict=True):
        by_day[day].append(value)
    full = max(len(part) for part in by_day.values())
    levels = {day: median(part) for day, part in by_day.items()}
    resting = {day for day in levels if border is not None and is_weekend(day)}
    working = _profile(days, places, values, {d: v for d, v in levels.items() if d not in resting}, by_day, full, slots)
    if not resting or len(resting) == len(levels):
        return [working[place] for place in places]
    own = _profile(days, places, values, {d: v for d, v in levels.items() if d in resting}, by_day, full, slots)
    lower = []
    for day in resting:
        beside = [levels[d] for d in levels if d not in resting and abs(d - day) <= 3]
        lower.append(levels[day] - median(beside or [levels[day]]))
    usually = median(lower)
    return [own[p] + usually if d in resting else working[p] for d, p in zip(days, places, strict=True)]


def _slope(hours: dict[int, float]) -> float:
    """Return how much the series rises a second, if each hour is higher than that of the day before, as by a leak."""
    rises = [hours[hour + 24] - value for hour, value in hours.items() if hour + 24 in hours]
    middle = median(rises)
    ends = quantile(rises, 0.15), quantile(rises, 0.85)
    return middle / DAY if middle and min(end / middle for end in ends) > STEADY else 0.0


def _profile(
    days: Sequence[float],
    places: Sequence[int],
    values: Sequence[float],
    levels: dict[float, float],
    by_day: dict[float, list[float]],
    full: int,
    slots: int,
) -> list[float]:
    """Return the median distance from the day's level at each point of the day."""
    whole = {day for day in levels if len(by_day[day]) >= 0.9 * full} or set(levels)
    by_slot: list[list[float]] = [[] for _ in range(slots)]
    for day, place, value in zip(days, places, values, strict=True):
        if day in whole:
            by_slot[place].append(value - levels[day])
    known = [i for i, slot in enumerate(by_slot) if slot]
    if not known:
        return [0.0] * slots
    out = [median(slot) for slot in by_slot]
    for i, slot in enumerate(by_slot):
        if not slot:
            out[i] = out[min(known, key=lambda k: min(abs(k - i), slots - abs(k - i)))]
    middle = median(out)
    return [value - middle for value in out]


def _roughness(expected: Sequence[float], values: Sequence[float]) -> float:
    """Return how much the level of six hours differs from that of the next six, over all hours."""
    sums = [0.0, *accumulate(value - usual for value, usual in zip(values, expected, strict=True))]
    return sum(abs(c - b - b + a) for a, b, c in zip(sums, sums[6:], sums[12:], strict=False))
