"""Nothing is called quiet that was not understood."""

from __future__ import annotations

import random

from log_analyst.report import Facts
from tests.unit.log_analyst.log_fixtures import MINUTE, T0, Line, asked, file, run, text_of, when


def lines(form: str) -> list[Line]:
    rng = random.Random(7)
    return [
        (
            at,
            form.format(
                time=when(at, "%Y-%m-%d %H:%M:%S"), number=rng.randrange(10**6), id=f"{rng.getrandbits(60):015x}"
            ),
        )
        for at in (T0 + minute * MINUTE for minute in range(120))
    ]


def test_lines_that_all_look_alike_and_name_no_level_are_not_called_quiet() -> None:
    ran = run(asked(file(text_of(lines("{time} {number} {id} {number}")), "odd.log")))
    assert ran.findings == []
    assert "Nothing stands out" not in ran.report
    assert "could not be read well enough" in ran.report
    assert "120 of 120 entries look alike" in ran.report
    assert "taken for plain text, with lines like `<num> <hex> <num>`" in ran.report
    assert any("hardly understood" in note for note in ran.artifact["notes"])


def test_a_level_is_no_help_where_all_else_was_masked() -> None:
    ran = run(asked(file(text_of(lines("{time} INFO {number} {id} {number} {number}:{number}")))))
    assert "taken for numbers and ids" in ran.report


def test_a_steady_log_with_levels_is_quiet() -> None:
    ran = run(asked(file(text_of(lines("{time} INFO heartbeat {number} of the pump")))))
    assert "Nothing stands out" in ran.report


def test_lines_without_a_time_say_what_they_look_like() -> None:
    ran = run(asked(file(text_of(lines("order {number} stored")))))
    assert "Nothing can be said about changes" in ran.report
    assert "text without times, with lines like `order <num> stored`" in ran.report


def test_stored_facts_of_an_earlier_version_have_no_such_words() -> None:
    facts = Facts(lines=1, entries=1, template_count=1, log_count=1, logs=[], first=None, last=None)
    assert (facts.misread, facts.seen) == ("", "")
