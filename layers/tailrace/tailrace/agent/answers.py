"""Answers: which questions a user's reply answers, and whether the answers fit.

The log decides. What a reply answers follows from the question's message and the reply alone, so that every later
attempt comes to the same answers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import msgspec

from tailrace.agent.approvals import as_decisions, is_approval, why_no_decisions
from tailrace.agent.questions import questions_in, text_of
from tailrace.authoring.ask import Question
from tailrace.authoring.passed_on import Answered, place_of
from tailrace.decoding import has_huge_int
from tailrace.errors import RequestError, shorten
from tailrace.events import Message
from tailrace.inputs.decode import data_in, text_in

# Takes a question and an answer to it; returns None, or why the answer cannot be taken.
CheckAnswer = Callable[[Question, Any], str | None]

# Maximum length of a question in an error, and of an error of a JSON Schema.
_QUOTED, _SHOWN = 100, 500


class Exchange(msgspec.Struct):
    """A message in which the task asked, and the user's reply to it; None while the task waits.

    `at` is when the reply came, in ms since the epoch.
    """

    message: Message
    reply: Message | None = None
    at: int = 0


class Reply(msgspec.Struct, frozen=True):
    """A user's reply that was checked against the task's message with the id `question_id`."""

    message: Message
    question_id: str

    def fits(self, question: Message | None) -> bool:
        """Whether it still answers `question`, the task's newest message.

        A reply that names its questions does as long as these are open, another one only if nothing has changed.
        """
        named = named_answers(self.message)
        if named is None:
            return question is not None and question.message_id == self.question_id
        return named.keys() <= {each.id for each in questions_in(question)}


def answers_in(exchanges: Sequence[Exchange]) -> dict[str, Any]:
    """All answers of a task, by the question's id. A question that was asked again afterwards is open again."""
    answers: dict[str, Any] = {}
    for exchange in exchanges:
        questions = questions_in(exchange.message)
        for question in questions:
            answers.pop(question.id, None)
        if exchange.reply is not None:
            answers |= _accepted(questions, exchange.reply)
    return answers


def passed_on(exchanges: Sequence[Exchange]) -> dict[str, list[Answered]]:
    """The questions of other agents that the user has answered, in order, by the id of the other agent's task."""
    answered: dict[str, list[Answered]] = {}
    for exchange in exchanges:
        if exchange.reply is None:
            continue
        questions = questions_in(exchange.message)
        answers = _accepted(questions, exchange.reply)
        for question in questions:
            if question.id in answers and (place := place_of(question)) is not None:
                answered.setdefault(place.task, []).append(Answered(question, answers[question.id], exchange.at))
    return answered


def _accepted(questions: Sequence[Question], reply: Message) -> dict[str, Any]:
    try:
        return _answers(questions, reply)
    except RequestError:  # An older version, which checked no replies, has taken this one.
        return {question.id: bare_answer(reply) for question in questions}


def check_reply(message: Message | None, reply: Message, check_answer: CheckAnswer | None = None) -> Reply:
    """The reply to the task's `message`, after it was checked. `check_answer` is the agent's author's.

    Raises:
        RequestError: the message says which questions are open, and what would be right.
    """
    questions = questions_in(message)
    by_id = {question.id: question for question in questions}
    for question_id, answer in _answers(questions, reply).items():
        question = by_id[question_id]
        why = why_no_decisions(question.value, answer) if is_approval(question.value) else _misfit(question, answer)
        if why is None and has_huge_int(answer):
            why = "it has an integer of more than 64 bits; send that as a text."
        if why is None and check_answer is not None:
            why = check_answer(question, answer)
        if why is not None:
            raise RequestError(f"The answer to {_quoted(question)} cannot be taken: {why} The task still waits.")
    return Reply(reply, "" if message is None else message.message_id)


def bare_answer(reply: Message) -> Any:
    """The answer of a reply that names no question: its data if it has a data part, else its text."""
    return next(iter(data_in([reply])), text_in([reply]))


def _answers(questions: Sequence[Question], reply: Message) -> dict[str, Any]:
    named = named_answers(reply)
    if named is None:
        if len(questions) > 1:
            raise RequestError(
                f"The task asks {len(questions)} questions, so a reply has to say as data which ones it answers: "
                f'{{"answers": {{"<id>": <answer>}}}}. {_open(questions)}'
            )
        return {question.id: _converted(question, bare_answer(reply)) for question in questions}
    by_id = {question.id: question for question in questions}
    if not named or named.keys() - by_id.keys():
        unknown = ", ".join(repr(shorten(each)) for each in named if each not in by_id) or "nothing"
        raise RequestError(f"`answers` names {unknown}, which is no open question of the task. {_open(questions)}")
    return {each: _converted(by_id[each], answer) for each, answer in named.items()}


def named_answers(reply: Message) -> dict[str, Any] | None:
    """The answers of a reply that says as data which questions it answers, by their ids; None if it names none."""
    data = next(iter(data_in([reply])), None)
    if isinstance(data, dict) and data.keys() == {"answers"} and isinstance(data["answers"], dict):
        return data["answers"]
    return None


def _converted(question: Question, answer: Any) -> Any:
    """The answer as the question wants it, if it is a text that stands for that: "approve", or a number as text."""
    if not isinstance(answer, str):
        return answer
    if is_approval(question.value):
        return as_decisions(question.value, answer.strip())
    if question.schema is None or _misfit(question, answer) is None:
        return answer
    decoded: Any = answer
    with suppress(msgspec.DecodeError, RecursionError, UnicodeError):
        decoded = msgspec.json.decode(answer)
    fitting = [each for each in ({"type": answer.strip()}, decoded) if _misfit(question, each) is None]
    # If no text can fit, what is wrong is wrong with what the text says.
    takes_text = "string" in question.schema.get("type", "string")
    return fitting[0] if fitting else answer if takes_text else decoded


def _misfit(question: Question, answer: Any) -> str | None:
    """Why the answer does not fit the question's schema; None if it does."""
    if question.schema is None:
        return None
    # Imported here: most questions have no schema.
    from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
    from jsonschema.exceptions import best_match  # type: ignore[import-untyped]
    from referencing import Registry

    # With a registry, `$ref` is never fetched over the network.
    validator: Any = Draft202012Validator(question.schema, registry=Registry())
    error = best_match(validator.iter_errors(answer))
    if error is None:
        return None
    at = f" at {error.json_path}" if error.absolute_path else ""
    return f"{shorten(error.message, _SHOWN)}{at}."


def _quoted(question: Question) -> str:
    return repr(shorten(" ".join(text_of(question).split()), _QUOTED))


def _open(questions: Sequence[Question]) -> str:
    listed = "; ".join(f"{each.id} ({each.node}: {_quoted(each)})" for each in questions)
    return f"Open: {listed or 'no question with an id'}. The task still waits."
