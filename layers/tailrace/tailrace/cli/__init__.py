"""The command `tailrace`: agents from a terminal, on top of `tailrace.client` (docs/CLIENT.md).

It needs the packages of the extra `cli`.
"""

from __future__ import annotations

import os
import sys
from io import TextIOWrapper

from tailrace_start.command import COMMANDS
from tailrace_start.command import run as begin


def main() -> None:
    """Run the command with the process's arguments, and exit with its code (`exit_codes.py`)."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # It was closed before we began.
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115 - for the whole process
    # A terminal may write another encoding than its text has; no character of it ends the command.
    for stream, errors in ((sys.stdin, "replace"), (sys.stdout, "backslashreplace")):
        if isinstance(stream, TextIOWrapper):  # and not what a program has put in its place
            stream.reconfigure(errors=errors)
    try:
        from tailrace.cli.commands import run
    except KeyboardInterrupt:
        sys.exit(130)
    except ModuleNotFoundError as error:
        if error.name not in ("typer", "rich"):
            raise
        if sys.argv[1:2] and sys.argv[1] in COMMANDS:  # these need no packages
            sys.exit(begin(sys.argv[1:]))
        sys.exit(f"tailrace: the command needs {error.name}, which is not installed: pip install typer rich")
    sys.exit(run())
