"""Makes of a series, however long, the few thousand samples that the detectors see."""

from __future__ import annotations

from collections.abc import Sequence
from operator import sub, truediv

from metric_analyst.detectors.change import Signal
from metric_analyst.detectors.counter import LEVEL_NAME
from metric_analyst.detectors.rhythm import DAY, rhythm_of, stretches
from metric_analyst.detectors.robust import median
from metric_analyst.readers.series import Series

MOST_SAMPLES = 2_100  # seven days by five minutes are 2,016
MOST_FOR_SPIKES = 10_000
# Seconds. A day has a whole number of each, so that all days are cut at the same times.
WIDTHS = (300.0, 600.0, 900.0, 1200.0, 1800.0, 3600.0, 7200.0, 10_800.0, 21_600.0, 43_200.0)


def signal_of(series: Series) -> Signal:
    """Return the series, reduced to about 2,000 samples, with and without its rhythm."""
    times, raw = thin(series.times, series.values, MOST_SAMPLES)
    step = (times[-1] - times[0]) / max(1, len(times) - 1)
    stock = LEVEL_NAME.search(series.name) is not None
    rhythm, multiplied = rhythm_of(times, raw)
    return _signal(times, raw, step, rhythm, multiplied, stock)


def fine(series: Series, signal: Signal) -> Signal:
    """Return all samples, or the extremes of too many, without the rhythm of the reduced series."""
    if len(series.values) == len(signal.raw):
        return signal
    picks: Sequence[int] = range(len(series.values))
    if len(picks) > MOST_FOR_SPIKES:
        middle = median(signal.raw)
        extremes = []
        for samples in _stretches(series.times, series.span / MOST_FOR_SPIKES):
            part = series.values[samples]
            high, low = max(part), min(part)
            extremes.append(samples.start + part.index(high if high - middle > middle - low else low))
        picks = extremes
    times, raw = [series.times[i] for i in picks], [series.values[i] for i in picks]
    rhythm: list[float] = []
    if signal.period:
        place = 0
        for time in times:
            while place + 1 < len(signal.times) and signal.times[place + 1] <= time:
                place += 1
            rhythm.append(signal.rhythm[place])
    return _signal(times, raw, series.step, rhythm, signal.multiplied, signal.stock)


def _signal(
    times: list[float], raw: list[float], step: float, rhythm: list[float], multiplied: bool, stock: bool
) -> Signal:
    if not rhythm:
        return Signal(times, raw, raw, step, stock=stock)
    rest = list(map(truediv if multiplied else sub, raw, rhythm))
    return Signal(times, raw, rest, step, DAY, stock, rhythm, multiplied)


def thin(times: Sequence[float], values: Sequence[float], most: int) -> tuple[list[float], list[float]]:
    """Return about `most` samples: the medians of equal stretches of time, without empty stretches."""
    if len(times) <= most:
        return list(times), list(values)
    width = (times[-1] - times[0]) / most
    if width * most >= 2 * DAY:
        width = next((w for w in WIDTHS if w >= width), width)
    parts = _stretches(times, width)
    return [times[(part.start + part.stop - 1) // 2] for part in parts], [median(values[part]) for part in parts]


def _stretches(times: Sequence[float], width: float) -> list[slice]:
    found = stretches(times, width, times[0])
    if len(found) > 1 and found[-1].start == len(times) - 1:  # the last sample is where the last stretch ends
        found[-2:] = [slice(found[-2].start, len(times))]
    return found
