"""Webhooks in a SQLite file beside the log's.

They have a separate file because each delivered event is noted: the log's transactions must not wait for these, nor
these for the log's.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tailrace.push.store import Webhooks
from tailrace.push.webhook import Webhook
from tailrace.stores.sqlite import SQLiteFile, add_columns, expired

_SCHEMA = """
CREATE TABLE IF NOT EXISTS webhooks (
    task_id TEXT NOT NULL, id TEXT NOT NULL, url TEXT NOT NULL, token TEXT NOT NULL, scheme TEXT NOT NULL,
    credentials TEXT NOT NULL, version TEXT NOT NULL, delivered INTEGER NOT NULL, holder TEXT NOT NULL,
    lease_until INTEGER NOT NULL, ttl INTEGER NOT NULL, PRIMARY KEY (task_id, id)
);
"""
# Columns that an earlier version's files lack.
_ADDED = ("due", "failures")
_COLUMNS = ", ".join(Webhook.__struct_fields__)


class SQLiteWebhooks(Webhooks):
    """The webhooks in the file `path`. The first webhook makes it, readable by this user only.

    Each task's webhooks are looked up. While nobody has any, that takes neither the file nor a thread.
    """

    def __init__(self, path: Path, *, ttl_s: float = 7 * 86_400, clock: Callable[[], float] = time.time) -> None:
        super().__init__(ttl_s=ttl_s, clock=clock)
        self._file = SQLiteFile(path, "The webhooks", self._prepare)

    async def put(self, hook: Webhook) -> None:
        values = (*(getattr(hook, name) for name in Webhook.__struct_fields__), self._expiry())
        places = ", ".join("?" for _ in values)
        put = f"INSERT OR REPLACE INTO webhooks ({_COLUMNS}, ttl) VALUES ({places})"  # noqa: S608
        await self._file.run(lambda c: c.execute(put, values).close())

    async def list(self, task_id: str) -> list[Webhook]:
        if not self._file.exists:
            return []
        query = f"SELECT {_COLUMNS} FROM webhooks WHERE task_id = ? AND ttl > ? ORDER BY id"  # noqa: S608
        rows = await self._file.run(lambda c: c.execute(query, (task_id, self._clock())).fetchall())
        return [_hook(row) for row in rows]

    async def delete(self, task_id: str, hook_id: str) -> None:
        delete = "DELETE FROM webhooks WHERE task_id = ? AND id = ?"
        await self._file.run(lambda c: c.execute(delete, (task_id, hook_id)).close())

    async def claim(self, task_id: str, hook_id: str, holder: str, lease_s: float) -> Webhook | None:
        change = (
            "UPDATE webhooks SET holder = ?, lease_until = ?, due = CASE due WHEN 0 THEN ? ELSE due END"  # noqa: S608
            " WHERE task_id = ? AND id = ? AND ttl > ? AND (holder = ? OR lease_until <= ?)"
            f" RETURNING {_COLUMNS}"
        )
        now = self._now()
        values = (holder, self._until(lease_s), now, task_id, hook_id, self._clock(), holder, now)
        rows = await self._file.run(lambda c: c.execute(change, values).fetchall())
        return _hook(rows[0]) if rows else None

    async def advance(self, task_id: str, hook_id: str, holder: str, delivered: int, lease_s: float) -> bool:
        change = (
            "UPDATE webhooks SET delivered = ?, lease_until = ?, failures = 0, ttl = ?"
            " WHERE task_id = ? AND id = ? AND holder = ?"
        )
        values = (delivered, self._until(lease_s), self._expiry(), task_id, hook_id, holder)
        return await self._file.run(lambda c: c.execute(change, values).rowcount) == 1

    async def release(self, task_id: str, hook_id: str, holder: str, *, due: int, failures: int) -> bool:
        change = (
            "UPDATE webhooks SET lease_until = 0, due = ?, failures = ? WHERE task_id = ? AND id = ? AND holder = ?"
        )
        values = (due, failures, task_id, hook_id, holder)
        return await self._file.run(lambda c: c.execute(change, values).rowcount) == 1

    async def due_tasks(self, limit: int) -> Sequence[str]:
        if not self._file.exists:
            return []
        query = (
            "SELECT task_id FROM webhooks WHERE due BETWEEN 1 AND ? AND lease_until <= ? AND ttl > ?"
            " GROUP BY task_id ORDER BY min(due) LIMIT ?"
        )
        now = self._now()
        rows = await self._file.run(lambda c: c.execute(query, (now, now, self._clock(), limit)).fetchall())
        return [task_id for (task_id,) in rows]

    async def put_off(self, task_id: str, due: int) -> None:
        change = "UPDATE webhooks SET due = ? WHERE task_id = ? AND due BETWEEN 1 AND ? AND lease_until <= ?"
        now = self._now()
        await self._file.run(lambda c: c.execute(change, (due, task_id, now, now)).close())

    async def close(self) -> None:
        await self._file.close()

    def _prepare(self, connection: sqlite3.Connection) -> None:
        connection.executescript(_SCHEMA)
        add_columns(connection, "webhooks", _ADDED)
        if deletion := expired(connection, {"webhooks": "ttl <= ?"}, self._clock()):
            deletion(connection)


def _hook(row: tuple[str, ...]) -> Webhook:
    return Webhook(**dict(zip(Webhook.__struct_fields__, row, strict=True)))  # type: ignore[arg-type]
