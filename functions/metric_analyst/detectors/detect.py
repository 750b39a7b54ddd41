"""Runs all detectors on one series and merges their changes: one incident is one change.

The work for one series is bounded, however long it is: the detectors see about 2,000 medians of equal stretches of
time, and for spikes the most extreme samples of 10,000 stretches. Flat lines are found in all samples.
"""

from __future__ import annotations

from collections.abc import Generator
from itertools import compress

import msgspec

from metric_analyst.detectors.change import FEWEST, Change, Signal
from metric_analyst.detectors.counter import is_counter, rate
from metric_analyst.detectors.drift import drifts, without_drift
from metric_analyst.detectors.flat_line import flat_lines
from metric_analyst.detectors.measure import measured
from metric_analyst.detectors.reduce import fine, signal_of
from metric_analyst.detectors.scan import level_shifts
from metric_analyst.detectors.spike import spikes
from metric_analyst.readers.series import Series

SMALL_BESIDE_DRIFT = 0.3


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
    short = spikes(fine(series, signal))
    yield
    moving = _without_stuck(signal, flat)
    slow = drifts(moving)
    level = without_drift(moving, slow[0]) if slow else moving
    yield
    shifts = level_shifts(level)
    if slow and all(abs(c.magnitude) < SMALL_BESIDE_DRIFT * abs(slow[0].magnitude) for c in shifts):
        shifts = []
    elif shifts:
        slow = drifts(moving, shifts)
    one_each = merge(flat, shifts, short, slow, signal.step)
    return series, [measured(series, signal, c) if c.type in ("level_shift", "spike") else c for c in one_each]


def _without_stuck(signal: Signal, flat: list[Change]) -> Signal:
    """Return the signal without the samples that are stuck: they have no noise."""
    stuck = [c for c in flat if c.detail["kind"] == "stuck"]
    keep = [not any(c.start <= time <= c.end for c in stuck) for time in signal.times] if stuck else []
    if sum(keep) < FEWEST:
        return signal
    kept = {name: list(compress(getattr(signal, name), keep)) for name in ("times", "raw", "rest", "rhythm")}
    return msgspec.structs.replace(signal, **kept)


def merge(
    flat: list[Change], shifts: list[Change], short: list[Change], slow: list[Change], step: float = 0.0
) -> list[Change]:
    """Return one change for each incident: of two that overlap or touch, the one that says more.

    A flat line replaces changes that start in it, a level shift the spikes that touch it, unless it is hardly longer
    than one. A drift is dropped if it overlaps any of these.
    """
    shifts = [c for c in shifts if not any(_begins_in(c, other, 2 * step) for other in flat)]
    short = [c for c in short if not any(_begins_in(c, other, 2 * step) for other in flat)]
    shifts = [
        c
        for c in shifts
        if not any(_touch(c, o, 0.0, step) and c.end - c.start <= 2 * (o.end - o.start + step) for o in short)
    ]
    short = [c for c in short if not any(_touch(c, other, 0.1, 2 * step) for other in shifts)]
    kept = flat + shifts + short
    kept += [change for change in slow if not any(_touch(change, other, 0.0, 0.0) for other in kept)]
    return sorted(kept, key=lambda c: c.start)


def _begins_in(one: Change, other: Change, margin: float) -> bool:
    return other.start - margin <= one.start <= other.end + margin


def _touch(one: Change, other: Change, share: float, least: float) -> bool:
    reach = max(share * max(other.end - other.start, one.end - one.start), least)
    return one.start <= other.end + reach and other.start <= one.end + reach
