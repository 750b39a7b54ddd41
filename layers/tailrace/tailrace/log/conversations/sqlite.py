"""Conversations in the log's SQLite file."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

import msgspec

from tailrace.log.base import check_token
from tailrace.log.conversations.base import Conversation, ConversationPage, Conversations, Entry

T = TypeVar("T")

SCHEMA = """
CREATE TABLE IF NOT EXISTS conversations (
    id TEXT PRIMARY KEY, owner TEXT NOT NULL, agent TEXT NOT NULL, context_id TEXT NOT NULL, task TEXT NOT NULL,
    title TEXT NOT NULL, checkpoints TEXT NOT NULL, version INTEGER NOT NULL, created INTEGER NOT NULL,
    updated INTEGER NOT NULL, ttl INTEGER NOT NULL, deleting TEXT NOT NULL DEFAULT ''
);
CREATE INDEX IF NOT EXISTS conversations_by_owner ON conversations (owner, updated DESC, id DESC);
"""
# A column that an earlier version's files lack, and its index. It is JSON, or empty ('' or 0) if nobody deletes the
# conversation.
ADDED = ("deleting",)
INDEX = "CREATE INDEX IF NOT EXISTS conversations_deleting ON conversations (updated, id) WHERE length(deleting) >= 2;"
_FIELDS = "id, owner, agent, context_id, task, title, checkpoints, version, created, updated, ttl, deleting"


class Run(Protocol):
    """Runs an operation on a connection, in the connection's thread. The writer's operations are transactions."""

    def __call__(self, operation: Callable[[sqlite3.Connection], T]) -> Awaitable[T]: ...


class SQLiteConversations(Conversations):
    """Conversations in the table of `SCHEMA`. `write` runs an operation that changes it, `read` one that does not."""

    def __init__(self, write: Run, read: Run, **options: Any) -> None:
        super().__init__(**options)
        self._write = write
        self._read = read

    async def get(self, conversation_id: str) -> Conversation | None:
        return await self._read(lambda connection: self._find(connection, conversation_id))

    async def claim(self, claimed: Conversation, seen: Conversation | None) -> Conversation | None:
        def operation(connection: sqlite3.Connection) -> Conversation | None:
            self.enter(connection, Entry(record=claimed, seen=seen))
            return self._find(connection, claimed.id)

        return await self._write(operation)

    def enter(self, connection: sqlite3.Connection, entry: Entry) -> bool:
        """Store the entry unless it is refused; return whether it is stored. This is a part of a writer's operation."""
        stored = self._find(connection, entry.id)
        if not entry.sees(stored):
            return False
        entered = self._entered(entry)
        if stored is None:
            _put(connection, entered)
        else:
            connection.execute(
                "UPDATE conversations SET task = ?, context_id = ?, checkpoints = ?, version = ?, updated = ?, ttl = ? "
                "WHERE id = ?",
                (entered.task, entered.context_id, _json(entered), entered.version, entered.updated, entered.ttl,
                 entry.id),
            )  # fmt: skip
        return True

    async def renew(self, conversation_id: str, task_id: str) -> None:
        def operation(connection: sqlite3.Connection) -> None:
            connection.execute(
                "UPDATE conversations SET ttl = ? WHERE id = ? AND task = ? AND ttl > ?",
                (self._expiry(), conversation_id, task_id, self._clock()),
            )

        await self._write(operation)

    async def rename(self, conversation_id: str, title: str) -> Conversation | None:
        def operation(connection: sqlite3.Connection) -> Conversation | None:
            connection.execute("UPDATE conversations SET title = ? WHERE id = ?", (title, conversation_id))
            return self._find(connection, conversation_id)

        return await self._write(operation)

    async def begin_delete(self, seen: Conversation, tasks: list[str]) -> bool:
        def operation(connection: sqlite3.Connection) -> bool:
            changed = connection.execute(
                "UPDATE conversations SET deleting = ?, title = '', checkpoints = '{}', version = version + 1, "
                "updated = ?, ttl = ? WHERE id = ? AND task = ? AND version = ? AND ttl > ?",
                (msgspec.json.encode(tasks).decode(), self._now(), self._expiry(),
                 seen.id, seen.task, seen.version, self._clock()),
            )  # fmt: skip
            return changed.rowcount == 1

        return await self._write(operation)

    async def being_deleted(self, *, idle_s: float, limit: int) -> list[Conversation]:
        def operation(connection: sqlite3.Connection) -> list[Conversation]:
            rows = connection.execute(
                f"SELECT {_FIELDS} FROM conversations WHERE length(deleting) >= 2 AND updated <= ? AND ttl > ? "  # noqa: S608
                "ORDER BY updated, id LIMIT ?",
                (self._now() - idle_s * 1000, self._clock(), limit),
            )
            return [_conversation(row) for row in rows.fetchall()]

        return await self._read(operation)

    async def delete(self, seen: Conversation) -> bool:
        def operation(connection: sqlite3.Connection) -> bool:
            connection.execute(
                "DELETE FROM conversations WHERE id = ? AND task = ? AND version = ?",
                (seen.id, seen.task, seen.version),
            )
            return self._find(connection, seen.id) is None

        return await self._write(operation)

    async def list(self, owner: str, *, limit: int = 50, token: str = "") -> ConversationPage:
        updated, _, last_id = check_token(token).partition("/")
        before = (int(updated), last_id) if token else (1 << 62, "")

        def operation(connection: sqlite3.Connection) -> ConversationPage:
            rows = connection.execute(
                f"SELECT {_FIELDS} FROM conversations WHERE owner = ? AND (updated, id) < (?, ?) AND ttl > ? "  # noqa: S608
                "AND length(deleting) < 2 ORDER BY updated DESC, id DESC LIMIT ?",
                (owner, *before, self._clock(), limit + 1),
            ).fetchall()
            records = [_conversation(row) for row in rows[:limit]]
            return ConversationPage(records, records[-1].place if len(rows) > limit else "")

        return await self._read(operation)

    def _find(self, connection: sqlite3.Connection, conversation_id: str) -> Conversation | None:
        row = connection.execute(
            f"SELECT {_FIELDS} FROM conversations WHERE id = ? AND ttl > ?",  # noqa: S608
            (conversation_id, self._clock()),
        ).fetchone()
        return _conversation(row) if row is not None else None


def _put(connection: sqlite3.Connection, first: Conversation) -> None:
    fields = {**msgspec.structs.asdict(first), "checkpoints": _json(first), "deleting": ""}
    connection.execute(
        f"INSERT OR REPLACE INTO conversations ({_FIELDS}) VALUES (?,?,?,?,?,?,?,?,?,?,?,?)",  # noqa: S608
        [fields[name] for name in _FIELDS.split(", ")],
    )


def _json(conversation: Conversation) -> str:
    return msgspec.json.encode(conversation.checkpoints).decode()


def _conversation(row: tuple[Any, ...]) -> Conversation:
    fields = dict(zip(_FIELDS.split(", "), row, strict=True))
    fields["checkpoints"] = msgspec.json.decode(fields["checkpoints"], type=dict[str, str])
    deleting = fields["deleting"]
    fields["deleting"] = msgspec.json.decode(deleting, type=list[str]) if deleting else None
    return Conversation(**fields)
