"""The metrics of one file: columns of samples, not cleaned yet."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from itertools import compress
from math import isfinite, nan
from operator import lt

import msgspec

from triage.times import without_strays

# The difference or product of two larger values may leave the range of a float.
HUGEST = 1e150


class Column(msgspec.Struct):
    """A series as its file has it: samples in the file's order, with NaN for values that are no number.

    `times` has a time for each of `values`, in seconds since the epoch; columns may share it. `unit` is "" unless the
    file's format names one.
    """

    name: str
    times: array[float] = msgspec.field(default_factory=lambda: array("d"))
    values: array[float] = msgspec.field(default_factory=lambda: array("d"))
    unit: str = ""

    def add(self, time: float, value: float | None) -> None:
        self.times.append(time)
        self.values.append(nan if value is None else value or 0.0)  # no negative zero

    @property
    def samples(self) -> Iterator[tuple[float, float]]:
        return zip(self.times, self.values, strict=True)

    @property
    def whole(self) -> bool:
        """Whether every sample has a usable value and a time after the one before, so that nothing is to be cleaned."""
        if not self.values or not isfinite(sum(self.values)):
            return False
        return -HUGEST <= min(self.values) <= max(self.values) <= HUGEST and all(map(lt, self.times, self.times[1:]))


class MetricTable(msgspec.Struct):
    """The columns of one file, and the times of all its rows, strictly increasing.

    `cut` is whether the file was read only in part: then the times do not tell when a column ended. `single` is whether
    it has one column: then the times are that column's own.
    """

    columns: list[Column]
    times: Sequence[float]
    cut: bool = False
    single: bool = False

    def drop_strays(self) -> int:
        """Drop the few samples that a wrong clock put far away from the others; return how many times they have."""
        kept = without_strays(self.times)
        dropped = len(self.times) - len(kept)
        if dropped:
            self.times = kept
            for column in self.columns:
                keep = [kept[0] <= time <= kept[-1] for time in column.times]
                column.times = array("d", compress(column.times, keep))
                column.values = array("d", compress(column.values, keep))
        return dropped
