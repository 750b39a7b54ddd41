"""The daily rhythm: what a series does every day is removed before changes are looked for.

Method: a profile of medians (a robust classical decomposition; STL without the loess, Cleveland et al. 1990).

1. Each day's median is taken off, so that days of different levels can be compared, and before it a steady rise. The
   profile is the median over the days at each point of the day. Level shifts, leaks and odd days stay in what is left.
2. Weekends have a profile and a level of their own, if that explains the hours clearly better. When they start in UTC
   depends on where the users live: it is the hour that parts them best from the other days.
3. With less than two days, or with days that do not resemble each other, nothing is removed. All other rhythms stay:
   the detectors compare a series with its own usual changes.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import accumulate, compress
from math import exp, log
from operator import sub

from metric_analyst.detectors.robust import mad_sigma, median, quantile, rolling_median

DAY = 86_400.0
HOUR = 3_600.0
MOST_SLOTS = 288
ALIKE = 0.35  # correlation of the hours of one day with those of the next, at least
CERTAIN = 1.8  # standard errors of that correlation
CLEARLY = 0.7  # of the roughness without weekends, which they must be below
BORDERS = range(-14, 13)  # hours from Saturday in UTC at which users' weekends may start
WEEK = 168  # hours
SATURDAY = 120  # the first hour of it, in a week that begins on Monday
WITH_WEEKEND = 2.5 * DAY  # seconds; shorter recordings have no working days to compare a weekend with
FEWEST_IN_A_DAY = 12
NOISIER = 1.5  # times the noise of the lowest third that the highest one has, if noise grows with the level
STEADY = 0.4  # share of the usual rise from day to day that all hours have, where it is a trend
WHOLE = 0.9  # share of the samples of the fullest day that a day has, to count
LEAST_SHARE = 0.01  # of the median; values below it have no useful logarithm


class _Calendar:
    """The samples of each hour (by its number since 1970) and of each whole day, and each sample's slot of the day."""

    def __init__(self, times: Sequence[float]) -> None:
        self.times = times
        self.hours = {int(times[hour.start] // HOUR): hour for hour in stretches(times, HOUR, 0.0)}
        days = stretches(times, DAY, times[0])
        fullest = max(day.stop - day.start for day in days)
        self.days = [day for day in days if day.stop - day.start >= WHOLE * fullest]
        count = min(MOST_SLOTS, max(4, int(len(times) * DAY / (times[-1] - times[0]))))
        self.slots = [int(time % DAY * count / DAY) for time in times]

    def hourly(self, values: Sequence[float]) -> dict[int, float]:
        """Return the median of each hour."""
        return {hour: median(values[samples]) for hour, samples in self.hours.items()}


def rhythm_of(times: Sequence[float], values: list[float]) -> tuple[list[float], bool]:
    """Return what the daily rhythm adds to each value, or multiplies it with (then also True); nothing without one.

    It multiplies where the series is noisier when it is high.
    """
    span = times[-1] - times[0]
    if span < 1.9 * DAY or len(times) < FEWEST_IN_A_DAY * span / DAY:
        return [], False
    calendar = _Calendar(times)
    if not _days_alike(calendar.hourly(values)):
        return [], False
    added = _rhythm(calendar, values)
    least = LEAST_SHARE * median(values)
    if not 0 < least < quantile(values, 0.05) or not _noisier_when_high(values, added):
        return added, False
    return [exp(share) for share in _rhythm(calendar, [log(max(value, least)) for value in values])], True


def _noisier_when_high(values: Sequence[float], added: Sequence[float]) -> bool:
    rest = list(map(sub, values, added))
    steps = list(map(abs, map(sub, rest[1:], rest)))
    by_level = sorted(range(len(steps)), key=added[1:].__getitem__)
    third = len(steps) // 3
    quiet, noisy = (median([steps[at] for at in part]) for part in (by_level[:third], by_level[-third:]))
    return noisy > NOISIER * quiet


def stretches(times: Sequence[float], width: float, begin: float) -> list[slice]:
    """Return the samples of each stretch of `width` seconds from `begin` on, without those that have none."""
    found = []
    first = 0
    while first < len(times):
        end = begin + ((times[first] - begin) // width + 1) * width
        found.append(slice(first, bisect_left(times, end, first + 1)))
        first = found[-1].stop
    return found


def is_weekend(day: int) -> bool:
    """Return whether a day, by its number since 1970-01-01 in UTC, is a Saturday or a Sunday."""
    return (day + 3) % 7 >= 5


def _by(places: Iterable[float], values: Iterable[float]) -> dict[float, float]:
    """Return the median of the values at each place."""
    parts: dict[float, list[float]] = defaultdict(list)
    for place, value in zip(places, values, strict=True):
        parts[place].append(value)
    return {place: median(part) for place, part in parts.items()}


def _days_alike(hourly: dict[int, float]) -> bool:
    """Return whether the hours of one day are like those of the next.

    With few days the correlation must be high, because noise of one day correlates with that of the next by 0.2.
    """
    middle = rolling_median(list(hourly.values()), min(24, len(hourly)))
    levels = [middle[0]] * 12 + middle + [middle[-1]] * 12
    away = list(map(sub, hourly.values(), levels))
    bound = 6 * mad_sigma(away, 0.0)
    around = {hour: max(-bound, min(bound, each)) for hour, each in zip(hourly, away, strict=True)}
    pairs = [(here, around[hour + 24]) for hour, here in around.items() if hour + 24 in around]
    power = sum(a * a for a, _ in pairs) * sum(b * b for _, b in pairs)
    likeness = sum(a * b for a, b in pairs) / power**0.5 if power else 0.0
    return len(pairs) >= 12 and likeness >= max(ALIKE, CERTAIN / len(pairs) ** 0.5)


def _rise(hourly: dict[int, float]) -> float:
    """Return how much a series rises a second, if each hour is higher than that of the day before, as by a leak."""
    rises = [hourly[hour + 24] - value for hour, value in hourly.items() if hour + 24 in hourly]
    usual = median(rises)
    ends = quantile(rises, 0.15), quantile(rises, 0.85)
    return usual / DAY if usual and min(end / usual for end in ends) > STEADY else 0.0


def _rhythm(calendar: _Calendar, values: Sequence[float]) -> list[float]:
    """Return what the rhythm adds to each value; 0 in its median over a working day."""
    times, slots = calendar.times, calendar.slots
    rise = _rise(calendar.hourly(values))
    flat = [value - rise * time for time, value in zip(times, values, strict=True)] if rise else values
    away: list[float] = []
    for day in calendar.days:
        level = median(flat[day])
        away += [value - level for value in flat[day]]
    profile = _by((slot for day in calendar.days for slot in slots[day]), away)
    middle = median(list(profile.values()))
    added = [profile.get(slot, middle) - middle for slot in slots]
    if times[-1] - times[0] < WITH_WEEKEND:
        return added
    rest = list(map(sub, flat, added))
    hourly = calendar.hourly(rest)
    border = _border(hourly)
    lower = _weekends(hourly, [hour % 24 for hour in hourly], [*hourly.values()], border)
    if _roughness(map(sub, hourly.values(), lower)) >= CLEARLY * _roughness(hourly.values()):
        return added
    hours = [hour for hour, samples in calendar.hours.items() for _ in times[samples]]
    return [a + b for a, b in zip(added, _weekends(hours, slots, rest, border), strict=True)]


def _border(hourly: dict[int, float]) -> int:
    """Return when weekends start, in hours from Saturday in UTC: where they and the rest of the week differ most, by
    the variance between the two (Otsu 1979).
    """
    week = _by(((hour + 72) % WEEK for hour in hourly), hourly.values())
    sums = [0.0, *accumulate(week.get(hour % WEEK, 0.0) for hour in range(2 * WEEK))]
    counts = [0, *accumulate(hour % WEEK in week for hour in range(2 * WEEK))]

    def between(border: int) -> float:
        first, last = SATURDAY + border, SATURDAY + border + 48
        resting, working = counts[last] - counts[first], counts[first + WEEK] - counts[last]
        if not resting or not working:
            return 0.0
        away = (sums[last] - sums[first]) / resting - (sums[first + WEEK] - sums[last]) / working
        return resting * working * away * away

    return max(BORDERS, key=between)


def _weekends(hours: Iterable[int], places: Sequence[int], rest: Sequence[float], border: int) -> list[float]:
    """Return what a weekend adds in each hour, by its place in the day; 0 on working days."""
    resting = [is_weekend((hour - border) // 24) for hour in hours]
    working = median([value for value, rests in zip(rest, resting, strict=True) if not rests])
    own = _by(compress(places, resting), compress(rest, resting))
    return [own[place] - working if rests else 0.0 for place, rests in zip(places, resting, strict=True)]


def _roughness(hourly: Iterable[float]) -> float:
    """Return how much the level of six hours differs from that of the next six, over all hours."""
    sums = [0.0, *accumulate(hourly)]
    return sum(abs(c - b - b + a) for a, b, c in zip(sums, sums[6:], sums[12:], strict=False))
