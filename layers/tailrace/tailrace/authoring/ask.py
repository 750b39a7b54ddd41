"""`ask`: a question to the user with a form, and `Question`, which is how a question of any kind is described."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec


class Question(msgspec.Struct, frozen=True, omit_defaults=True):
    """One `interrupt()` that waits for an answer.

    - `id`: LangGraph's id of the interrupt. A reply names it to answer this question among several.
    - `value`: what the graph passed to `interrupt()`, as JSON.
    - `node`: the node that asks.
    - `schema`: the JSON Schema of an answer; None if any answer will do.

    Example:
        def fits(question: Question, answer: object) -> str | None:
            if question.node == "book" and answer == "0":
                return "A table is for one person at least."
            return None
    """

    id: str
    value: Any
    node: str
    schema: dict[str, Any] | None = None


def ask(question: str, *, options: Sequence[str] = (), schema: Any = None, auth_url: str = "") -> Any:
    """Ask the user, and return the answer. It is LangGraph's `interrupt` with a form of its own.

    The task waits without a process. When the answer is there, the node runs again from its top, and `ask` returns.
    An answer that does not fit is refused with the reason, and the task goes on waiting.

    Args:
        question: what to ask, for people.
        options: the texts to choose from. Without a `schema`, the answer has to be one of them.
        schema: what the answer has to be: a JSON Schema as a dict, or a type like `int`, a TypedDict, a dataclass or a
            pydantic model. With a type, the answer comes as that type.
        auth_url: where the user signs in. The task's state is AUTH_REQUIRED then, and any reply goes on.

    Raises:
        ValueError: an argument has a value that it cannot have.

    Example:
        async def book(state: MessagesState) -> None:
            people = ask("For how many people?", schema={"type": "integer", "minimum": 1})
            room = ask("Inside or outside?", options=["inside", "outside"])
            write(f"A table for {people} is booked {room}.")
    """
    # LangGraph is imported here, because only a process that runs a graph has it.
    from langgraph.types import interrupt

    value: dict[str, Any] = {"question": question}
    if options:
        if isinstance(options, str) or not all(isinstance(option, str) for option in options):
            raise ValueError(f"ask() got options with value {options!r}, but they must be a list of texts.")
        value["options"] = list(options)
    if auth_url:
        if not auth_url.startswith(("https://", "http://")):
            raise ValueError(f"ask() got auth_url with value {auth_url!r}, but it must be a URL of http or https.")
        value["auth_url"] = auth_url
    if schema is None and options:
        schema = {"enum": list(options)}
    return interrupt(value, response_schema=schema)


def questions_as_data(questions: Sequence[Question]) -> dict[str, Any]:
    """The questions as the data part of a waiting task's message (docs/PROTOCOL.md, section 5.12)."""
    return {"interrupts": msgspec.to_builtins(list(questions))}


def questions_among(data: Iterable[Any]) -> list[Question]:
    """The questions in the data parts of a message; none if there are none.

    Raises:
        msgspec.ValidationError: they do not have the shape of `questions_as_data`.
    """
    for value in data:
        if isinstance(value, dict) and "interrupts" in value:
            return msgspec.convert(value["interrupts"], list[Question])
    return []
