"""What a reader makes of one file: columns of samples, not cleaned yet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec


class Column(msgspec.Struct):
    """A series as a file has it: samples in the file's order, None where there is no number.

    `times` may be shared with other columns, and is as long as `values`. `unit` is set only where
    the format names one; elsewhere the series' name tells.
    """

    name: str
    times: list[float]
    values: list[float | None]
    unit: str = ""

    @property
    def samples(self) -> Iterator[tuple[float, float | None]]:
        return zip(self.times, self.values, strict=True)


class MetricTable(msgspec.Struct):
    """The columns of one file, and the times of all its rows: in order, each once.

    `cut` when not all of the file was read: then the times do not tell for how long each column was written.
    """

    columns: list[Column]
    times: list[float]
    cut: bool = False


def column_of(name: str, samples: Iterable[tuple[float, float | None]], unit: str = "") -> Column:
    """A column with times of its own."""
    column = Column(name, [], [], unit)
    for time, value in samples:
        column.times.append(time)
        column.values.append(value)
    return column


def table_of(columns: list[Column]) -> MetricTable:
    """A table of columns that each have times of their own."""
    return MetricTable(columns, sorted({time for column in columns for time in column.times}))
