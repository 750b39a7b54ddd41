"""What is usual at a time of day: a nightly job is no incident, even if two days are too few to call it a rhythm."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from metric_analyst.detectors.change import Change, Signal
from metric_analyst.detectors.rhythm import DAY
from metric_analyst.detectors.robust import median

SAME_TIME_OF_DAY = 1800.0  # seconds
LONGEST_JUMP = 6 * 3600.0  # seconds
ALIKE = 0.6  # share of a jump from which on another one is as large
LATE = 0.8  # the same with the rhythm, which all days share
MOST_CYCLES = 1_000  # days or weeks; over more, 2,000 samples say nothing about a time of day


def usual_at_that_time(signal: Signal, change: Change) -> bool:
    """Return whether half of the other days, or weeks, have the same jump at the same time.

    Both jumps are measured alike: without the rhythm, between two windows as long as the change. What lasts no longer
    than a job may be late is measured with the rhythm, too: it may be what a late job leaves of it.
    """
    if signal.times[-1] - signal.times[0] < DAY + SAME_TIME_OF_DAY:
        return False
    late = signal.period > 0 and change.end - change.start <= 2 * SAME_TIME_OF_DAY
    return _comes_again(signal, signal.rest, change, ALIKE) or (late and _comes_again(signal, signal.raw, change, LATE))


def _comes_again(signal: Signal, values: Sequence[float], change: Change, share: float) -> bool:
    times = signal.times
    near = int(SAME_TIME_OF_DAY / signal.step)
    width = max(1, min(change.samples, int(LONGEST_JUMP / signal.step)))
    sign = 1 if change.magnitude > 0 else -1

    def jump_at(time: float) -> float:
        """Return the largest jump between two windows of `width` samples, within half an hour of `time`."""
        place = bisect_left(times, time)
        return max(
            (
                sign * (median(values[i : i + width]) - median(values[max(0, i - width) : i]))
                for i in range(max(1, place - near), min(len(values), place + near + 1), max(1, near // 4))
            ),
            default=0.0,
        )

    own = jump_at(change.start)
    if own <= 0:  # it begins with the series
        return False
    for cycle in (DAY, 7 * DAY):
        reach = int((times[-1] - times[0]) / cycle) + 1
        if reach > MOST_CYCLES:
            continue
        others = [change.start + k * cycle for k in range(-reach, reach + 1) if k]
        others = [t for t in others if times[0] + SAME_TIME_OF_DAY < t < times[-1] - SAME_TIME_OF_DAY]
        alike = sum(jump_at(time) >= share * own for time in others)
        if others and alike >= max(1, len(others) / 2):
            return True
    return False
