"""`python -m tests.recordings [KIND …]`: record the named kinds again, or all of them (needs Linux and root).

Each kind is run in a room of its own (room.py), all at the same time. With --labels, nothing is run: the lines that are
there are labelled again, which is enough when only the table of a kind's events has changed.
"""

from __future__ import annotations

import argparse
import importlib
import shutil
import subprocess
import sys
from pathlib import Path

from tests.recordings.kind import Kind, RecordingError
from tests.recordings.room import PACKAGES
from tests.recordings.store import DATA, read, write

_ROOT = Path(__file__).parents[2]
_UNSHARE = ("unshare", "--mount", "--uts", "--net", "--ipc", "--pid", "--fork", "--kill-child", "--mount-proc")
KINDS = sorted(path.stem for path in Path(__file__).parent.glob("kinds/[a-z]*.py"))


def kind_of(name: str) -> Kind:
    found: Kind = importlib.import_module(f"tests.recordings.kinds.{name}").KIND
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.recordings", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="KIND", help=", ".join(KINDS))
    parser.add_argument("--labels", action="store_true", help="label the recorded lines again")
    options = parser.parse_args()
    if unknown := [name for name in options.names if name not in KINDS]:
        parser.error(f"there is no kind {unknown[0]!r}; there are {', '.join(KINDS)}")
    names = options.names or KINDS
    try:
        if options.labels:
            label(names)
        else:
            record(names)
    except RecordingError as error:
        sys.exit(str(error))


def label(names: list[str]) -> None:
    """Label the lines that are there again.

    Raises:
        RecordingError: a line is of no known event.
    """
    for name in names:
        recording = read(name)
        write(DATA, kind_of(name), recording.lines, recording.about.incidents)


def record(names: list[str]) -> None:
    """Record the kinds.

    Raises:
        RecordingError: a program is missing, or a recording failed.
    """
    for kind in map(kind_of, names):
        for program in kind.programs:
            if shutil.which(program, path="/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin") is None:
                raise RecordingError(f"{kind.name}: {program} is not installed (apt-get install {kind.packages})")
        if kind.npm:
            subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--prefix", PACKAGES, *kind.npm], check=True)
        if kind.pypi:
            subprocess.run(
                [sys.executable, "-m", "pip", "install", "-q", "--upgrade", "--target", PACKAGES / "pypi", *kind.pypi],
                check=True,
            )
    DATA.mkdir(exist_ok=True)
    running = {
        name: subprocess.Popen([*_UNSHARE, sys.executable, "-m", "tests.recordings.room", name, str(DATA)], cwd=_ROOT)
        for name in names
    }
    failed = [name for name, process in running.items() if process.wait()]
    if failed:
        raise RecordingError(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
