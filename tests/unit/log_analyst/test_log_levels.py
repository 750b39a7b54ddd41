"""Levels, wherever a log has them: a fault is an error in each way of writing it."""

from __future__ import annotations

import pytest

from log_analyst.readers import levels
from log_analyst.readers.entry import Entry
from log_analyst.readers.header import header_of
from log_analyst.readers.reading import LogReader
from log_analyst.readers.sources import Source
from tailrace.inputs.text import Text
from tests.unit.log_analyst.log_fixtures import MINUTE, T0, Line, asked, file, run, text_of, when


def levels_of(text: str) -> list[int]:
    return [record.level for record in LogReader(Source("x", Text(text), "x"), T0)]


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("ERROR db pool exhausted: 20 of 20", levels.ERROR),
        ("ERROR db pool exhausted", levels.ERROR),
        ("FATAL out of disk: /var", levels.CRITICAL),
        ("WARNING: slow", levels.WARNING),
        ("web sshd[1]: error: no key", levels.ERROR),
        ("INFO out of the way: 3", levels.INFO),
    ],
)
@pytest.mark.parametrize("time", ["2025-07-07T18:00:07Z", "Jul  7 18:00:07", "2025-07-07 18:00:07"])
def test_a_level_is_no_host(time: str, text: str, level: int) -> None:
    text_of_ten = "".join(f"{time} {text}\n" for _ in range(10))
    assert levels_of(text_of_ten) == [level] * 10
    [first, *_] = LogReader(Source("x", Text(text_of_ten), "x"), T0)
    assert text.split(": ")[-1] in first.entry.text


def test_a_host_and_an_application_with_spaces_are_still_cut_off() -> None:
    [record] = LogReader(Source("x", Text("Jul  7 18:00:07 mac Google Chrome[81]: gone: x\n"), "x"), T0)
    assert record.entry.text == "Google Chrome: gone: x"


@pytest.mark.parametrize(
    "form",
    [
        "{date} {clock} {level} Orders order {number} stored",
        "{date} {clock} [{level}] order {number} stored",
        "{date} {clock} [main] {lower} shop.Orders - order {number} stored",
        "{date}T{clock}Z {level} order stored: {number} of 9",
        "{date} {clock} {letter} NETWORK [conn{number}] order stored",
        "{day} {clock}.000  411  412 {letter} OrderManager: order {number} stored",
        "{letter}{glog} {clock}.000000 12 orders.go:41] order {number} stored",
    ],
)
def test_the_same_message_is_found_when_it_turns_into_an_error(form: str) -> None:
    lines: list[Line] = []
    for minute in range(120):
        at, bad = T0 + minute * MINUTE, 90 <= minute < 105
        level = "ERROR" if bad else "INFO"
        line = form.format(
            date=when(at, "%Y-%m-%d"),
            day=when(at, "%m-%d"),
            glog=when(at, "%m%d"),
            clock=when(at, "%H:%M:%S"),
            level=level,
            lower=level.lower(),
            letter=level[0],
            number=minute * 7,
        )
        lines.append((at, line))
    ran = run(asked(file(text_of(lines))))
    [error] = ran.of("new_template")
    assert error.evidence["level"] == "ERROR"
    assert error.evidence["count"] == 15
    assert error.start.endswith("-03-05T10:30:00Z")


@pytest.mark.parametrize(
    "texts",
    [
        ["T done 1", "F done 2", "T done 3", "T done 4", "F done 5"] * 3,
        ["I saw it", "we saw it", "I saw it", "I saw it", "I saw it"] * 3,
        ["A", "B", "C", "D", "E"] * 3,
        ["E one", "I two"],
        [],
    ],
)
def test_a_column_with_anything_else_is_none_of_levels(texts: list[str]) -> None:
    header = header_of(texts)
    assert header is None or all(
        header.read(Entry(None, levels.UNKNOWN, text)).level == levels.UNKNOWN for text in texts
    )
