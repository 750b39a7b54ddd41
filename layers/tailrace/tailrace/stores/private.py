"""Folders and files that only this user may read: the log has what users sent, and files hold secrets.

Where this departs from the obvious, and why:

1. A folder is made with mode 0700 and a file with 0600. To make it and change its mode later would leave a moment
   in which anybody can open it.
2. What an earlier version has made with other modes is tightened when it is opened.
3. A folder that holds anything of somebody else's is left as it is: TAILRACE_DATA_DIR may name a home folder or /tmp.
   The files in it are private all the same.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import stat
from pathlib import Path
from typing import BinaryIO

# What Tailrace keeps in a data folder and in its logs, by name.
_OURS = re.compile(
    r"(log|push|checkpoints-.+)\.sqlite3(-wal|-shm)?|uploads|logs|sam-local|(run-secret|agent-ports).*|\w+\.log"
)
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def private_folder(path: Path) -> Path:
    """The folder `path`, made when it is not there; other users cannot enter it.

    Raises:
        OSError: it cannot be made, or is no folder.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        if not path.is_dir():
            raise
        if all(map(_OURS.fullmatch, os.listdir(path))):
            _tighten(path)
    return path


def private_database(path: Path) -> None:
    """The SQLite file `path`, made empty when it is not there; other users cannot read it nor what is beside it.

    SQLite gives the files beside it (`-wal`, `-shm`) the mode of the file. A file that is there is never opened: to
    close it again would take away the locks that this process's connections have on it (sqlite.org, "How To Corrupt
    An SQLite Database File", section 2.2).

    Raises:
        OSError: it cannot be made.
    """
    if not path.exists():
        made = path.with_name(f"{path.name}.{secrets.token_hex(8)}.part")
        new_private(made).close()
        with contextlib.suppress(FileExistsError):
            os.link(made, path)  # another process's, if that was there first
        made.unlink()
    for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
        with contextlib.suppress(FileNotFoundError):
            _tighten(path.with_name(name))


def new_private(path: Path) -> BinaryIO:
    """A new file to write to, for this user only.

    Raises:
        OSError: it cannot be made, or is there already.
    """
    return open(path, "xb", opener=_opener)


def write_private(path: Path, content: bytes) -> None:
    """Put `content` into the file `path`, which is there as a whole or not at all, and for this user only.

    Raises:
        OSError: it cannot be written.
    """
    made = path.with_name(f"{path.name}.{secrets.token_hex(8)}.part")
    try:
        with new_private(made) as file:
            file.write(content)
        made.replace(path)
    finally:
        made.unlink(missing_ok=True)


def _opener(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _tighten(path: Path) -> None:
    mode = path.stat().st_mode
    shared = mode & stat.S_ISVTX  # as /tmp is, on purpose
    if mode & _OTHERS and not shared:
        with contextlib.suppress(PermissionError):  # it is another user's, who decides
            path.chmod(stat.S_IMODE(mode) & ~_OTHERS)
