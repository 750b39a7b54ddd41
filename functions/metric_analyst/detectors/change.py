"""The input of the detectors (`Signal`) and their output (`Change`)."""

from __future__ import annotations

from typing import Any

import msgspec

from metric_analyst.detectors.robust import median
from triage.findings import FindingType


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

    def recorded(self, level: float, first: int, end: int) -> float:
        """Return what a level of `rest` is in recorded values, in its median from sample `first` to `end`."""
        if not self.period:
            return level
        usual = median(self.rhythm[first:end])
        return level * usual if self.multiplied else level + usual


# A statistic that exceeds its threshold so many times leaves no doubt. Next to zero noise it can be infinite.
_STRONG = 1e6


class Change(msgspec.Struct, kw_only=True):
    """A change in one series, in the series' own unit.

    `start` and `end` are the times of the first and the last of its `samples`, in seconds since the epoch. `returned`
    is whether the series came back to the level before. `strength` is the detector's statistic divided by its
    threshold. `method` names the detector, and `detail` has what it says besides: plain JSON, for the evidence.
    """

    type: FindingType
    start: float
    end: float
    before: float
    after: float
    magnitude: float
    strength: float
    samples: int
    returned: bool
    method: str
    detail: dict[str, Any] = {}

    @property
    def confidence(self) -> float:
        """0.5 at the threshold, up to 0.99 far above it."""
        doubt: float = 0.5 / min(max(self.strength, 1.0), _STRONG) ** 1.5
        return round(min(0.99, 1 - doubt), 2)
