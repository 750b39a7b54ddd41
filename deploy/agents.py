"""The agents of this project before they are deployed: folders in functions/, and their names in template.yaml."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from tailrace.registry import plain
from tailrace_start.agents import FOLDER, MOST_AGENTS, NO_AGENTS, agents_in, is_another_module
from tailrace_start.template import entries_in, entry_of

# Of a function.
_LONGEST_NAME = 64

Examined = Iterator[tuple[Literal["note", "problem"], str]]


def examined(stack: str, functions: Path, template: Path) -> Examined:
    """Yield what would fail with an agent, or leave it out, and what to do."""
    folders, entries = agents_in(functions), entries_in(template.read_text())
    yield from _wrong_folders(folders)
    yield from _wrong_entries(entries)
    if len(entries) > MOST_AGENTS:
        enough = f"CloudFormation's 500 resources for a stack are enough for {MOST_AGENTS}"
        yield "problem", f"{len(entries)}, but {enough}: give the others a stack of their own"
    for folder in folders:
        if plain(folder.name) not in map(plain, entries):
            text = f"functions/{folder.name} is not deployed, because template.yaml does not have it"
            yield "note", f"{text}: add `- {entry_of(folder.name)}` to its list of agents"
        elif (name := _card_name(folder / "handler.py")) is not None and plain(name) != plain(folder.name):
            text = f"functions/{folder.name} has a card with the name {name!r}, but AWS finds an agent by its folder"
            yield "problem", f"{text}: rename one, so that both have the same letters and digits"
    for entry in entries:
        if plain(entry) not in (*NO_AGENTS, *(plain(folder.name) for folder in folders)):
            yield "problem", f"template.yaml has {entry}, but functions/ has no such folder with a handler.py"
        if len(name := f"{stack}_{entry}") > _LONGEST_NAME:
            text = f"{name} is longer than the {_LONGEST_NAME} characters of a function's name"
            yield "problem", f"{text}: shorten the stack's name or the agent's"


def _wrong_folders(folders: list[Path]) -> Examined:
    alike = Counter(plain(folder.name) for folder in folders)
    for folder in folders:
        name, where = folder.name, f"functions/{folder.name}"
        if not FOLDER.fullmatch(name):
            yield "problem", f"{where} must have letters, digits, _ and -, starting with a letter or a digit: rename it"
        elif plain(name) in NO_AGENTS:
            yield "problem", f"{where} has the letters of Tailrace's own function {plain(name)}: rename it"
        elif alike[plain(name)] > 1:
            yield "problem", f"{where} has the same letters and digits as another folder: rename one"
        elif is_another_module(folder):
            yield "problem", f"{where} would hide a module of this name that Python or a package has: rename it"


def _wrong_entries(entries: list[str]) -> Examined:
    alike = Counter(map(plain, entries))
    for entry in entries:
        if not re.fullmatch("[0-9A-Za-z]+", entry):
            text = f"template.yaml has {entry}, but an entry has letters and digits only"
            yield "problem", f"{text}: write {re.sub('[^0-9A-Za-z]', '', entry)}"
        elif plain(entry) in NO_AGENTS:
            yield "problem", f"template.yaml has {entry}, which is no agent: take it from the list of agents"
        elif alike[plain(entry)] > 1:
            yield "problem", f"template.yaml has {entry} twice: take one from the list of agents"


def _card_name(handler: Path) -> str | None:
    """Return the name in the agent's card; None if the handler computes it or the card is elsewhere."""
    try:
        tree = ast.parse(handler.read_bytes())
    except SyntaxError:
        return None
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) == "AgentCard":
            for keyword in node.keywords:
                if keyword.arg == "name" and isinstance(keyword.value, ast.Constant):
                    return str(keyword.value.value)
    return None
