"""The input of the detectors (`Signal`) and their output (`Change`)."""

from __future__ import annotations

from typing import Any

import msgspec

from metric_analyst.detectors.robust import median
from triage.findings import FindingType, State

FEWEST = 12  # samples; fewer are too few to judge


class Signal(msgspec.Struct, frozen=True):
    """A series prepared for the detectors, usually of at most 2,000 samples.

    `times` are seconds since the epoch, `step` apart on average. `raw` are the values; `rest` are the values without
    their daily rhythm of `period` seconds. Without a rhythm `period` is 0 and `rest` is `raw`. The `rhythm` is what it
    adds to each value, 0 in its median, or what it multiplies each with, 1 in its median, so that `rest` has the same
    levels as `raw`. A `stock` is by its name something that fills up (memory, a disk, a queue), which the time of day
    does not move.
    """

    times: list[float]
    raw: list[float]
    rest: list[float]
    step: float
    period: float = 0.0
    stock: bool = False
    rhythm: list[float] = []
    multiplied: bool = False

    @property
    def span(self) -> float:
        """Seconds from the first to the last sample."""
        return self.times[-1] - self.times[0]

    def recorded(self, level: float, first: int, end: int) -> float:
        """Return what a level of `rest` is in recorded values, in its median from sample `first` to `end`."""
        if not self.period:
            return level
        usual = median(self.rhythm[first:end])
        return level * usual if self.multiplied else level + usual


# A statistic that exceeds its threshold so many times leaves no doubt. Next to zero noise it can be infinite.
_STRONG = 1e6
_BACK = 0.35  # share of a change within which a level is the one before


class Change(msgspec.Struct, kw_only=True):
    """A change in one series, in the series' own unit.

    `start` and `end` are the times of the first and the last of its `samples`, in seconds since the epoch; it began at
    the earliest `early` seconds before `start`, and at the latest `late` after it. `before` and `after` are the levels,
    without the daily rhythm if they are only `compared`: then no sample shows them. `later` is the level after `end`,
    None if too few samples show it. `strength` is the detector's statistic divided by its threshold. `method` names the
    detector, and `detail` has what it says besides: plain JSON, for the evidence.
    """

    type: FindingType
    start: float
    end: float
    before: float
    after: float
    strength: float
    samples: int
    state: State
    method: str
    early: float = 0.0
    late: float = 0.0
    later: float | None = None
    compared: bool = False
    detail: dict[str, Any] = {}

    @property
    def magnitude(self) -> float:
        """What `after` is more than `before`; of a flat line how many seconds it lasts."""
        return self.end - self.start if self.type == "flat_line" else self.after - self.before

    @property
    def returned(self) -> bool:
        """Whether the series left the new level again."""
        return self.state == "over"

    @property
    def came_back(self) -> bool:
        """Whether the samples after the change are near the level before it."""
        return self.later is not None and abs(self.later - self.before) <= _BACK * abs(self.after - self.before)

    @property
    def confidence(self) -> float:
        """0.5 at the threshold, up to 0.99 far above it."""
        doubt: float = 0.5 / min(max(self.strength, 1.0), _STRONG) ** 1.5
        return round(min(0.99, 1 - doubt), 2)
