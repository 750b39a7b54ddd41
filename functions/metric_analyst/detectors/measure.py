"""What the samples say of a change: its levels, when it began and ended, and what came after it.

A detector decides that a series changed. These are the numbers of its finding: the words, the figure, the row of the
table and the marks in the chart are all made of them, and each can be checked with the samples.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

import msgspec

from metric_analyst.detectors.change import Change, Signal
from metric_analyst.detectors.robust import mad_sigma, median
from metric_analyst.readers.series import Series

NEAR = 12  # samples before a change, and after it, that show the level there
_FEWEST = 3  # samples on a side that show a level
_ALIKE = (0.5, 2.0)  # a change in the samples is like the detector's if it is so many times as large
_OWN = 0.2  # share of a change within which the level before is the detector's
_PAUSE, _PAUSE_SHARE = 5, 0.25  # samples off the new level within a change: so many, or this share of it
_CLEAR = 4.0  # noises from which a change is seen in its first sample
_EARLY = 3.0  # noises that a sample before the start is away, if the change may have begun there
_MOST_EARLY = 5


def measured(series: Series, signal: Signal, change: Change) -> Change:
    """Return a level shift or a spike with the numbers that the samples of `series` show; `signal` is made of it.

    `before` becomes the median of up to 12 samples before `start`, `after` that of the samples from `start` to `end`
    (of a spike: the most extreme of them), `later` that of up to 12 samples after `end`. If the samples do not show the
    change, because it is one of what a rhythm leaves, or if too few are before it, it stays as it was found.
    """
    thinned = len(signal.times) < len(series.times)
    times: Sequence[float] = signal.times
    values: Sequence[float] = signal.raw
    if thinned and change.type == "spike":
        times, values = series.times, series.values
    first, last = bisect_left(times, change.start - 1e-3), bisect_right(times, change.end + 1e-3) - 1
    as_found = msgspec.structs.replace(change, early=signal.step, late=signal.step, compared=True)
    if first < _FEWEST or last < first:
        return as_found
    near = _near(values[:first], change)
    before, sign = median(near), 1.0 if change.magnitude > 0 else -1.0
    if change.type == "level_shift" and not signal.period:  # a rhythm crosses the middle by itself
        middle = before + change.magnitude / 2
        while first < last and sign * (values[first] - middle) < 0:
            first += 1
        last = _last(values, first, sign, middle)
    inside = values[first : last + 1]
    after = max(inside, key=lambda value: sign * value) if change.type == "spike" else median(inside)
    if not _ALIKE[0] <= sign * (after - before) / abs(change.magnitude or 1.0) <= _ALIKE[1]:
        return as_found
    rest = values[last + 1 : last + 1 + NEAR]
    noise, size = mad_sigma(near), abs(after - before)
    blur = (0.0 if size >= _CLEAR * noise else 2 * signal.step) + (signal.step if thinned else 0.0)
    # The samples just before the start may be on their way already.
    earliest = first
    while earliest > max(1, first - _MOST_EARLY) and (
        sign * (values[earliest - 1] - before) > max(_EARLY * noise, 0.1 * size)
    ):
        earliest -= 1
    return msgspec.structs.replace(
        change,
        start=times[first],
        end=times[last],
        before=before,
        after=after,
        samples=bisect_right(series.times, times[last]) - bisect_left(series.times, times[first]),
        state="over" if len(rest) >= _FEWEST else "unknown" if rest else "ongoing",
        early=times[first] - times[earliest - 1] + blur,
        late=blur,
        later=median(rest) if len(rest) >= _FEWEST else None,
    )


def _near(values: Sequence[float], change: Change) -> Sequence[float]:
    """Return the samples that show the level before: not those of another change that ended just before."""
    choices = (values[-count:] for count in (NEAR, 8, 5))
    own = _OWN * abs(change.magnitude)
    return next((near for near in choices if abs(median(near) - change.before) <= own), values[-NEAR:])


def _last(values: Sequence[float], first: int, sign: float, middle: float) -> int:
    """Return the last sample on the new level's side of `middle`, before the series leaves that side for good."""
    is_on = [sign * (value - middle) >= 0 for value in values]
    last = first
    for at in range(first, len(values)):
        around = is_on[max(first, at - 1) : at + 2]
        if 2 * sum(around) > len(around):
            last = at
        elif at - last > max(_PAUSE, _PAUSE_SHARE * (last - first + 1)):
            break
    while last > first and not is_on[last]:
        last -= 1
    return last
