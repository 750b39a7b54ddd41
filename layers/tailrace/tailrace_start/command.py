"""The commands `tailrace new` and `tailrace add agent`, with the standard library's parser."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

from tailrace_start.errors import StartError
from tailrace_start.project import AGENT, new_project

# What each does, for `tailrace --help`.
COMMANDS = {
    "new": "Begin a project: an agent, a test, and what runs and deploys it.",
    "add": "Add an agent to the project in this folder.",
}
_WRONG_USAGE = 2


def run(arguments: list[str]) -> int:
    """Run one of the commands; return its exit code: 0, or 2 if it was not done, and says why."""
    parser = argparse.ArgumentParser(prog="tailrace", description="Begin a project of your own: docs/START.md.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    new = commands.add_parser("new", help=COMMANDS["new"], description=COMMANDS["new"])
    new.add_argument("folder", type=_folder, help="a folder that does not exist, or is empty")
    add = commands.add_parser("add", help=COMMANDS["add"], description=COMMANDS["add"])
    kinds = add.add_subparsers(dest="kind", required=True, metavar="agent")
    agent = kinds.add_parser("agent", description=COMMANDS["add"])
    agent.add_argument("name", help="letters, digits and _: the name of its folder in functions/")
    try:
        given = parser.parse_args(arguments)
    except SystemExit as end:  # it has printed why
        return int(end.code or 0)
    try:
        if given.command == "new":
            _new(given.folder)
        else:
            _add(given.name)
    except StartError as error:
        print(f"tailrace: {error}", file=sys.stderr)
        return _WRONG_USAGE
    except OSError as error:  # of a look at a path, before anything was written
        print(f"tailrace: {error.filename} cannot be used: {error.strerror}.", file=sys.stderr)
        return _WRONG_USAGE
    return 0


def _folder(path: str) -> Path:
    if not path.isprintable():  # and empty is the folder that one is in, if a shell's variable has no value
        raise argparse.ArgumentTypeError(f"{path!r} has characters that cannot be printed. Name another folder.")
    if not path.strip():
        raise argparse.ArgumentTypeError(f"{path!r} is no name. Name a folder; `.` is this one.")
    return Path(path)


def _new(folder: Path) -> None:
    new_project(folder)
    steps = {
        f"cd {shlex.quote(str(folder))}": "",
        "make run": "the page, with your agent",
        "make test": "its test",
        "make deploy": "to AWS: docs/DEPLOY.md",
    }
    print(f"{folder.absolute()} has a project with the agent functions/{AGENT}. Next:\n")
    for command, what in steps.items():
        if command != "cd .":
            print(f"    {command:<15} {what}".rstrip())


def _add(name: str) -> None:
    from tailrace_start.agents import add_agent  # the library's rules for names need its packages

    for path in add_agent(name, Path.cwd()):
        print(path)
    print(f"The agent {name} starts with the next `make run`.")
