"""Stopping a process as Lambda freezes it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sqlite3
from pathlib import Path


async def freeze(pid: int, folder: Path) -> None:
    """Stop a process with SIGSTOP while it locks none of the SQLite files in the folder.

    Otherwise no other process could write to them (docs/DELIVERY.md).
    """
    async with asyncio.timeout(60):
        while True:
            os.kill(pid, signal.SIGSTOP)
            while not is_stopped(pid):
                await asyncio.sleep(0.005)
            if not _is_any_locked(folder):
                return
            os.kill(pid, signal.SIGCONT)
            await asyncio.sleep(0.01)


def is_stopped(pid: int) -> bool:
    """Whether the kernel shows all threads of a process as stopped: a signal takes a moment. True without /proc."""
    states = [stat.read_text().rpartition(")")[2].split()[0] for stat in Path(f"/proc/{pid}/task").glob("*/stat")]
    return set(states) <= {"T"}


def _is_any_locked(folder: Path) -> bool:
    return any(map(_is_locked, folder.glob("*.sqlite3")))


def _is_locked(path: Path) -> bool:
    with contextlib.closing(sqlite3.connect(path, timeout=0.2)) as database:
        try:
            database.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return True
        database.rollback()
    return False
