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

from tailrace.agent.questions import auth_url_in, text_of
from tailrace.authoring.ask import Question
from tailrace.cli.escaping import safe

# How much of a value an agent asks about is shown.
_SHOWN = 2_000


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
                question.id: _asked(console, f"({number} of {len(questions)}) {_words(question)}", _options(question))
                for number, question in enumerate(questions, 1)
            }
        )
    options = _options(questions[0]) if questions else []
    answer = _asked(console, _words(questions[0]) if questions else words, options)
    named = [word for word in answer.split() if word.startswith("@") and _is_file(word[1:])]
    if not named:
        return Answers(answer)
    return Answers(" ".join(word for word in answer.split() if word not in named), files=[Path(n[1:]) for n in named])


def _is_file(name: str) -> bool:
    try:
        return Path(name).is_file()
    except OSError:  # The name is too long.
        return False


def _words(question: Question) -> str:
    """The question in words, with the actions to approve if it is about some."""
    value = question.value
    if _options(question):  # They get numbers.
        value = {key: each for key, each in value.items() if key != "options"}
    words = text_of(msgspec.structs.replace(question, value=value))
    actions = value.get("action_requests") if isinstance(value, dict) else None
    if actions:
        words += "\n" + json.dumps(actions, indent=2, ensure_ascii=False)[:_SHOWN]
        words += "\nAnswer approve or reject."
    if auth_url_in(question):
        words += "\nPress Enter when you have signed in."
    elif question.schema and not _options(question) and "type" in question.schema:
        words += f" ({question.schema['type']})"
    return words


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
