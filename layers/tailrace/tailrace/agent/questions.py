"""Questions: how a graph's interrupts become a message of the task, and what a reply to that message answers.

The log decides. What a reply answers follows from the question's message and the reply alone, so that every later
attempt comes to the same answers.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec

from tailrace.agent.approvals import as_decisions, decision_text, is_approval, why_no_decisions
from tailrace.authoring.ask import Question, questions_among, questions_as_data
from tailrace.authoring.passed_on import Answered, place_of
from tailrace.decoding import check_depth, has_huge_int
from tailrace.errors import RequestError, shorten
from tailrace.events import Message, State, as_text, plain, without_surrogates
from tailrace.inputs.decode import data_in, text_in

if TYPE_CHECKING:
    from pydantic import ValidationError

# Takes a question and an answer to it; returns None, or why the answer cannot be taken.
CheckAnswer = Callable[[Question, Any], str | None]

# The keys of an interrupt's value that may hold the URL where the user signs in.
_AUTH_KEYS = ("auth_url", "auth")
# Maximum length of a value that is shown as JSON, and of a question in an error.
_SHOWN, _QUOTED = 500, 100


class AnswerUnfit(Exception):
    """The graph refused an answer itself, by the type that it passed to `interrupt()`.

    `questions` are those of the last message that are among `waiting`, the ids of the interrupts that still wait.
    """

    def __init__(self, error: ValidationError, questions: Sequence[Question], waiting: Collection[str]) -> None:
        why = "; ".join(f"{'.'.join(map(str, each['loc'])) or 'it'}: {each['msg']}" for each in error.errors())
        super().__init__(f"An answer cannot be taken: {shorten(why, _SHOWN)}.")
        self.questions = [question for question in questions if question.id in waiting]


def question_of(interrupt: Mapping[str, Any], node: str) -> Question:
    """The question in one `interrupts` entry of LangGraph's stream. `node` asks it.

    Raises:
        NotJson, TooDeep: its value has no form in JSON.
    """
    value = without_surrogates(plain(interrupt["value"], f"The value of interrupt() in the node {node}"))
    return Question(interrupt["id"], value, node, interrupt.get("response_schema"))


def auth_url_in(question: Question) -> str:
    """The URL where the question wants the user to sign in; "" if it does not."""
    if isinstance(question.value, dict):
        for url in map(question.value.get, _AUTH_KEYS):
            if isinstance(url, str) and url.startswith(("https://", "http://")):
                return url
    return ""


def asking(questions: Sequence[Question], why: str = "") -> tuple[State, str, dict[str, Any]]:
    """The state of a task that asks these questions, with the text and the data of its message.

    The state is AUTH_REQUIRED if each of them wants the user to sign in. `why` says why they are asked again.

    Raises:
        TooDeep: a value is nested too deep for a data part.
    """
    data = questions_as_data(questions)
    check_depth(data, "What the graph asks")
    text = "\n\n".join([*([why] if why else []), *map(_text_of, questions)])
    auth = all(auth_url_in(question) for question in questions)
    return "TASK_STATE_AUTH_REQUIRED" if auth else "TASK_STATE_INPUT_REQUIRED", text, data


def questions_in(message: Message | None) -> list[Question]:
    """The questions of a task's message. Empty if there is none, or if an older version has written it as text only."""
    return questions_among(data_in([message])) if message is not None else []


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
        named = _named(self.message)
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
    named = _named(reply)
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


def _named(reply: Message) -> dict[str, Any] | None:
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
    candidates: list[Any] = [{"type": answer.strip()}]
    with suppress(msgspec.DecodeError, RecursionError, UnicodeError):
        candidates.append(msgspec.json.decode(answer))
    return next((each for each in candidates if _misfit(question, each) is None), answer)


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


def _text_of(question: Question) -> str:
    """The question as text; one that is passed on has its agent's name in front."""
    if place_of(question) is None:
        return _own_text_of(question)
    refused = question.value.get("refused")
    before = f"{_shown(refused)} " if refused else ""
    return f"{before}{_shown(question.value.get('agent'))} asks: {_own_text_of(question)}"


def _own_text_of(question: Question) -> str:
    value = question.value
    if is_approval(value):
        return decision_text(value)
    if isinstance(value, str):
        return value
    words = value.get("question", value.get("description")) if isinstance(value, dict) else None
    if words is None:
        return _shown(value)
    lines = [_shown(words)]
    if options := value.get("options"):
        lines += [f"• {_shown(option)}" for option in options] if isinstance(options, list) else [_shown(options)]
    if url := auth_url_in(question):
        lines.append(url)
    return "\n".join(lines)


def _quoted(question: Question) -> str:
    return repr(shorten(" ".join(_text_of(question).split()), _QUOTED))


def _open(questions: Sequence[Question]) -> str:
    listed = "; ".join(f"{each.id} ({each.node}: {_quoted(each)})" for each in questions)
    return f"Open: {listed or 'no question with an id'}. The task still waits."


def _shown(value: Any) -> str:
    return shorten(as_text(value), _SHOWN)
