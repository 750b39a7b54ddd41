"""Runs all detectors on one series and merges their changes: one incident is one change.

The work for one series is bounded, however long it is. Most detectors see at most 2,000 samples: the medians of equal
stretches of time. Flat lines are found in all samples. Spikes are found in at most 20,000 samples: if there are more,
in the most extreme sample of each stretch.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Generator, Sequence

from metric_analyst.detectors.change import Change, Signal
from metric_analyst.detectors.counter import LEVEL_NAME, is_counter, rate
from metric_analyst.detectors.drift import drifts
from metric_analyst.detectors.flat_line import flat_lines
from metric_analyst.detectors.level_shift import level_shifts
from metric_analyst.detectors.onset import onsets
from metric_analyst.detectors.robust import median
from metric_analyst.detectors.seasonality import DAY, without_rhythm
from metric_analyst.detectors.spike import spikes, without
from metric_analyst.readers.series import Series

FEWEST = 12
MOST_SAMPLES = 2_000
MOST_FOR_SPIKES = 20_000
SMALL_BESIDE_DRIFT = 0.3
SAME_TIME_OF_DAY = 1800.0  # seconds
MOST_CYCLES = 1_000  # days or weeks; over more, 2,000 samples say nothing about a time of day


def detect(series: Series) -> Generator[None, None, tuple[Series, list[Change]]]:
    """Return the series (a counter as its rate) and its changes in order of time.

    A generator, so that the event loop can run between detectors.
    """
    if is_counter(series):
        series = rate(series)
    if len(series.values) < FEWEST:
        return series, []
    flat = flat_lines(series)
    if min(series.values) == max(series.values):
        return series, flat
    yield
    signal = signal_of(series)
    yield
    fine = signal if len(series.values) == len(signal.raw) else _fine(series, signal)
    short = [c for c in spikes(fine) if not _usual_at_that_time(signal, c)]
    yield
    calm = without(signal, short)
    shifts = [c for c in level_shifts(calm) if not _usual_at_that_time(signal, c)]
    shifts += [c for c in onsets(signal) if not any(_touch(c, other, 0.1, 2 * signal.step) for other in shifts)]
    yield
    slow = drifts(calm)
    if slow and all(abs(c.magnitude) < SMALL_BESIDE_DRIFT * abs(slow[0].magnitude) for c in shifts):
        shifts = []
    else:
        slow = drifts(calm, shifts)
    return series, merge(flat, shifts, short, slow, signal.step)


def signal_of(series: Series) -> Signal:
    """Return the series, reduced to at most 2,000 samples, with and without its rhythm."""
    times, raw = thin(series.times, series.values, MOST_SAMPLES)
    rest, period = without_rhythm(times, raw)
    step = (times[-1] - times[0]) / max(1, len(times) - 1)
    return Signal(times, raw, rest, step, period, LEVEL_NAME.search(series.name) is not None)


def thin(times: list[float], values: list[float], most: int) -> tuple[list[float], list[float]]:
    """Return at most `most` samples: the medians of equal stretches of time, without empty stretches."""
    if len(times) <= most:
        return times, values
    out_times: list[float] = []
    out_values: list[float] = []
    for first, last in _stretches(times, most):
        out_times.append(times[(first + last) // 2])
        out_values.append(median(values[first : last + 1]))
    return out_times, out_values


def _stretches(times: Sequence[float], most: int) -> list[tuple[int, int]]:
    width = (times[-1] - times[0]) / most
    out: list[tuple[int, int]] = []
    slot = -1
    for i, time in enumerate(times):
        here = min(int((time - times[0]) / width), most - 1)
        if here == slot:
            out[-1] = (out[-1][0], i)
        else:
            out.append((i, i))
            slot = here
    return out


def _fine(series: Series, signal: Signal) -> Signal:
    """Return all samples, or the extremes of too many, without the rhythm of the reduced series."""
    times, raw = series.times, series.values
    if len(raw) > MOST_FOR_SPIKES:
        picks = []
        for first, last in _stretches(times, MOST_FOR_SPIKES):
            middle = median(raw[first : last + 1])
            picks.append(max(range(first, last + 1), key=lambda i: abs(raw[i] - middle)))
        times, raw = [times[i] for i in picks], [raw[i] for i in picks]
    if not signal.period:
        return Signal(times, raw, raw, signal.step)
    rest: list[float] = []
    place = 0
    for time, value in zip(times, raw, strict=True):
        while place + 1 < len(signal.times) and signal.times[place + 1] <= time:
            place += 1
        rest.append(value - (signal.raw[place] - signal.rest[place]))
    return Signal(times, raw, rest, series.step, signal.period)


def _usual_at_that_time(signal: Signal, change: Change) -> bool:
    """Return whether half of the other days, or weeks, have the same jump at the same time.

    A nightly job is no incident, even if two days are too few to call it a rhythm.
    """
    times = signal.times
    if times[-1] - times[0] < DAY + SAME_TIME_OF_DAY:
        return False
    for cycle in (DAY, 7 * DAY):
        reach = int((times[-1] - times[0]) / cycle) + 1
        if reach > MOST_CYCLES:
            continue
        others = [change.start + k * cycle for k in range(-reach, reach + 1) if k]
        others = [t for t in others if times[0] + SAME_TIME_OF_DAY < t < times[-1] - SAME_TIME_OF_DAY]
        alike = sum(_jumps_at(signal, t, change) for t in others)
        if others and alike >= max(1, len(others) / 2):
            return True
    return False


def _jumps_at(signal: Signal, time: float, change: Change) -> bool:
    """Return whether the raw series, within half an hour of `time`, rises or falls by 60% of the change."""
    tolerance = max(SAME_TIME_OF_DAY, 2 * signal.step)
    first, after = bisect_left(signal.times, time - tolerance), bisect_right(signal.times, time + tolerance)
    if after - first < 2:
        return False
    length = max(1, min(3, change.samples))
    raw = signal.raw[first:after]
    smooth = [median(raw[i : i + length]) for i in range(max(1, len(raw) - length + 1))]
    sign = 1 if change.magnitude > 0 else -1
    lowest, rise = sign * smooth[0], 0.0
    for value in smooth:
        lowest = min(lowest, sign * value)
        rise = max(rise, sign * value - lowest)
    return rise >= 0.6 * abs(change.magnitude)


def merge(
    flat: list[Change], shifts: list[Change], short: list[Change], slow: list[Change], step: float = 0.0
) -> list[Change]:
    """Return one change for each incident: of two that overlap or touch, the one that says more.

    A flat line replaces changes that start in it. A level shift replaces spikes that touch it. A drift is dropped if it
    overlaps any of these.
    """
    shifts = [c for c in shifts if not any(_begins_in(c, other, 2 * step) for other in flat)]
    short = [c for c in short if not any(_begins_in(c, other, 2 * step) for other in flat)]
    kept = flat + shifts
    kept += [c for c in short if not any(_touch(c, other, 0.1, 2 * step) for other in shifts)]
    kept += [change for change in slow if not any(_touch(change, other, 0.0, 0.0) for other in kept)]
    return sorted(kept, key=lambda c: c.start)


def _begins_in(one: Change, other: Change, margin: float) -> bool:
    return other.start - margin <= one.start <= other.end + margin


def _touch(one: Change, other: Change, share: float, least: float) -> bool:
    reach = max(share * max(other.end - other.start, one.end - one.start), least)
    return one.start <= other.end + reach and other.start <= one.end + reach
