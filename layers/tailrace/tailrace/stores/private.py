"""Folders and files that only this user may read: they hold what users sent, and secrets.

1. A folder is made with mode 0700, a file with 0600. With a later chmod, others could open it in between.
2. Files and folders that an earlier version made with other modes are restricted when they are opened.
3. A folder that also holds files of other programs keeps its mode: TAILRACE_DATA_DIR may name a home folder or /tmp.
   Our files in it are private all the same.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import stat
from pathlib import Path
from typing import BinaryIO

# The files of `make run` (local/run_files.py): the secret that lets programs in, and where its page is.
RUN_SECRET, RUN_ADDRESS = "run-secret", "run-address"
# The names of all files and folders that Tailrace keeps in a data folder. A folder with any other is not ours alone.
_OWN_NAMES = re.compile(
    r"(log|push|access|(checkpoints|memory)-.+)\.sqlite3(-wal|-shm)?|uploads|logs|sam-local|\w+\.log"
    rf"|({RUN_SECRET}|{RUN_ADDRESS}|agent-ports).*"
)
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def private_folder(path: Path) -> Path:
    """Make the folder `path` if it does not exist, for this user only.

    An existing folder is restricted to this user if it holds only our files.

    Raises:
        OSError: it cannot be made, or is not a folder.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        if not path.is_dir():
            raise
        if all(map(_OWN_NAMES.fullmatch, os.listdir(path))):
            _restrict(path)
    return path


def writable_folder(path: Path, file: str) -> None:
    """As `private_folder`. Also make a file in it, and remove it.

    Raises:
        OSError: nothing can be written there, or not to the existing `file` in it.
    """
    probe = _temporary(private_folder(path) / file)
    new_private(probe).close()
    probe.unlink()
    if (path / file).exists() and not os.access(path / file, os.W_OK):
        raise PermissionError(errno.EACCES, f"{file} is read-only")


def private_database(path: Path) -> None:
    """Make the SQLite file `path`, empty, if it does not exist; restrict it and its `-wal` and `-shm` to this user.

    SQLite gives those two the mode of the file. An existing file is not opened here: closing it would release the
    locks that this process's connections hold on it (sqlite.org, "How To Corrupt An SQLite Database File", section
    2.2).

    Raises:
        OSError: it cannot be made.
    """
    if not path.exists():
        temporary = _temporary(path)
        new_private(temporary).close()
        with contextlib.suppress(FileExistsError):
            os.link(temporary, path)  # If another process was faster, its file stays.
        temporary.unlink()
    for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
        with contextlib.suppress(FileNotFoundError):
            _restrict(path.with_name(name))


def new_private(path: Path) -> BinaryIO:
    """Open a new file for writing, for this user only.

    Raises:
        OSError: it cannot be made, or exists already.
    """
    return open(path, "xb", opener=_opener)


def write_private(path: Path, content: bytes) -> None:
    """Write `content` to the file `path`, atomically, for this user only.

    Raises:
        OSError: it cannot be written.
    """
    temporary = _temporary(path)
    try:
        with new_private(temporary) as file:
            file.write(content)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _temporary(path: Path) -> Path:
    """A new name beside `path`."""
    return path.with_name(f"{path.name}.{secrets.token_hex(8)}.part")


def _opener(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _restrict(path: Path) -> None:
    mode = path.stat().st_mode
    shared = mode & stat.S_ISVTX  # Shared on purpose, as /tmp is.
    if mode & _OTHERS and not shared:
        with contextlib.suppress(PermissionError):  # It belongs to another user.
            path.chmod(stat.S_IMODE(mode) & ~_OTHERS)
