"""SQLite's write-ahead log, which lets some processes read a file while another one writes it."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from tailrace.errors import StoreDamaged
from tailrace.stores.private import private_database

_AGAIN_S = 0.01


def connect_wal(path: Path, busy_s: float) -> sqlite3.Connection:
    """A connection to the file in WAL mode, for any thread, in autocommit. What is committed outlasts a loss of power.

    The file is made when it is not there; other users cannot read it.

    Raises:
        sqlite3.OperationalError: as `enter_wal`.
    """
    with contextlib.suppress(OSError):  # SQLite meets the same trouble, and says so
        private_database(path)
    connection = sqlite3.connect(path, timeout=busy_s, isolation_level=None, check_same_thread=False)
    enter_wal(connection, busy_s)
    connection.execute("PRAGMA synchronous = FULL")
    return connection


@contextlib.contextmanager
def damage_as_words(path: Path) -> Iterator[None]:
    """Raise `StoreDamaged` where SQLite finds that the file `path` is damaged, or is no database."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        # The lowest byte is the reason (sqlite.org, "Result and Error Codes").
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise StoreDamaged(str(path), str(error)) from error
        raise


def enter_wal(connection: sqlite3.Connection, busy_s: float) -> None:
    """Put the connection's file into WAL mode, which it keeps, by as many tries as it takes within `busy_s`.

    When two processes do so at once, SQLite refuses one of them without waiting ("database is locked", one in 36
    starts of six at a time), whatever the connection's timeout is.

    Raises:
        sqlite3.OperationalError: another process was in the way all that time, or there is other trouble.
    """
    give_up = time.monotonic() + busy_s
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            # The lowest byte is the reason, the rest tells more of it (sqlite.org, "Result and Error Codes").
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > give_up:
                raise
            time.sleep(_AGAIN_S)


def add_columns(connection: sqlite3.Connection, table: str, names: Iterable[str]) -> None:
    """Give the table these columns of integers, 0 where there is a row: files of an earlier version lack them."""
    connection.execute("BEGIN IMMEDIATE")
    with connection:
        there = {name for _, name, *_ in connection.execute(f"PRAGMA table_info({table})")}
        for name in (name for name in names if name not in there):
            connection.execute(f"ALTER TABLE {table} ADD COLUMN {name} INTEGER NOT NULL DEFAULT 0")
