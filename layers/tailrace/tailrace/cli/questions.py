"""Asks in the terminal what a task asks its user. An answer like `@app.log` sends a file."""

from __future__ import annotations

import json
import select
import sys
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from rich.console import Console
from rich.text import Text

from tailrace.agent.approvals import is_approval
from tailrace.agent.questions import auth_url_in, text_of
from tailrace.authoring.ask import Question
from tailrace.cli.escaping import safe

_DECISIONS = '{"decisions": [{"type": "approve"}, {"type": "reject", "message": "why"}]}'


class Answers(NamedTuple):
    """What the user has answered: by the questions' ids if there are several, else in one `text`, and files."""

    text: str = ""
    by_id: dict[str, str] | None = None
    files: list[Path] = []  # noqa: RUF012 - never changed


def answers_to(questions: list[Question], words: str) -> Answers:
    """Ask the user. `words` are what the task says, for an agent that does not tell its questions as data.

    Raises:
        EOFError: the terminal is closed.
        KeyboardInterrupt: the user wants to answer later.
    """
    console = Console(stderr=True, highlight=False)
    if len(questions) > 1:
        return Answers(
            by_id={
                question.id: _asked(console, f"({number} of {len(questions)}) {words_of(question)}", _options(question))
                for number, question in enumerate(questions, 1)
            }
        )
    options = _options(questions[0]) if questions else []
    answer = _asked(console, words_of(questions[0]) if questions else words, options)
    named = [word for word in answer.split() if word.startswith("@") and _is_file(word[1:])]
    if not named:
        return Answers(answer)
    return Answers(" ".join(word for word in answer.split() if word not in named), files=[Path(n[1:]) for n in named])


def _is_file(name: str) -> bool:
    try:
        return Path(name).is_file()
    except OSError:  # The name is too long.
        return False


def words_of(question: Question) -> str:
    """The question in words, and what an answer to it looks like."""
    value = question.value
    if _options(question):  # They get numbers.
        value = {key: each for key, each in value.items() if key != "options"}
    words = text_of(msgspec.structs.replace(question, value=value))
    if is_approval(value):
        words += f"\nAnswer approve or reject for all, or with JSON for each in turn: {_DECISIONS}"
    if auth_url_in(question):
        words += "\nPress Enter when you have signed in."
    elif question.schema and not _options(question):
        words += _form(question.schema)
    return words


def how_to_reply(questions: list[Question], words: str) -> str:
    """What a task asks, for who answers it with another command. `words` are as in `answers_to`."""
    if len(questions) < 2:
        return "\n".join(_listed(questions[0])) if questions else words
    return "\n\n".join("\n".join([*_listed(each), f"(--question {each.id})"]) for each in questions)


def _listed(question: Question) -> list[str]:
    return [words_of(question), *(f"• {option}" for option in _options(question))]


def _form(schema: dict[str, Any]) -> str:
    """What an answer has to be, in a line for each field if it has some."""
    fields = schema.get("properties")
    if not isinstance(fields, dict):
        return f" ({schema['type']})" if "type" in schema else ""
    needed = schema.get("required")
    needed = needed if isinstance(needed, list) else []
    lines = [f"  {name}: {_field(each)}{'' if name in needed else ', or nothing'}" for name, each in fields.items()]
    return "\n".join(["\nAnswer with JSON of:", *lines])


def _field(schema: Any) -> str:
    """Like `integer, minimum 1, maximum 8`: all that the schema says of a field, but for what it is called."""
    if not isinstance(schema, dict):
        return "anything"
    kind = schema.get("type", "")
    said = [str(kind)] if kind else []
    if isinstance(among := schema.get("enum"), list):
        said = [" or ".join(json.dumps(each, ensure_ascii=False) for each in among)]
    others = {key: each for key, each in schema.items() if key not in ("type", "enum", "title", "description")}
    said += [f"{key} {json.dumps(each, ensure_ascii=False)}" for key, each in others.items()]
    about = [str(schema[key]) for key in ("title", "description") if key in schema]
    return "; ".join([", ".join(said) or "anything", *about])


def _options(question: Question) -> list[str]:
    value: Any = question.value
    options = value.get("options") if isinstance(value, dict) else None
    return options if isinstance(options, list) and all(isinstance(each, str) for each in options) else []


def _asked(console: Console, words: str, options: list[str]) -> str:
    console.print(Text(f"? {safe(words)}", "bold yellow"), soft_wrap=True)
    for number, option in enumerate(options, 1):
        console.print(Text(f"  {number}. {safe(option)}"), soft_wrap=True)
    console.print("> ", end="", markup=False)
    # A Ctrl-C just before `input` begins to read would be lost until a key is pressed; between these waits it is seen.
    while sys.stdin.isatty() and not select.select([sys.stdin], [], [], 0.2)[0]:
        pass
    answer = input()
    if answer.isdigit() and 1 <= int(answer) <= len(options):
        return options[int(answer) - 1]
    return answer
