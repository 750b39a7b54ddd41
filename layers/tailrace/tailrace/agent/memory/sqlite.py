"""LangGraph's store for SQLite, made safe for several processes and for cancelled nodes.

1. The file is in WAL mode, and a write survives a loss of power when it returns.
2. A batch that has begun is finished even if its caller is cancelled. Otherwise its transaction would stay open, and
   the file locked for every other process.
3. Expired items are deleted before a batch, so nobody reads them.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path
from typing import Any

import aiosqlite
from langgraph.store.base import Op, Result
from langgraph.store.sqlite.aio import AsyncSqliteStore

from tailrace.errors import MemoryUnavailable
from tailrace.stores.sqlite import BUSY_S, as_store_damaged, connect_wal

_EXPIRED = "SELECT 1 FROM store WHERE expires_at IS NOT NULL AND expires_at < CURRENT_TIMESTAMP LIMIT 1"


class SQLiteStore(AsyncSqliteStore):
    """A store in a file that several processes may share. `abatch` may raise `MemoryUnavailable`."""

    def __init__(self, connection: aiosqlite.Connection) -> None:
        super().__init__(connection)
        self._batches: set[asyncio.Task[Any]] = set()

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        batch = asyncio.create_task(self._finish(list(ops)))
        self._batches.add(batch)
        batch.add_done_callback(self._batches.discard)
        return await asyncio.shield(batch)

    async def close(self) -> None:
        """Return when no batch is under way and the library's own task has ended."""
        await asyncio.gather(*self._batches, return_exceptions=True)
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _finish(self, ops: list[Op]) -> list[Result]:
        with _as_unavailable():
            async with self._cursor(transaction=False) as cursor:
                await cursor.execute(_EXPIRED)
                expired = await cursor.fetchone()
            if expired is not None:
                await self.sweep_ttl()
            return await super().abatch(ops)


@contextlib.asynccontextmanager
async def open_sqlite(path: Path) -> AsyncIterator[SQLiteStore]:
    """Open the store of the file `path`, which is made if it does not exist.

    Raises:
        StoreDamaged: the file is damaged, or is not a database. It stays as it is.
        MemoryUnavailable: the file is locked or cannot be opened.
    """
    with _as_unavailable(), as_store_damaged(path):
        await asyncio.to_thread(lambda: connect_wal(path).close())
    async with aiosqlite.connect(path, timeout=BUSY_S, isolation_level=None) as connection:
        await connection.execute("PRAGMA synchronous = FULL")
        store = SQLiteStore(connection)
        try:
            with _as_unavailable(), as_store_damaged(path):
                await store.setup()
            yield store
        finally:
            await store.close()


@contextlib.contextmanager
def _as_unavailable() -> Iterator[None]:
    """Raise `MemoryUnavailable` for an operational error of SQLite."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise MemoryUnavailable(f"The file of the long-term memory cannot be used: {error}.") from error
