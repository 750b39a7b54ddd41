"""The log analyst's time is linear in the length of each line and of each file."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, example, given, settings

from log_analyst.readers import levels
from log_analyst.readers.entry import Entry
from log_analyst.readers.formats import parsers
from log_analyst.readers.header import KINDS, Header
from log_analyst.readers.masking import Masker
from log_analyst.readers.mining import Miner
from log_analyst.readers.paths import collapsed
from log_analyst.readers.reading import LogReader, newest_dated
from log_analyst.readers.reading import example as example_line
from log_analyst.readers.shapes import shape_of
from log_analyst.readers.sources import Source, sources
from tailrace.inputs.request import File, Request
from tailrace.inputs.text import Text
from tests.support.linear_time import FILES, LINES, Shape, assert_linear
from triage.timestamps import Timestamps

pytestmark = pytest.mark.slow

NOW = 2e9
SLOW = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


def parsed_by(name: str) -> Callable[[str], object]:
    return lambda line: parsers()[name](line, Timestamps(NOW))


def source_of(text: str) -> Source:
    return Source("a.log", Text(text), "a.log")


def mined(text: str) -> object:
    miner = Miner()
    for record in LogReader(source_of(text), NOW):
        miner.add(record.entry, 0, (0, record.start, record.end))
    return miner.templates()


def recognised(text: str) -> object:
    return sources(Request(text="", data=[], files=[File(filename="a.log", media_type="text/plain", text=text)]))


def pasted(text: str) -> object:
    return sources(Request(text=text, data=[], files=[]))


def recognised_name(name: str) -> object:
    return sources(Request(text="", data=[], files=[File(filename=name, media_type="text/plain", text="a line")]))


OF_A_LINE: dict[str, Callable[[str], object]] = {
    **{name: parsed_by(name) for name in parsers()},
    "a field's time": lambda text: Timestamps(NOW).value(text),
    "masking a text": lambda text: Masker().text(text),
    "masking a request": lambda text: Masker().request(f"GET {text} 200"),
    "a shape": lambda text: shape_of(Masker().text(text)),
    "a header": lambda text: Header(tuple(KINDS)).read(Entry(None, levels.UNKNOWN, text)),
    "the level": levels.level_in,
    "a start or a stop": levels.is_lifecycle,
    "an example": lambda text: example_line(source_of(text), 0, len(text), 300),
    "the newest time": lambda text: newest_dated(source_of(text)),
    "the routes": lambda text: collapsed({text: 1, text + "/a": 2}),
    "the rotated parts of a log": recognised_name,
}
OF_A_FILE: dict[str, Callable[[str], object]] = {
    "what kind of file it is": recognised,
    "pasted lines": pasted,
    "templates": mined,
}


@pytest.mark.parametrize("parser", OF_A_LINE)
@SLOW
@given(shape=LINES)
@example(shape=("", "_", ""))
@example(shape=("", "_", "!"))
@example(shape=('"', '\\"', ""))
@example(shape=("a@", "=/", "é"))
@example(shape=("", "1-", ".a"))
@example(shape=("/", "1a", "!"))
@example(shape=('"', ", ", '"'))
@example(shape=("'", ", ", "'"))
def test_the_time_for_a_line_is_linear_in_its_length(parser: str, shape: Shape) -> None:
    assert_linear(OF_A_LINE[parser], shape)


def test_a_long_line_is_not_read_again_for_each_trace_after_it() -> None:
    def traced(text: str) -> object:
        return mined(f"2024-01-01T00:00:00Z {text}\n" + "Traceback (most recent call last)\n" * len(text))

    assert_linear(traced, ("", "e ", ""))


@pytest.mark.parametrize("parser", OF_A_FILE)
@SLOW
@given(shape=FILES)
@example(shape=("a,b\nx,", "1", "!"))
@example(shape=("a,b\nx,", " ", "!"))
@example(shape=("", "2024-01-01T00:00:00Z error {i} a{i}b\n", ""))
def test_the_time_for_a_file_is_linear_in_its_length(parser: str, shape: Shape) -> None:
    # The first lines cost more: the formats are detected, and the first templates compared.
    assert_linear(OF_A_FILE[parser], shape, smallest=1_000, largest=64_000)
