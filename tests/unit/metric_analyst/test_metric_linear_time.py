"""The metric analyst's time is linear in the length of each cell, line and file."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, example, given, settings

from metric_analyst.detectors.counter import is_counter
from metric_analyst.detectors.detect import detect
from metric_analyst.readers.csv_layout import sniff, why_not
from metric_analyst.readers.reader import read
from metric_analyst.readers.series import make_series
from metric_analyst.readers.units import unit_of
from tailrace.inputs.request import File, Request
from tests.support.linear_time import FILES, LINES, Shape, assert_linear
from triage.cells import cell_number, is_missing, split
from triage.timestamps import time_in

pytestmark = pytest.mark.slow

T = TypeVar("T")
SLOW = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


def finish(work: Generator[object, None, T]) -> T:
    while True:
        try:
            next(work)
        except StopIteration as end:
            value: T = end.value
            return value


def counts(name: str) -> object:
    series = make_series(name, [(float(i), float(i)) for i in range(9)], unit="")
    return series is not None and is_counter(series)


def read_files(*texts: str) -> object:
    files = [File(filename=f"{i}.csv", media_type="text/csv", text=text) for i, text in enumerate(texts)]
    return finish(read(Request(text="", data=[], files=files)))


OF_A_LINE: dict[str, Callable[[str], object]] = {
    "a name's unit": lambda text: unit_of(text, 80.0),
    "a counter's name": counts,
    "a cell's number": cell_number,
    "a number with a decimal comma": lambda text: cell_number(text, True),
    "a missing value": is_missing,
    "a time": time_in,
    "a line's cells": lambda text: [split(text, delimiter) for delimiter in ",;\t|"],
    "a file's layout": lambda text: sniff([text, text, f"2026-01-01T00:00:00Z,{text},1", text]),
    "a header": lambda text: sniff([f"time,{text}", "2026-01-01T00:00:00Z,1", "2026-01-01T00:01:00Z,2"]),
    "why it has none": lambda text: why_not([text, text]),
}
OF_A_FILE: dict[str, Callable[[str], object]] = {
    "a file": read_files,
    "the same file twice": lambda text: read_files(text, text),
    "pasted text": lambda text: finish(read(Request(text=text, data=[], files=[]))),
}


@pytest.mark.parametrize("parser", OF_A_LINE)
@SLOW
@given(shape=LINES)
@example(shape=("a[", " ", "b"))
@example(shape=("", "(", ""))
@example(shape=("[a", " ", "b"))
@example(shape=("", "1", "!"))
@example(shape=("", "_", ""))
def test_the_time_for_a_line_is_linear_in_its_length(parser: str, shape: Shape) -> None:
    assert_linear(OF_A_LINE[parser], shape)


@pytest.mark.parametrize("parser", OF_A_FILE)
@SLOW
@given(shape=FILES)
@example(shape=("time,a[", " ", "b\n2026-01-01T00:00:00Z,1\n2026-01-01T00:01:00Z,2\n"))
@example(shape=("time,host,v\n", "2026-01-01T00:00:00Z,h{i},1\n", ""))
@example(shape=("time,host,v\n", "2026-01-01T00:00:{i},h{i},1\n", ""))
@example(shape=("", '{"time": "2026-01-01T00:00:00Z", "m{i}": 1}\n', ""))
@example(shape=("", '{"time": "2026-01-01T00:00:00Z", "a": {i}}\n', ""))
@example(shape=('{"a": [[1790000000, 1]', ", [1790000001, {i}]", "]}"))
def test_the_time_for_a_file_is_linear_in_its_length(parser: str, shape: Shape) -> None:
    # The first rows cost more: the layout is detected.
    assert_linear(OF_A_FILE[parser], shape, smallest=4_000, largest=64_000)


def detected(samples: int, step_s: float) -> object:
    """Return values that go up and down many times, with a spike: all detectors have work."""
    values = [float(i % 24 > 12) * 50 + i % 3 + (900 if i == samples // 2 else 0) for i in range(samples)]
    series = make_series("m", [(1e9 + i * step_s, v) for i, v in enumerate(values)], unit="")
    assert series is not None
    return finish(detect(series))


def test_the_time_for_a_series_is_linear_in_its_samples() -> None:
    assert_linear(lambda text: detected(len(text), 1), ("", ".", ""), smallest=2_000, largest=32_000)


@pytest.mark.parametrize("step_s", [3_600, 86_400, 600_000, 3_000_000])
def test_a_series_of_two_hundred_years_takes_as_long_as_one_of_an_hour(step_s: int) -> None:
    assert_linear(
        lambda text: detected(2_000, 1 if len(text) < 400 else step_s), ("", ".", ""), smallest=100, largest=400
    )


def test_the_time_for_series_of_one_name_is_linear_in_the_number_of_files() -> None:
    def read_twice(text: str) -> object:
        rows = [f"2026-01-01T{i // 3600 % 24:02}:{i // 60 % 60:02}:{i % 60:02}Z,h{i},1" for i in range(len(text))]
        one = "time,metric,value\n" + "".join(f"{row}\n{row[:-1]}2\n" for row in rows)
        return read_files(one, one)

    assert_linear(read_twice, ("", ".", ""), smallest=60, largest=960)
