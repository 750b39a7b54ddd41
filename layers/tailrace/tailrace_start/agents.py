"""Names of agents and their folders: which are allowed; and `tailrace add agent`."""

from __future__ import annotations

import fcntl
import keyword
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from tailrace.registry import plain
from tailrace_start.bundle import TEMPLATE
from tailrace_start.errors import StartError
from tailrace_start.project import agent_files
from tailrace_start.template import entries_in, entry_of, with_entry

# CloudFormation takes 500 resources. A test counts them for so many agents.
MOST_AGENTS = 30
# Functions of Tailrace's own.
NO_AGENTS = ("gateway", "sweeper")
# What `make run` takes.
FOLDER = re.compile(r"[0-9A-Za-z][0-9A-Za-z_-]*")
# A test imports a new agent by its name, so it is a name of Python's too.
_NAME = re.compile(r"[A-Za-z][0-9A-Za-z_]{0,39}")
# Modules that may be missing where a name is chosen, but not where the agent runs. Each function has a function.py.
_OUR_MODULES = ("deploy", "function", "local", "requirements", "tailrace", "tailrace_runtime", "tests", "triage")


def agents_in(functions: Path) -> list[Path]:
    """Return the folders of the agents."""
    folders = (path.parent for path in functions.glob("*/handler.py"))
    return sorted(folder for folder in folders if folder.name not in NO_AGENTS and not folder.name.startswith("."))


def is_another_module(folder: Path) -> bool:
    """Whether Python finds a module of the folder's name elsewhere. On Lambda the folder comes first."""
    if folder.name in _OUR_MODULES:
        return True
    spec = find_spec(folder.name)
    places = [] if spec is None else spec.submodule_search_locations or [spec.origin or ""]
    return spec is not None and folder.resolve() not in [Path(each).resolve() for each in places]


def add_agent(name: str, project: Path) -> list[str]:
    """Add an agent to a project, or to a clone of the repository; return the paths of what has changed.

    The agent is a folder of functions/ with a handler, a test, and an entry in template.yaml. After an error nothing
    has changed.

    Raises:
        StartError: the name cannot be an agent's, or is taken; the folder is no project; a file cannot be written.
        OSError: the folder cannot be read.
    """
    with _alone_in(project):
        return _added(name, project)


@contextmanager
def _alone_in(project: Path) -> Iterator[None]:
    """Wait until no other process adds an agent: each reads the template, and writes what it has read and one line."""
    descriptor = os.open(project, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)  # the end of the process ends it too
        yield
    finally:
        os.close(descriptor)


def _added(name: str, project: Path) -> list[str]:
    template = _template_of(project)
    if (problem := _problem_with(name, project, entries_in(template))) is not None:
        raise StartError(f"The agent's name {name!r} {problem}")
    files = dict(agent_files(name))
    changed = with_entry(template, entry_of(name))
    made: list[Path] = []
    template_file = (project / TEMPLATE).resolve()  # it may be a link
    new_template = template_file.with_name(f".{TEMPLATE}.new")
    try:
        for path, text in files.items():
            file = project / path
            made.append(file)
            file.parent.mkdir(exist_ok=True)
            file.write_text(text, encoding="utf-8")
        made.append(new_template)
        new_template.write_bytes(changed.encode())
        shutil.copymode(template_file, new_template)
        os.replace(new_template, template_file)
    except BaseException as error:
        for file in made:
            file.unlink(missing_ok=True)
        shutil.rmtree(project / "functions" / name, ignore_errors=True)
        if isinstance(error, OSError):
            raise StartError(f"{error.filename or made[-1]} could not be written: {error.strerror}.") from None
        raise
    return [*files, TEMPLATE]


def _template_of(project: Path) -> str:
    """Return the text of the project's template, with its line ends as they are.

    Raises:
        StartError: the folder is no project of Tailrace.
    """
    right = "Run this in a folder that `tailrace new` has made, or in a clone of Tailrace's repository"
    try:
        template = (project / TEMPLATE).read_bytes().decode()
    except FileNotFoundError:
        raise StartError(f"{project} has no {TEMPLATE}. {right}.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise StartError(f"{project / TEMPLATE} cannot be read: {error}.") from None
    if not entries_in(template) or not (project / "functions").is_dir():
        raise StartError(
            f"{project / TEMPLATE} is not one of Tailrace's: it has no list of agents (`- &agents`), or there is no "
            f"folder functions/ beside it. {right}."
        )
    return template


def _problem_with(name: str, project: Path, entries: list[str]) -> str | None:
    """Return why no agent of this name can be added, as the end of a sentence, and what would be right."""
    if not _NAME.fullmatch(name):
        return "must have letters, digits and _, at most 40 of them, and start with a letter."
    if keyword.iskeyword(name):
        return "is a word of Python's, so no test could import the agent: choose another one."
    if plain(name) in NO_AGENTS:
        return f"has the letters of Tailrace's own function {plain(name)}: choose another one."
    functions = project / "functions"
    folders = [each.name for each in functions.iterdir()]
    if (taken := next((each for each in [*folders, *entries] if plain(each) == plain(name)), None)) is not None:
        return f"is taken: functions/ or {TEMPLATE} has {taken}, with the same letters and digits."
    test = project / "tests" / f"test_{name}.py"
    if os.path.lexists(test):
        return f"is taken: {test} exists."
    if is_another_module(functions / name) or plain(name) in _locked(project):
        return "is also a module's that Python or a package has, which the agent would hide: choose another one."
    if len(entries) >= MOST_AGENTS:
        return f"is one too many: {TEMPLATE} has {len(entries)} agents, and a stack has room for {MOST_AGENTS}."
    return None


def _locked(project: Path) -> set[str]:
    """The names of the packages that agents have, as far as the project locks them."""
    lock = project / "requirements" / "run.txt"
    text = lock.read_text(encoding="utf-8") if lock.is_file() else ""
    return {plain(each) for each in re.findall(r"^([A-Za-z0-9._-]+)==", text, re.MULTILINE)}
