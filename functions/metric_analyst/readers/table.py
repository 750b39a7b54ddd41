"""The metrics of one file: columns of samples, not cleaned yet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec


class Column(msgspec.Struct):
    """A series as its file has it: samples in the file's order, with None for values that are no number.

    `times` has a time for each of `values`, in seconds since the epoch; columns may share it. `unit` is "" unless the
    file's format names one.
    """

    name: str
    times: list[float]
    values: list[float | None]
    unit: str = ""

    @property
    def samples(self) -> Iterator[tuple[float, float | None]]:
        return zip(self.times, self.values, strict=True)


class MetricTable(msgspec.Struct):
    """The columns of one file, and the times of all its rows, strictly increasing.

    `cut` is whether the file was read only in part: then the times do not tell when a column ended.
    """

    columns: list[Column]
    times: list[float]
    cut: bool = False


def column_of(name: str, samples: Iterable[tuple[float, float | None]], unit: str = "") -> Column:
    """Return a column that shares its times with no other."""
    column = Column(name, [], [], unit)
    for time, value in samples:
        column.times.append(time)
        column.values.append(value)
    return column


def table_of(columns: list[Column]) -> MetricTable:
    """Return a table of columns that share no times."""
    return MetricTable(columns, sorted({time for column in columns for time in column.times}))
