"""Questions: how a graph's interrupts become a message of the task, as text for people and as data for programs."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

from tailrace.agent.approvals import decision_text, is_approval, without_call
from tailrace.authoring.ask import Question, questions_among, questions_as_data
from tailrace.authoring.passed_on import place_of
from tailrace.decoding import check_depth
from tailrace.errors import shorten
from tailrace.events import Message, State, as_text, plain, without_surrogates
from tailrace.inputs.decode import data_in

if TYPE_CHECKING:
    from langgraph.types import Interrupt
    from pydantic import ValidationError

# The keys of an interrupt's value that may hold the URL where the user signs in.
_AUTH_KEYS = ("auth_url", "auth")
# The keys of an interrupt's value that may hold the question in words.
_WORDS = ("question", "description", "message", "prompt")
# The keys that are not shown as they are: of options, of breakpoints, and of questions that are passed on.
_APART = {"options", "breakpoint", "nodes"}
_PASSED_ON = {"agent", "delegated", "refused"}
# Maximum length of a value that is shown as JSON.
_SHOWN = 500


class AnswerUnfit(Exception):
    """The graph refused an answer itself, by the type that it passed to `interrupt()`.

    `questions` are those of the last message that are among `waiting`, the ids of the interrupts that still wait.
    """

    def __init__(self, error: ValidationError, questions: Sequence[Question], waiting: Collection[str]) -> None:
        why = "; ".join(f"{'.'.join(map(str, each['loc'])) or 'it'}: {each['msg']}" for each in error.errors())
        super().__init__(f"An answer cannot be taken: {shorten(why, _SHOWN)}.")
        self.questions = [question for question in questions if question.id in waiting]


def question_of(interrupt: Interrupt, node: str) -> Question:
    """The question that an interrupt is. `node` asks it.

    Raises:
        NotJson, TooDeep: its value has no form in JSON.
    """
    value = without_surrogates(plain(interrupt.value, f"The value of interrupt() in the node {node}"))
    schema = interrupt.response_schema  # LangGraph has made a JSON Schema of a type
    if isinstance(schema, dict):
        schema = plain(schema, f"The response_schema of interrupt() in the node {node}")
    return Question(interrupt.id, value, node, schema if isinstance(schema, dict) else None)


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
    text = "\n\n".join([*([why] if why else []), *map(text_of, questions)])
    auth = all(auth_url_in(question) for question in questions)
    return "TASK_STATE_AUTH_REQUIRED" if auth else "TASK_STATE_INPUT_REQUIRED", text, data


def questions_in(message: Message | None) -> list[Question]:
    """The questions of a task's message. Empty if there is none, or if an older version has written it as text only."""
    return questions_among(data_in([message])) if message is not None else []


def text_of(question: Question) -> str:
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
    key = next((each for each in _WORDS if isinstance(value.get(each), str)), None) if isinstance(value, dict) else None
    if key is None:
        return _shown(value)
    url = auth_url_in(question)
    apart = {key} | _APART | (_PASSED_ON if place_of(question) is not None else set())
    others = [(name, each) for name, each in value.items() if name not in apart and not (url and each == url)]
    words = without_call(value[key], value.get("name"), value.get("args"))
    lines = [words, *(f"{name}: {each if isinstance(each, str) else _shown(each)}" for name, each in others)]
    if options := value.get("options"):
        lines += [f"• {_shown(option)}" for option in options] if isinstance(options, list) else [_shown(options)]
    if url:
        lines.append(url)
    return "\n".join(lines)


def _shown(value: Any) -> str:
    return shorten(as_text(value), _SHOWN)
