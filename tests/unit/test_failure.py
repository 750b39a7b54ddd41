"""The words for what an author's code raised."""

from __future__ import annotations

from tailrace.agent.failure import words_of


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


def test_an_error_is_reported_by_its_type_and_text() -> None:
    assert words_of(ValueError("no such table")) == "ValueError: no such table"
    assert words_of(TimeoutError()) == "TimeoutError"


def test_an_error_whose_text_cannot_be_read_is_reported_by_its_type() -> None:
    assert words_of(Mute()) == "Mute: (its text cannot be read: RuntimeError)"


def test_a_group_of_errors_is_reported_with_the_first_of_them() -> None:
    group = ExceptionGroup("many", [ExceptionGroup("few", [ValueError("a")]), *[KeyError(n) for n in range(6)]])
    assert words_of(group) == (
        "ExceptionGroup: many (ExceptionGroup: few (ValueError: a); KeyError: 0; KeyError: 1; KeyError: 2; "
        "KeyError: 3; and 2 more)"
    )


def test_a_long_text_is_shortened() -> None:
    assert len(words_of(ValueError("x" * 5_000))) <= 1_000
