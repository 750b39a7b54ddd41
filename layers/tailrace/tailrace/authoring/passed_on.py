"""Another agent's questions, passed on: as questions of this task, and their answers as replies to that agent.

An agent's task that waits has a message. One of our agents has its questions in it as data (`questions_among`). The
first of them is asked; when it is answered, the agent goes on, and waits with the others. Any other agent's message is
one question.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tailrace.a2a.incoming import Message, Task
from tailrace.authoring.ask import Question, questions_among
from tailrace.errors import shorten
from tailrace.events import Part

# The key in a question's value that says to which task the answer goes. It wins over what the other agent has there.
_PLACE = "delegated"
_LONGEST_TEXT = 4_000


class Place(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a question comes from: the agent, its task, its message, and the interrupt, if it is one of our agents."""

    agent: str
    task: str
    message: str = ""
    interrupt: str = ""


class Answered(msgspec.Struct, frozen=True):
    """A question and the user's answer, with the time of the answer in ms since the epoch."""

    question: Question
    answer: Any
    at: int


def place_of(question: Question) -> Place | None:
    """Where a question was passed on from; None if it is the graph's own."""
    if not isinstance(question.value, dict) or _PLACE not in question.value:
        return None
    try:
        return msgspec.convert(question.value[_PLACE], Place)
    except msgspec.ValidationError:
        return None


def question_in(agent: str, task: Task, *, own: bool) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """The question of an agent's task that waits: the value for `interrupt`, and the JSON Schema of the answer.

    The value is the other graph's own, with the `agent` that asks. Only one of our `own` agents may name another agent
    behind it, or a schema.
    """
    message = task.status.message
    first = _first_interrupt(message)
    content = first.value if first is not None else _text_in(message, agent)
    value: dict[str, Any] = dict(content) if isinstance(content, dict) else {"question": content}
    value.pop("refused", None)
    behind = value.get("agent") if own and _PLACE in value else None
    value["agent"] = behind if isinstance(behind, str) else agent
    place = Place(agent, task.id, message.message_id if message is not None else "", first.id if first else "")
    value[_PLACE] = msgspec.to_builtins(place)
    return value, first.schema if first is not None and own else None


def reply_to(place: Place, answer: Any) -> Part:
    """What the agent is sent as the answer."""
    if place.interrupt:
        return Part(data={"answers": {place.interrupt: answer}})
    return Part(text=answer) if isinstance(answer, str) else Part(data=answer)


def _first_interrupt(message: Message | None) -> Question | None:
    try:
        questions = questions_among(part.data for part in message.parts) if message is not None else []
    except msgspec.ValidationError:
        return None
    return questions[0] if questions else None


def _text_in(message: Message | None, agent: str) -> Any:
    if message is None or not message.parts:
        return f"{agent} waits for an answer, and does not say to what."
    if text := message.text.strip():
        return shorten(text, _LONGEST_TEXT)
    return next((part.data for part in message.parts if part.data is not None), f"{agent} waits for an answer.")
