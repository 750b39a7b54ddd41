"""Summaries in the log's SQLite file."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from tailrace.log.base import Clock
from tailrace.log.summaries.base import Summaries, Summary
from tailrace.stores.sqlite_worker import SQLiteWorker

SCHEMA = """
CREATE TABLE IF NOT EXISTS summaries (
    task_id TEXT PRIMARY KEY, last INTEGER NOT NULL, content BLOB NOT NULL, ttl INTEGER NOT NULL
);
"""


class SQLiteSummaries(Summaries):
    """Summaries in the table of `SCHEMA`, of the log's workers.

    `enter` sets `summary` in the head of a task, as `keep` says, as a part of the writer's operation.
    """

    def __init__(
        self,
        writer: SQLiteWorker,
        reader: SQLiteWorker,
        enter: Callable[[sqlite3.Connection, str, int, int], None],
        *,
        ttl_s: float,
        clock: Clock,
    ) -> None:
        self._writer = writer
        self._reader = reader
        self._enter = enter
        self._ttl_s = ttl_s
        self._clock = clock

    async def keep(self, task_id: str, attempt: int, summary: Summary) -> None:
        row = (task_id, summary.last, summary.content, int(self._clock() + self._ttl_s))

        def operation(connection: sqlite3.Connection) -> None:
            self._enter(connection, task_id, attempt, summary.last)
            connection.execute("INSERT OR REPLACE INTO summaries VALUES (?,?,?,?)", row)

        await self._writer.run(operation)

    async def get(self, task_id: str) -> Summary | None:
        def operation(connection: sqlite3.Connection) -> Summary | None:
            row = connection.execute(
                "SELECT last, content FROM summaries WHERE task_id = ? AND ttl > ?", (task_id, self._clock())
            ).fetchone()
            return None if row is None else Summary(*row)

        return await self._reader.run(operation)
