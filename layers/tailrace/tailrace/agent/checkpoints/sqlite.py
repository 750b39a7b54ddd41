"""LangGraph's saver for SQLite, made safe for several processes and for cancelled writes.

1. The file is put into WAL mode before anything else, with as many tries as it takes (`connect_wal`).
2. A write that has started is finished even if its caller is cancelled. langgraph-checkpoint-sqlite 3.1 would leave its
   transaction open, and the file locked for every other process.
3. An operational error of SQLite becomes `CheckpointsUnavailable`: the attempt stops, and the task does not fail.
4. Checkpoints have no time to live, but their ids begin with the time (UUID version 6). Opening the file deletes the
   expired ones.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import AsyncIterator, Coroutine, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import aiosqlite
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import ChannelVersions, Checkpoint, CheckpointMetadata, CheckpointTuple
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from tailrace.agent.checkpoints.serializer import StrictSerializer
from tailrace.errors import CheckpointsUnavailable
from tailrace.stores.sqlite import as_store_damaged, connect_wal

T = TypeVar("T")

# How long a process waits for another process's transaction.
BUSY_S = 10.0
# The epoch as a UUID's time: 100 ns units since 1582-10-15 (RFC 9562, section 5.1).
_UUID_EPOCH = 0x01B21DD213814000

_EXPIRED = "SELECT thread_id FROM checkpoints GROUP BY thread_id HAVING max(checkpoint_id) < ?"


class SQLiteSaver(AsyncSqliteSaver):
    """Checkpoints in a file that several processes may share. Each write is atomic.

    Every method may raise `CheckpointsUnavailable`. `types` are the author's types that may be read.
    """

    def __init__(self, connection: aiosqlite.Connection, types: Iterable[type] = ()) -> None:
        super().__init__(connection, serde=StrictSerializer(types))
        self._writing: set[asyncio.Task[Any]] = set()

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        with _as_unavailable():
            return await super().aget_tuple(config)

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        with _as_unavailable():
            async for each in super().alist(config, filter=filter, before=before, limit=limit):
                yield each

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        return await self._finish(super().aput(config, checkpoint, metadata, new_versions))

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        await self._finish(super().aput_writes(config, writes, task_id, task_path))

    async def adelete_thread(self, thread_id: str) -> None:
        await self._finish(super().adelete_thread(thread_id))

    async def until_idle(self) -> None:
        """Return when no write of this saver is under way."""
        await asyncio.gather(*self._writing, return_exceptions=True)

    async def delete_before(self, seconds: float) -> None:
        """Delete the threads whose newest checkpoint is older than `seconds` since the epoch."""
        first = _first_id(seconds)
        async with self.lock:
            async with self.conn.execute(f"{_EXPIRED} LIMIT 1", (first,)) as cursor:
                if await cursor.fetchone() is None:
                    return  # Without a transaction, no other process has to wait.
            try:
                await self.conn.execute("BEGIN IMMEDIATE")
                for table in ("writes", "checkpoints"):
                    await self.conn.execute(f"DELETE FROM {table} WHERE thread_id IN ({_EXPIRED})", (first,))  # noqa: S608
                await self.conn.commit()
            except sqlite3.OperationalError:
                await self.conn.rollback()  # Another process is busy. The next one that opens the file deletes them.

    async def _finish(self, write: Coroutine[Any, Any, T]) -> T:
        task = asyncio.create_task(self._write(write))
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)
        return await asyncio.shield(task)

    async def _write(self, write: Coroutine[Any, Any, T]) -> T:
        with _as_unavailable():
            try:
                return await write
            except sqlite3.Error:
                async with self.lock:
                    await self.conn.rollback()
                raise


@contextlib.asynccontextmanager
async def open_sqlite(path: Path, lifetime_s: float, types: Iterable[type] = ()) -> AsyncIterator[SQLiteSaver]:
    """Open the saver of the file `path`, which is made if it does not exist.

    Checkpoints older than `lifetime_s` seconds are deleted. `types` are the author's types that may be read.

    Raises:
        StoreDamaged: the file is damaged, or is not a database. It stays as it is.
        CheckpointsUnavailable: the file is locked or cannot be opened.
    """
    with _as_unavailable(), as_store_damaged(path):
        await asyncio.to_thread(_prepare, path)
    async with aiosqlite.connect(path, timeout=BUSY_S) as connection:
        # As in the log: what is saved survives a loss of power.
        await connection.execute("PRAGMA synchronous = FULL")
        saver = SQLiteSaver(connection, types)
        with _as_unavailable(), as_store_damaged(path):
            await saver.setup()
            await saver.delete_before(time.time() - lifetime_s)
        try:
            yield saver
        finally:
            await saver.until_idle()


def _prepare(path: Path) -> None:
    """Make the file if it does not exist, and put it into WAL mode."""
    connect_wal(path, BUSY_S).close()


@contextlib.contextmanager
def _as_unavailable() -> Iterator[None]:
    """Raise `CheckpointsUnavailable` for an operational error of SQLite."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise CheckpointsUnavailable(f"The file of the checkpoints cannot be used: {error}.") from error


def _first_id(seconds: float) -> str:
    """The lowest id of a checkpoint made at this time, in seconds since the epoch."""
    ticks = int(seconds * 10_000_000) + _UUID_EPOCH
    return f"{ticks >> 28:08x}-{ticks >> 12 & 0xFFFF:04x}-6{ticks & 0xFFF:03x}"
