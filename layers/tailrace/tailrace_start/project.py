"""`tailrace new`: a project with one agent, a test of it, and everything that runs, builds and deploys it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tailrace_start import bundle
from tailrace_start.errors import StartError
from tailrace_start.template import of_project, samconfig_of_project, stack_of

AGENT = "greeter"
_SKELETON = Path(__file__).parent / "skeleton"


def new_project(folder: Path) -> None:
    """Write a project into a folder that does not exist or is empty. After an error nothing is left.

    Raises:
        StartError: the folder has files or cannot be written to, or this Tailrace belongs to a project itself.
    """
    folder = folder.absolute()
    if (problem := _problem_with(folder)) is not None:
        raise StartError(f"{folder} {problem}")
    root, there = bundle.root(), folder.is_dir()
    texts = _own_files(root, stack_of(folder.name))
    making: Path | None = None
    try:
        making = Path(tempfile.mkdtemp(prefix=".tailrace-", dir=folder if there else folder.parent))
        project = making / folder.name
        for files in (bundle.files_in(root), bundle.library_files()):
            for path, file in files:
                _copy(file, project / path)
        for path, text in texts.items():
            (project / path).parent.mkdir(parents=True, exist_ok=True)
            (project / path).write_text(text, encoding="utf-8")
        if there:
            for file in project.iterdir():
                file.rename(folder / file.name)
        else:
            project.rename(folder)
    except OSError as error:
        raise StartError(f"{folder} could not be written: {error.strerror}.") from None
    finally:
        if making is not None:
            shutil.rmtree(making, ignore_errors=True)


def agent_files(name: str) -> Iterator[tuple[str, str]]:
    """Yield the files of a new agent: each one's path in a project, and its text."""
    handler = (_SKELETON / "handler.py.txt").read_text(encoding="utf-8")
    test = (_SKELETON / "test.py.txt").read_text(encoding="utf-8")
    yield f"functions/{name}/handler.py", handler.replace(f'name="{AGENT}"', f'name="{name}"')
    yield f"tests/test_{name}.py", test.replace(f"from {AGENT}.", f"from {name}.")


def _problem_with(folder: Path) -> str | None:
    if folder.is_dir():
        if any(folder.iterdir()):
            return "exists and is not empty. Name another folder, or empty this one."
    elif os.path.lexists(folder):
        return "exists and is no folder. Name another one."
    elif not folder.parent.is_dir():
        return f"cannot be made, because {folder.parent} is no folder. Make that first."
    return None


def _own_files(root: Path, stack: str) -> dict[str, str]:
    """Return the files that are the project's own: the text of each, by its path.

    Raises:
        StartError: Tailrace's files are those of a project, and not of the repository.
    """
    return {
        bundle.TEMPLATE: of_project((root / bundle.TEMPLATE).read_text(encoding="utf-8"), AGENT),
        bundle.SAMCONFIG: samconfig_of_project((root / bundle.SAMCONFIG).read_text(encoding="utf-8"), stack),
        ".gitignore": (_SKELETON / "gitignore").read_text(encoding="utf-8"),
        "README.md": (_SKELETON / "README.md").read_text(encoding="utf-8").replace("PROJECT", stack),
        **{name: (_SKELETON / name).read_text(encoding="utf-8") for name in ("Makefile", "pyproject.toml")},
        **dict(agent_files(AGENT)),
    }


def _copy(file: Path, to: Path) -> None:
    """Copy a file, which may be read-only where it is installed."""
    to.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, to)
    if os.access(file, os.X_OK):
        to.chmod(to.stat().st_mode | 0o111)
