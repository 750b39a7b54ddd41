"""The list of agents in a template.yaml of Tailrace, and what else of the repository's differs in a project."""

from __future__ import annotations

import re

from tailrace_start.errors import StartError

# The list ends with its last entry. Blank lines and comments may be anywhere in it, and lines may end with CRLF.
_ENTRIES = re.compile(
    r"^( +)- &agents[ \t]*(?:#.*)?\r?\n((?:(?:[ \t]*(?:#.*)?\r?\n)*\1 +- .*\n)+)",
    re.MULTILINE,
)
_ENTRY = re.compile(r"^( +)- ['\"]?(.+?)['\"]?(?:[ \t]+#.*)?[ \t]*(\r?\n)", re.MULTILINE)
_OUTPUT = re.compile(r"^  OrchestratorUrl:\n(?:    .*\n)+", re.MULTILINE)
# The longest name of a stack that leaves room for the names of its functions, in every region.
_LONGEST_STACK = 30


def entry_of(name: str) -> str:
    """The entry of an agent whose folder has this name: `my_agent` is `MyAgent`."""
    return re.sub("[^0-9A-Za-z]", "", name.title())


def entries_in(template: str) -> list[str]:
    """The names of the agents in the template's list; none if it has no such list."""
    found = _ENTRIES.search(template)
    return [name for _, name, _ in _ENTRY.findall(found[2])] if found is not None else []


def with_entry(template: str, entry: str) -> str:
    """The template with one more agent at the end of its list, and everything else as it is.

    Raises:
        StartError: it has no list of agents.
    """
    found = _ENTRIES.search(template)
    if found is None:
        raise StartError("template.yaml has no list of agents (`- &agents`).")
    spaces, _, newline = _ENTRY.findall(found[2])[-1]
    return f"{template[: found.end()]}{spaces}- {entry}{newline}{template[found.end() :]}"


def of_project(template: str, agent: str) -> str:
    """The repository's template for a project whose only agent, and so its default one, is `agent`.

    Raises:
        StartError: the template is not the repository's.
    """
    entry = entry_of(agent)
    changed = _ENTRIES.sub(rf"\1- &agents\n\1  - {entry}\n", template)
    for old, new in (
        ("    Orchestrator: { MB: ", f"    {entry}: {{ MB: "),
        ("TAILRACE_ORCHESTRATOR: orchestrator\n", f"TAILRACE_ORCHESTRATOR: {agent}\n"),
    ):
        changed = _replaced(changed, old, new)
    return _OUTPUT.sub("", changed)


def samconfig_of_project(samconfig: str, stack: str) -> str:
    """The repository's samconfig.toml for the stack of a project.

    Raises:
        StartError: it is not the repository's.
    """
    changed = _replaced(samconfig, 'stack_name = "tailrace"', f'stack_name = "{stack}"')
    return _replaced(changed, 's3_prefix = "tailrace"', f's3_prefix = "{stack}"')


def stack_of(folder: str) -> str:
    """The name of the stack of a project in a folder of this name."""
    words = re.sub("[^0-9A-Za-z]+", "-", folder)
    return re.sub("^[^A-Za-z]+", "", words)[:_LONGEST_STACK].strip("-") or "my-agents"


def _replaced(text: str, old: str, new: str) -> str:
    if text.count(old) != 1:
        raise StartError(
            "This Tailrace belongs to a project and cannot begin another one. "
            "Use an installed one (pip install of the wheel), or a clone of the repository."
        )
    return text.replace(old, new)
