"""A log in one SQLite file, the default: for several processes of one machine.

Design decisions:

1. One thread writes and one reads, each with its own connection (`SQLiteWorker`). What comes while the writer is busy
   shares a transaction, and so an fsync. This makes hundreds of streams cheap.
2. `synchronous=FULL`: an acknowledged append survives a loss of power. WAL mode's default, NORMAL, would only survive
   a crash of the process.
3. An operation checks before it changes anything, so one that is refused does not spoil the others of its transaction.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from tailrace.errors import ConversationChanged, Fenced, LogUnavailable, LogUnreadable, TaskConflict, TaskUnknown
from tailrace.events import INTERRUPTED, TERMINAL, State
from tailrace.log.base import Batch, EventLog, Page, check_token
from tailrace.log.conversations import Entry
from tailrace.log.conversations.sqlite import ADDED as CONVERSATIONS_ADDED
from tailrace.log.conversations.sqlite import INDEX as CONVERSATIONS_INDEX
from tailrace.log.conversations.sqlite import SCHEMA as CONVERSATIONS
from tailrace.log.conversations.sqlite import SQLiteConversations
from tailrace.log.head import Head, NewOf, refuse_attempt, refuse_cancel, refuse_claim
from tailrace.log.packing import pack, unpack
from tailrace.log.summaries.sqlite import SCHEMA as SUMMARIES
from tailrace.log.summaries.sqlite import SQLiteSummaries
from tailrace.stores.private import private_folder
from tailrace.stores.sqlite import add_columns, as_store_damaged, connect_wal, expired
from tailrace.stores.sqlite_worker import SQLiteWorker, close_all

_SCHEMA = """
CREATE TABLE IF NOT EXISTS items (
    task_id TEXT NOT NULL, seq INTEGER NOT NULL, attempt INTEGER NOT NULL, count INTEGER NOT NULL,
    packed BLOB NOT NULL, ttl INTEGER NOT NULL, PRIMARY KEY (task_id, seq)
);
CREATE TABLE IF NOT EXISTS heads (
    task_id TEXT PRIMARY KEY, owner TEXT NOT NULL, context_id TEXT NOT NULL, agent TEXT NOT NULL,
    state TEXT NOT NULL, created INTEGER NOT NULL, updated INTEGER NOT NULL, attempt INTEGER NOT NULL,
    lease_owner TEXT, lease_until INTEGER NOT NULL, cancel_requested INTEGER NOT NULL,
    fingerprint TEXT NOT NULL, ttl INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS heads_by_owner ON heads (owner, created DESC, task_id DESC);
CREATE INDEX IF NOT EXISTS items_by_ttl ON items (ttl);
"""
_UNATTENDED = (
    f"state NOT IN ({', '.join(map(repr, sorted(TERMINAL)))}) AND "
    f"(state NOT IN ({', '.join(map(repr, sorted(INTERRUPTED)))}) OR lease_owner IS NOT NULL "
    "OR cancel_requested)"
)
# Columns that an earlier version's files lack, and the indexes to drop and make once the columns exist.
_ADDED = ("tries", "dispatches", "due", "asleep_until", "woken", "summary")
_ADDED_TEXTS = ("awaits", "wakes", "trace", "start")
_INDEX = (
    "DROP INDEX IF EXISTS heads_adrift;"
    f"CREATE INDEX IF NOT EXISTS heads_in_turn ON heads (due, created, task_id) WHERE {_UNATTENDED};"
)
_HEAD = (
    "task_id, owner, context_id, agent, state, created, updated, attempt, lease_owner, lease_until, "
    "cancel_requested, fingerprint, ttl, tries, dispatches, due, asleep_until, awaits, woken, wakes, summary, trace, "
    "start"
)
_HEAD_FIELDS = _HEAD.split(", ")
_MARKS = ",".join("?" * len(_HEAD_FIELDS))
# What has expired, by table.
_EXPIRED = dict.fromkeys(("items", "heads", "conversations", "summaries"), "ttl <= ?")


class SQLiteLog(EventLog):
    """The log in the file `path`. The file and its folder are made if they do not exist, readable by this user only.

    Raises:
        StoreDamaged: the file is damaged.
        OSError, sqlite3.OperationalError: the file cannot be made or opened.
    """

    conversations: SQLiteConversations
    summaries: SQLiteSummaries

    def __init__(self, path: Path | str, **options: Any) -> None:
        super().__init__(**options)
        self._path = Path(path)
        private_folder(self._path.parent)
        with as_store_damaged(self._path), contextlib.closing(connect_wal(self._path)) as connection:
            connection.executescript(_SCHEMA + CONVERSATIONS + SUMMARIES)
            add_columns(connection, "heads", _ADDED)
            add_columns(connection, "heads", _ADDED_TEXTS, text=True)
            add_columns(connection, "conversations", CONVERSATIONS_ADDED)
            connection.executescript(_INDEX + CONVERSATIONS_INDEX)
            deletion = expired(connection, _EXPIRED, self._clock())
        connect = partial(connect_wal, self._path)
        self._writer = SQLiteWorker("log-writer", connect, self._unavailable, transaction=True, first=deletion)
        self._reader = SQLiteWorker("log-reader", connect, self._unavailable)
        self.conversations = SQLiteConversations(
            self._writer.run, self._reader.run, ttl_s=self._ttl_s, clock=self._clock
        )
        self.summaries = SQLiteSummaries(
            self._writer, self._reader, self._enter_summary, ttl_s=self._ttl_s, clock=self._clock
        )

    async def create_or_find(self, head: Head, event: bytes, entry: Entry | None = None) -> tuple[Head, bool]:
        task_id, now, ttl = head.task_id, self.now(), self._expiry()
        packed = pack(task_id, 1, [event])
        new = msgspec.structs.replace(head, created=now, updated=now, ttl=ttl)

        def operation(connection: sqlite3.Connection) -> tuple[Head, bool]:
            existing = self._find(connection, task_id)
            if existing is not None:
                if existing.fingerprint != head.fingerprint:
                    raise TaskConflict(task_id)
                return existing, False
            if entry is not None and not self.conversations.enter(connection, entry):
                raise ConversationChanged(entry.id)
            for table in ("heads", "items"):  # what has expired
                connection.execute(f"DELETE FROM {table} WHERE task_id = ?", (task_id,))  # noqa: S608
            connection.execute(
                f"INSERT INTO heads ({_HEAD}) VALUES ({_MARKS})",  # noqa: S608
                [getattr(new, name) for name in _HEAD_FIELDS],
            )
            connection.execute("INSERT INTO items VALUES (?,1,0,1,?,?)", (task_id, packed, ttl))
            return new, True

        return await self._writer.run(operation)

    def append(self, task_id: str, batch: Batch) -> asyncio.Future[None]:
        ttl = self._expiry()

        def operation(connection: sqlite3.Connection) -> None:
            packed = pack(task_id, batch.seq, batch.events)
            inserted = connection.execute(
                "INSERT INTO items VALUES (?,?,?,?,?,?) ON CONFLICT DO NOTHING",
                (task_id, batch.seq, batch.attempt, len(batch.events), packed, ttl),
            )
            if inserted.rowcount == 0:
                stored = connection.execute(
                    "SELECT attempt, packed FROM items WHERE task_id = ? AND seq = ?", (task_id, batch.seq)
                ).fetchone()
                if stored != (batch.attempt, packed):
                    raise Fenced(task_id, batch.attempt, batch.seq)

        return self._writer.start(operation)

    async def claim(self, task_id: str, owner: str, lease_s: float, only: NewOf | None = None) -> Head:
        def operation(connection: sqlite3.Connection) -> Head:
            now, head = self.now(), self._find(connection, task_id)
            refuse_claim(head, task_id, now, only)
            return self._change(
                connection,
                task_id,
                "attempt = attempt + 1, tries = tries + 1, lease_owner = ?, lease_until = ?, updated = ?",
                (owner, now + int(lease_s * 1000), now),
            )

        return await self._writer.run(operation)

    async def renew(self, task_id: str, attempt: int, lease_s: float) -> Head:
        return await self._change_as(task_id, attempt, "lease_until = ?", (self.now() + int(lease_s * 1000),))

    async def update_state(self, task_id: str, attempt: int, state: State, *, release: bool) -> Head:
        lease = ", lease_owner = NULL, lease_until = 0" if release else ""
        changes = f"state = ?, updated = ?, ttl = ?, tries = 0, dispatches = 0, due = 0, asleep_until = 0{lease}"
        return await self._change_as(task_id, attempt, changes, (state, self.now(), self._expiry()))

    async def take_back_try(self, task_id: str) -> None:
        def operation(connection: sqlite3.Connection) -> None:
            connection.execute("UPDATE heads SET tries = tries - 1 WHERE task_id = ? AND tries > 0", (task_id,))

        await self._writer.run(operation)

    async def put_off(self, head: Head, due: int) -> Head:
        changes = "dispatches = ?, due = ?"
        return await self._change_as(head.task_id, head.attempt, changes, (head.dispatches + 1, due))

    async def sleep(self, task_id: str, attempt: int, until: int, awaits: str) -> Head:
        changes = (
            "state = 'TASK_STATE_WORKING', updated = ?, ttl = ?, tries = 0, dispatches = 0, due = 0, "
            "lease_owner = NULL, lease_until = 0, awaits = ?, asleep_until = CASE woken WHEN attempt THEN 0 ELSE ? END"
        )
        return await self._change_as(task_id, attempt, changes, (self.now(), self._expiry(), awaits, until))

    async def wake(self, task_id: str, attempt: int) -> Head:
        return await self._change_as(task_id, attempt, "asleep_until = 0, woken = attempt", ())

    async def request_wake(self, task_id: str, sleeper: str) -> Head:
        def operation(connection: sqlite3.Connection) -> Head:
            _required(self._find(connection, task_id), task_id)
            return self._change(connection, task_id, "wakes = ?", (sleeper,))

        return await self._writer.run(operation)

    async def request_cancel(self, task_id: str) -> Head:
        def operation(connection: sqlite3.Connection) -> Head:
            refuse_cancel(self._find(connection, task_id), task_id)
            return self._change(connection, task_id, "cancel_requested = 1", ())

        return await self._writer.run(operation)

    async def delete_head(self, task_id: str) -> None:
        await self._writer.run(lambda connection: connection.execute("DELETE FROM heads WHERE task_id = ?", (task_id,)))

    async def delete_events(self, task_id: str) -> None:
        def operation(connection: sqlite3.Connection) -> None:
            for table in ("items", "summaries"):
                connection.execute(f"DELETE FROM {table} WHERE task_id = ?", (task_id,))  # noqa: S608

        await self._writer.run(operation)

    async def head(self, task_id: str) -> Head:
        return await self._reader.run(lambda connection: _required(self._find(connection, task_id), task_id))

    async def read(self, task_id: str, cursor: int = 0, limit: int = 1_000_000) -> list[Batch]:
        def operation(connection: sqlite3.Connection) -> list[Batch]:
            batches: list[Batch] = []
            size = 0
            rows = connection.execute(
                # From the last item that begins at or before the next event: the cursor may be inside it.
                "SELECT seq, attempt, count, packed FROM items WHERE task_id = ?1 AND ttl > ?3 AND seq >= coalesce("
                "(SELECT max(seq) FROM items WHERE task_id = ?1 AND seq <= ?2 + 1), 1) ORDER BY seq",
                (task_id, cursor, self._clock()),
            )
            with contextlib.closing(rows):  # Until they are closed, this connection sees nothing new.
                for seq, attempt, count, packed in rows:
                    if seq + count - 1 <= cursor:
                        continue
                    try:
                        events = unpack(task_id, seq, count, packed)
                    except LogUnreadable:
                        if not batches:
                            raise
                        break  # The next read begins with the damaged batch.
                    batches.append(Batch(seq, attempt, events).after(cursor))
                    size += sum(map(len, batches[-1].events))
                    if size >= limit:
                        break
            return batches

        return await self._reader.run(operation)

    async def last(self, task_id: str) -> int:
        def operation(connection: sqlite3.Connection) -> int:
            row = connection.execute(
                "SELECT seq + count - 1 FROM items WHERE task_id = ? AND ttl > ? ORDER BY seq DESC LIMIT 1",
                (task_id, self._clock()),
            ).fetchone()
            return int(row[0]) if row else 0

        return await self._reader.run(operation)

    async def unattended(self, *, idle_s: float, limit: int = 100) -> list[Head]:
        def operation(connection: sqlite3.Connection) -> list[Head]:
            now = self.now()
            rows = connection.execute(
                f"SELECT {_HEAD} FROM heads WHERE {_UNATTENDED} AND due <= ? AND lease_until <= ? AND updated <= ? "  # noqa: S608
                "AND ttl > ? ORDER BY due, created, task_id LIMIT ?",
                (now, now, now - idle_s * 1000, self._clock(), limit),
            )
            return [_head(row) for row in rows.fetchall()]

        return await self._reader.run(operation)

    async def list(self, owner: str, *, limit: int = 50, token: str = "") -> Page:
        created, _, task_id = check_token(token).partition("/")
        before = (int(created), task_id) if token else (1 << 62, "")

        def operation(connection: sqlite3.Connection) -> Page:
            rows = connection.execute(
                f"SELECT {_HEAD} FROM heads WHERE owner = ? AND (created, task_id) < (?, ?) AND ttl > ? "  # noqa: S608
                "ORDER BY created DESC, task_id DESC LIMIT ?",
                (owner, *before, self._clock(), limit + 1),
            ).fetchall()
            heads = [_head(row) for row in rows[:limit]]
            return Page(heads, heads[-1].place if len(rows) > limit else "")

        return await self._reader.run(operation)

    async def close(self) -> None:
        await close_all(self._writer, self._reader)

    def _unavailable(self, error: sqlite3.Error) -> LogUnavailable:
        return LogUnavailable(f"The log {self._path.name} refused the operation: {error}.")

    def _find(self, connection: sqlite3.Connection, task_id: str) -> Head | None:
        row = connection.execute(
            f"SELECT {_HEAD} FROM heads WHERE task_id = ? AND ttl > ?",  # noqa: S608
            (task_id, self._clock()),
        ).fetchone()
        return _head(row) if row is not None else None

    async def _change_as(self, task_id: str, attempt: int, changes: str, values: tuple[Any, ...]) -> Head:
        def operation(connection: sqlite3.Connection) -> Head:
            refuse_attempt(self._find(connection, task_id), task_id, attempt)
            return self._change(connection, task_id, changes, values)

        return await self._writer.run(operation)

    def _enter_summary(self, connection: sqlite3.Connection, task_id: str, attempt: int, last: int) -> None:
        refuse_attempt(self._find(connection, task_id), task_id, attempt)
        self._change(connection, task_id, "summary = ?", (last,))

    def _change(self, connection: sqlite3.Connection, task_id: str, changes: str, values: tuple[Any, ...]) -> Head:
        change = f"UPDATE heads SET {changes} WHERE task_id = ? RETURNING {_HEAD}"  # noqa: S608
        [row] = connection.execute(change, (*values, task_id)).fetchall()
        return _head(row)


def _head(row: tuple[Any, ...]) -> Head:
    fields = dict(zip(_HEAD_FIELDS, row, strict=True))
    return Head(**{**fields, "cancel_requested": bool(fields["cancel_requested"])})


def _required(head: Head | None, task_id: str) -> Head:
    if head is None:
        raise TaskUnknown(task_id)
    return head
