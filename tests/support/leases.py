"""Leases that end when a test wants it: no test waits for that, and none takes a slow process for a dead one."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path


def end_leases(folder: Path, pid: int) -> None:
    """Let the leases of a process that is dead or stopped run out now. `folder` has the log's SQLite file."""
    path = folder / "log.sqlite3"
    if path.exists():
        with contextlib.closing(sqlite3.connect(path, timeout=60, isolation_level=None)) as log:
            log.execute("UPDATE heads SET lease_until = 0 WHERE lease_owner LIKE ?", (f"%-{pid}-%",))
