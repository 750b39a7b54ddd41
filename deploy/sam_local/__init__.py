"""`sam local`: the functions in containers on this machine, with what they need there.

`__main__.py` runs everything; `services.py` only what `sam local` does not run, beside your own `sam local start-api`.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
SAM = ROOT / ".cache" / "sam-venv" / "bin" / "sam"


class SamLocalError(Exception):
    """Something that is needed does not work. The message is for the user."""


def say(text: str) -> None:
    print(text, flush=True)


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a program in the project's root.

    Raises:
        SamLocalError: it is not installed.
    """
    try:
        return subprocess.run([str(part) for part in command], cwd=ROOT, capture_output=True, text=True)  # noqa: S603
    except FileNotFoundError:
        raise SamLocalError(f"{command[0]} is not installed.") from None
