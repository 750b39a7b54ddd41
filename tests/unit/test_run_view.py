"""What the command shows of a run: steps under the ones around them, nothing void, nothing that commands a terminal."""

from __future__ import annotations

import builtins
from typing import Any

import pytest

from tailrace.a2a.incoming import Part
from tailrace.authoring.ask import Question
from tailrace.cli.questions import Answers, answers_to, how_to_reply, words_of
from tailrace.cli.run_view import RunView
from tailrace.client import Event
from tailrace.events import Metadata


def event(kind: str, text: str = "", ts: int = 0, **details: Any) -> Event:
    artifact = details.pop("artifact", "")
    return Event(
        kind=kind,
        seq=1,
        agent="a",
        artifact=artifact,
        append=details.pop("append", False),
        parts=[Part(text=text)] if text else [],
        details=Metadata(seq=1, ts=ts, attempt=1, agent="a", kind=kind, **details),
    )


def test_steps_are_nested_end_with_their_time_and_are_void_when_superseded() -> None:
    view = RunView()
    view.add(event("node_start", step="1", name="ask", ts=1_000))
    view.add(event("tool_start", step="2", parent="1", name="search", ts=1_500))
    assert [(step.title, step.depth) for step in view.steps.values()] == [("a · ask", 0), ("a · tool search", 1)]
    assert view.add(event("tool_complete", step="2", parent="1", name="search", ts=2_700)) == [
        "✓ a · tool search  1.2 s"
    ]
    assert view.add(event("attempt", reason="worker lost", supersedes=["1"])) == [
        "another process continues the run (worker lost)"
    ]
    assert view.steps == {}
    assert view.add(event("node_end", step="9", name="plan", error="it\nbroke")) == ["✗ a · plan: it broke"]


def test_an_error_handler_is_named_in_words() -> None:
    view = RunView()
    view.add(event("node_start", step="1", name="__error_handler__fetch"))
    view.add(event("node_start", step="2", name="__default_error_handler__"))
    assert [step.title for step in view.steps.values()] == ["a · error handler of fetch", "a · error handler"]


def test_progress_that_counts_moves_and_only_its_last_stays() -> None:
    view = RunView()
    view.add(event("node_start", step="1", name="read"))
    assert view.add(event("progress", "1 of 2 files", step="1", done=1, total=2)) == []
    assert view.steps["1"].note == "1 of 2 files"
    assert view.add(event("progress", "2 of 2 files", step="1", done=2, total=2)) == ["  a · read: 2 of 2 files"]


def test_text_that_is_taken_back_is_gone() -> None:
    view = RunView()
    view.add(event("token", "Once", artifact="response"))
    view.add(event("token", " half", artifact="response", append=True))
    view.add(event("token", "Once", artifact="response"))
    view.add(event("token", " whole\x1b[2J", artifact="response", append=True))
    assert view.answer == "Once whole\\x1b[2J"


def test_questions_are_asked_one_after_the_other_and_options_have_numbers(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typed = iter(["4", "2", "yes", "@" + "a" * 5_000])
    monkeypatch.setattr(builtins, "input", lambda *_: next(typed))
    people = Question("q1", {"question": "For how many?"}, "book", {"type": "integer"})
    room = Question(
        "q2", {"question": "Where?", "options": ["inside", "outside"]}, "book", {"enum": ["inside", "outside"]}
    )
    assert answers_to([people, room], "") == Answers(by_id={"q1": "4", "q2": "outside"})
    assert answers_to([], "Shall I?\x07") == Answers("yes")
    assert answers_to([], "Shall I?").text == "@" + "a" * 5_000
    shown = capsys.readouterr().err
    assert "(1 of 2) For how many? (integer)" in shown
    assert "Shall I?\\x07" in shown
    assert shown.count("outside") == 1


def test_small_data_is_shown_and_large_data_is_only_named() -> None:
    small, large = (
        Event(kind="artifact", artifact=name, parts=[Part(data=data)])
        for name, data in (("booking", {"people": 3}), ("findings", ["x" * 200]))
    )
    view = RunView()
    assert view.add(small) + view.add(large) == ['→ booking {"people":3}', "→ findings"]


def test_a_form_says_what_each_field_has_to_be() -> None:
    fields = {
        "people": {"type": "integer", "minimum": 1, "title": "How many"},
        "place": {"enum": ["inside", "outside"]},
        "other": True,
    }
    asked = words_of(Question("q", "Book?", "book", {"type": "object", "properties": fields, "required": ["people"]}))
    assert asked.splitlines() == [
        "Book?",
        "Answer with JSON of:",
        "  people: integer, minimum 1; How many",
        '  place: "inside" or "outside", or nothing',
        "  other: anything, or nothing",
    ]


@pytest.mark.parametrize("required", [None, True, 3, "people", {"people": True}], ids=repr)
def test_a_form_with_an_odd_list_of_required_fields_is_shown(required: object) -> None:
    """The other agent has not checked its schema."""
    form = {"properties": {"people": {"type": "integer"}}, "required": required}
    assert words_of(Question("q", "Book?", "book", form)).endswith("\n  people: integer, or nothing")


def test_who_answers_with_another_command_reads_each_question_and_its_id() -> None:
    people = Question("q1", {"question": "For how many?"}, "book", {"type": "integer"})
    room = Question("q2", {"question": "Where?", "options": ["in", "out"]}, "book", {"enum": ["in", "out"]})
    assert how_to_reply([people, room], "").splitlines() == [
        "For how many? (integer)", "(--question q1)", "", "Where?", "• in", "• out", "(--question q2)",
    ]  # fmt: skip
    assert how_to_reply([], "Shall I?") == "Shall I?"
