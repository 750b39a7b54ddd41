"""SQLite files in WAL mode (write-ahead log), which several processes read while one writes."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

from tailrace.errors import LogUnavailable, StoreDamaged
from tailrace.stores.private import private_database, private_folder

T = TypeVar("T")
# Deletes what has expired, on a connection to its file.
Deletion = Callable[[sqlite3.Connection], None]

# How long a process waits for another process's transaction, and the first and the longest pause between two tries.
BUSY_S = 10.0
_PAUSE_S, _LONGEST_PAUSE_S = 0.0002, 0.005


class SQLiteFile:
    """A file that holds `content`, as in "The webhooks". The first use opens it, and then `prepare` makes its tables.

    The file and its folder are readable by this user only. One operation at a time runs, in a thread.
    """

    def __init__(self, path: Path, content: str, prepare: Callable[[sqlite3.Connection], None]) -> None:
        self._path = path
        self._content = content
        self._prepare = prepare
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    @property
    def exists(self) -> bool:
        """Whether some process has used the file."""
        try:
            return self._connection is not None or self._path.exists()
        except OSError:  # The operation meets the same error and reports it.
            return True

    async def run(self, operation: Callable[[sqlite3.Connection], T]) -> T:
        """What `operation` returns. It must not leave a cursor open.

        Raises:
            LogUnavailable: the file cannot be used.
        """
        return await asyncio.to_thread(self._locked, operation)

    async def close(self) -> None:
        await asyncio.to_thread(self._close)

    def _locked(self, operation: Callable[[sqlite3.Connection], T]) -> T:
        with self._lock:
            try:
                if self._connection is None:
                    private_folder(self._path.parent)
                    connection = connect_wal(self._path)
                    self._prepare(connection)
                    self._connection = connection
                return operation(self._connection)
            except (sqlite3.Error, OSError) as error:
                raise LogUnavailable(f"{self._content} in {self._path.name} could not be reached: {error}.") from None

    def _close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None


def connect_wal(path: Path) -> sqlite3.Connection:
    """Connect to a file in WAL mode, in autocommit, for any thread. Commits survive a loss of power.

    The file is made if it does not exist, readable by this user only. A statement waits up to `BUSY_S` seconds for
    another process's transaction.

    Raises:
        sqlite3.OperationalError: the file cannot be opened, or as `enter_wal`.
        sqlite3.DatabaseError: it is damaged.
    """
    with contextlib.suppress(OSError):  # SQLite meets the same error and reports it.
        private_database(path)
    connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
    enter_wal(connection)
    connection.execute("PRAGMA synchronous = FULL")
    return connection


def begin(connection: sqlite3.Connection) -> None:
    """Begin a transaction that writes, when no other process has one. The connection's own timeout should be 0.

    SQLite's own wait has pauses of 1, 2, 5, 10 ms and so on, but most transactions take less than one.

    Raises:
        sqlite3.OperationalError: another process has had one for 10 s, or the file cannot be used.
    """
    _when_free(connection, "BEGIN IMMEDIATE")


@contextlib.contextmanager
def as_store_damaged(path: Path) -> Iterator[None]:
    """Raise `StoreDamaged` where SQLite finds that the file `path` is damaged, or is not a database."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        # The lowest byte is the primary code (sqlite.org, "Result and Error Codes").
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise StoreDamaged(str(path), str(error)) from error
        raise


def enter_wal(connection: sqlite3.Connection) -> None:
    """Put the connection's file into WAL mode, with tries for up to `BUSY_S` seconds. The file keeps the mode.

    If two processes do this at once, SQLite refuses one of them without waiting ("database is locked", in 1 of 36
    starts of six processes), whatever the connection's timeout is.

    Raises:
        sqlite3.OperationalError: the file stayed locked, or cannot be used.
    """
    _when_free(connection, "PRAGMA journal_mode = WAL")


def add_columns(connection: sqlite3.Connection, table: str, names: Iterable[str], *, text: bool = False) -> None:
    """Add columns that files of an earlier version lack: integers, 0 in every existing row, or empty texts.

    If the file has them all, nothing is written.
    """
    kind = "TEXT NOT NULL DEFAULT ''" if text else "INTEGER NOT NULL DEFAULT 0"

    def missing() -> list[str]:
        existing = {name for _, name, *_ in connection.execute(f"PRAGMA table_info({table})")}
        return [name for name in names if name not in existing]

    if missing():
        connection.execute("BEGIN IMMEDIATE")
        with connection:
            for name in missing():  # another process may have added them meanwhile
                connection.execute(f"ALTER TABLE {table} ADD COLUMN {name} {kind}")


def expired(connection: sqlite3.Connection, conditions: Mapping[str, str], limit: float | str) -> Deletion | None:
    """What deletes the rows of each table for which its condition holds; None if there are none.

    The question mark of a condition stands for `limit`. Nobody sees these rows any more; their pages are used again. If
    they cannot be deleted, as while another process writes, the next one that opens the file does it: nobody waits.
    """
    rows = [f"FROM {table} WHERE {condition}" for table, condition in conditions.items()]
    if not any(connection.execute(f"SELECT 1 {each} LIMIT 1", (limit,)).fetchall() for each in rows):
        return None

    def delete(connection: sqlite3.Connection) -> None:
        [(busy_ms,)] = connection.execute("PRAGMA busy_timeout").fetchall()
        connection.execute("PRAGMA busy_timeout = 0")
        with contextlib.suppress(sqlite3.Error):
            connection.execute("BEGIN IMMEDIATE")
            with connection:
                for each in rows:
                    connection.execute(f"DELETE {each}", (limit,))
        connection.execute(f"PRAGMA busy_timeout = {busy_ms}")

    return delete


def _when_free(connection: sqlite3.Connection, statement: str) -> None:
    """Execute a statement, with tries for up to `BUSY_S` seconds while another process has the file."""
    give_up, pause = time.monotonic() + BUSY_S, _PAUSE_S
    while True:
        try:
            connection.execute(statement)
            return
        except sqlite3.OperationalError as error:
            # The lowest byte is the primary code (sqlite.org, "Result and Error Codes").
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > give_up:
                raise
            time.sleep(pause)
            pause = min(pause * 1.3, _LONGEST_PAUSE_S)
