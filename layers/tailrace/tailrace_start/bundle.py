"""Which of Tailrace's own files a project has, and where they are.

The files are those of the repository. In a checkout they are read from their places. The wheel has a copy, which its
build makes (setup.py), under `tailrace_start/bundle`; the library itself is copied from where it is installed.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

# The template and the configuration of sam, which become the project's own.
TEMPLATE, SAMCONFIG = "template.yaml", "samconfig.toml"
# Folders and files, by their paths in the repository.
_PARTS = (
    "deploy",
    "docs",
    "frontend",
    "functions/gateway",
    "functions/sweeper",
    "layers/agents",
    "layers/models",
    "layers/runtime",
    "layers/tailrace/requirements.txt",
    "local",
    *(f"requirements/{name}" for name in ("install.py", "run.txt", "project.txt", "sam.txt", "emulators.txt")),
    *(f"requirements/model-{provider}.txt" for provider in ("openai", "bedrock_converse")),
)
# What needs the repository's tests, or makes what the repository has.
_NOT_THESE = (
    *("deploy/sam_local", "frontend/examples", "frontend/react_chat", "frontend/types"),
    *("local/issuer.py", "local/node_packages.py", "local/record_run.py", "local/record_sample.py", "local/recording"),
)
_LIBRARY = ("tailrace", "tailrace_start")
_HERE = Path(__file__).parent
_NO_FOLDERS = ("__pycache__", "node_modules")
_NO_FILES = (".png", ".pyc", ".tgz")


def root() -> Path:
    """The folder that has the files of the repository: the wheel's copy, or else the checkout."""
    copy = _HERE / "bundle"
    return copy if copy.is_dir() else _HERE.parents[2]


def files_in(repository: Path) -> Iterator[tuple[str, Path]]:
    """Yield the files that a project has, without the library: each one's path in the repository, and the file."""
    for part in _PARTS:
        there = repository / part
        for file in [there] if there.is_file() else sorted(there.rglob("*")):
            path = file.relative_to(repository)
            inside = any(path.is_relative_to(each) for each in _NOT_THESE)
            if file.is_file() and not inside and _is_source(path):
                yield path.as_posix(), file
    # The license belongs to these files, and not to what the user writes beside them.
    yield "layers/LICENSE", _first(repository / "LICENSE", repository / "layers/LICENSE")


def library_files() -> Iterator[tuple[str, Path]]:
    """Yield the library's files: each one's path in a project, and the file."""
    folder = _HERE.parent
    for package in _LIBRARY:
        for file in sorted((folder / package).rglob("*")):
            path = file.relative_to(folder)
            if file.is_file() and not path.is_relative_to("tailrace_start/bundle") and _is_source(path):
                yield f"layers/tailrace/{path.as_posix()}", file


def _is_source(path: Path) -> bool:
    return path.suffix not in _NO_FILES and not any(part in _NO_FOLDERS for part in path.parts)


def _first(*files: Path) -> Path:
    return next(file for file in files if file.is_file())
