"""What the detectors look at, and what they say about it."""

from __future__ import annotations

from typing import Any

import msgspec

from triage.findings import FindingType


class Signal(msgspec.Struct, frozen=True):
    """A series made ready: `raw` are its values, `rest` is what remains without its daily or other rhythm.

    At most 2,000 samples. Where nothing repeats, `rest` is `raw`. The rhythm has a median of zero,
    so that levels can be read off `rest` as well.
    """

    times: list[float]
    raw: list[float]
    rest: list[float]
    step: float
    period: float = 0.0  # seconds; 0 when there is none
    stock: bool = False  # by its name something that fills up (memory, disk, a queue): no time of day moves it


# No statistic this far past its threshold leaves any doubt; a sample among numbers next to nothing is past all.
_STRONG = 1e6


class Change(msgspec.Struct, kw_only=True):
    """A change in one series, in the series' own unit.

    `start` and `end` are the times of the first and the last sample it covers; `returned` says
    whether the series was back before its end. `strength` is how far past its threshold the
    detector's statistic is: 1 is just there.
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
        """0.5 at the threshold, towards 0.99 far past it."""
        doubt: float = 0.5 / min(max(self.strength, 1.0), _STRONG) ** 1.5
        return round(min(0.99, 1 - doubt), 2)
