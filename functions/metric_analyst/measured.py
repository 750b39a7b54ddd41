"""What the samples say of a change: its levels, when it began and ended, and what came after it.

A detector decides that a series changed. These are the numbers of its finding: the words, the figure, the row of the
table and the marks in the chart are all made of them, and each can be checked with the samples.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

import msgspec

from metric_analyst.detectors.change import Change
from metric_analyst.detectors.reduce import MOST_SAMPLES, thin
from metric_analyst.detectors.robust import mad_sigma, median
from metric_analyst.readers.series import Series
from triage.findings import State

NEAR = 12  # samples before a change, and after it, that show the level there
_FEWEST = 3  # samples on a side that show a level
_BACK = 0.35  # share of a change within which a level is the one before
_ALIKE = (0.5, 2.0)  # a change in the samples is like the detector's if it is so many times as large
_PAUSE, _PAUSE_SHARE = 5, 0.25  # samples off the new level within a change: so many, or this share of it
_CLEAR = 4.0  # noises from which a change is seen in its first sample
_EARLY = 3.0  # noises that a sample before the start is away, if the change may have begun there
_MOST_EARLY = 5


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """A change with the numbers that the samples show.

    `change` has them: `before` is the median of up to 12 samples before `start`, `after` that of the samples from
    `start` to `end` (of a spike: the most extreme of them), and `samples` is how many these are. `later` is the median
    of up to 12 samples after `end`, None if there are fewer than 3. `compared` is whether `before` and `after` are
    without a rhythm, so that no sample shows them. The change began at the earliest `early` seconds before `start`, and
    at the latest `late` after it.
    """

    change: Change
    state: State
    early: float
    late: float
    later: float | None = None
    compared: bool = False

    @property
    def came_back(self) -> bool:
        """Whether the samples after the change are near the level before it."""
        change = self.change
        if self.later is None:
            return False
        return abs(self.later - change.before) <= _BACK * abs(change.after - change.before)


def measured(series: Series, change: Change) -> Measured:
    """Return what the samples of `series` show of a change that a detector has found in them."""
    if change.type == "flat_line":
        late = series.step if change.detail.get("kind") != "missing" else min(series.step, change.end - change.start)
        return Measured(change=change, state="over" if change.returned else "ongoing", early=0.0, late=late)
    times: Sequence[float]
    values: Sequence[float]
    times, values = thin(series.times, series.values, MOST_SAMPLES)
    step = (times[-1] - times[0]) / max(1, len(times) - 1)
    if change.type == "drift":
        blur = (change.end - change.start) / 6
        goes_on = change.end >= times[-1] - step
        return Measured(change=change, state="ongoing" if goes_on else "unknown", early=blur, late=blur)
    if len(times) < len(series.times) and change.type == "spike":
        times, values = series.times, series.values
    first, last = bisect_left(times, change.start - 1e-3), bisect_right(times, change.end + 1e-3) - 1
    if first < _FEWEST or last < first:
        return _as_found(change, step)
    near = _near(values[:first], change)
    before = median(near)
    sign = 1.0 if change.magnitude > 0 else -1.0
    if change.type == "level_shift":
        middle = before + change.magnitude / 2
        while first < last and sign * (values[first] - middle) < 0:
            first += 1
        last = _last(values, first, sign, middle)
    after = _level(change, values[first : last + 1], sign)
    if not _ALIKE[0] <= sign * (after - before) / abs(change.magnitude or 1.0) <= _ALIKE[1]:
        return _as_found(change, step)
    rest = values[last + 1 : last + 1 + NEAR]
    noise = mad_sigma(near)
    blur = 0.0 if abs(after - before) >= _CLEAR * noise else 2 * step
    if len(times) < len(series.times):
        blur += step
    numbers = msgspec.structs.replace(
        change,
        start=times[first],
        end=times[last],
        before=before,
        after=after,
        magnitude=after - before,
        samples=bisect_right(series.times, times[last]) - bisect_left(series.times, times[first]),
        returned=len(rest) >= _FEWEST,
    )
    return Measured(
        change=numbers,
        state="over" if len(rest) >= _FEWEST else "unknown" if rest else "ongoing",
        early=times[first] - times[_earliest(values, first, before, sign, noise, abs(after - before)) - 1] + blur,
        late=blur,
        later=median(rest) if len(rest) >= _FEWEST else None,
    )


def _as_found(change: Change, step: float) -> Measured:
    """Return the numbers of the detector, whose values are without a rhythm, or whose change has too few before it."""
    return Measured(change=change, state="over" if change.returned else "unknown", early=step, late=step, compared=True)


def _near(values: Sequence[float], change: Change) -> list[float]:
    """Return the samples that show the level before: not those of another change that ended just before."""
    for count in (NEAR, 8, 5):
        near = list(values[-count:])
        if abs(median(near) - change.before) <= _BACK / 2 * abs(change.magnitude):
            return near
    return list(values[-NEAR:])


def _level(change: Change, values: Sequence[float], sign: float) -> float:
    return max(values, key=lambda value: sign * value) if change.type == "spike" else median(list(values))


def _last(values: Sequence[float], first: int, sign: float, middle: float) -> int:
    """Return the last sample on the new level's side of `middle`, before the series leaves that side for good."""
    is_on = [sign * (value - middle) >= 0 for value in values]
    last, n = first, len(values)
    for at in range(first, n):
        around = is_on[max(first, at - 1) : at + 2]
        if 2 * sum(around) > len(around):
            last = at
        elif at - last > max(_PAUSE, _PAUSE_SHARE * (last - first + 1)):
            break
    while last > first and not is_on[last]:
        last -= 1
    return last


def _earliest(values: Sequence[float], first: int, before: float, sign: float, noise: float, size: float) -> int:
    """Return the first sample that may belong to the change: those just before it may be on their way already."""
    at = first
    while at > 1 and first - at < _MOST_EARLY and sign * (values[at - 1] - before) > max(_EARLY * noise, 0.1 * size):
        at -= 1
    return at
