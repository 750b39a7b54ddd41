"""How this command was called: what a user types to call it again."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path

_PROGRAM = "tailrace"


def called() -> str:
    """The program as its user can type it here: `tailrace`, a path to it, or `.venv/bin/python -m tailrace`."""
    program = Path(sys.argv[0])
    if program.name == "__main__.py":
        return f"{_typed(sys.executable)} -m {_PROGRAM}"
    return _PROGRAM if program.name != _PROGRAM or shutil.which(_PROGRAM) else _typed(str(program))


def _typed(path: str) -> str:
    try:
        return shlex.quote(str(Path(path).relative_to(Path.cwd())))
    except (ValueError, OSError):  # it is elsewhere, or the folder is gone
        return shlex.quote(path)
