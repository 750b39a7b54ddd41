"""LangGraph's saver for SQLite, made fit for several processes and for being cut off.

Where this departs from the obvious, and why:

1. The file is put into WAL mode before anything else, and as often as it takes (`connect_wal`).
2. A write that was begun is finished, even if its caller is cancelled. langgraph-checkpoint-sqlite 3.1 would leave
   its transaction open, and with it the file locked for every other process.
3. That SQLite does not take something now is `CheckpointsUnavailable`: the attempt stops, and the task does not fail.
4. Checkpoints have no time to live, but LangGraph's ids of checkpoints begin with the time (UUID version 6). What is
   over is deleted when the file is opened.
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
from tailrace.stores.sqlite import connect_wal, damage_as_words

T = TypeVar("T")

# How long a process waits for another one's transaction.
_BUSY_S = 10.0
# Between the beginning of UUIDs' time, 1582-10-15, and the epoch, in their units of 100 ns.
_UUID_EPOCH = 0x01B21DD213814000

_OVER = "SELECT thread_id FROM checkpoints GROUP BY thread_id HAVING max(checkpoint_id) < ?"


class SQLiteSaver(AsyncSqliteSaver):
    """Checkpoints in a file that several processes may have open. Each write is there whole or not at all.

    Every method may raise `CheckpointsUnavailable`.
    """

    def __init__(self, connection: aiosqlite.Connection, types: Iterable[type] = ()) -> None:
        super().__init__(connection, serde=StrictSerializer(types))
        self._writing: set[asyncio.Task[Any]] = set()

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        with _ours():
            return await super().aget_tuple(config)

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        with _ours():
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
        """Return when no write is under way."""
        await asyncio.gather(*self._writing, return_exceptions=True)

    async def delete_before(self, seconds: float) -> None:
        """Delete the threads whose newest checkpoint is older than this, in seconds since the epoch."""
        first = _first_id(seconds)
        async with self.lock:
            async with self.conn.execute(f"{_OVER} LIMIT 1", (first,)) as found:
                if await found.fetchone() is None:
                    return  # Nothing to do, so nobody is made to wait.
            try:
                await self.conn.execute("BEGIN IMMEDIATE")
                for table in ("writes", "checkpoints"):
                    await self.conn.execute(f"DELETE FROM {table} WHERE thread_id IN ({_OVER})", (first,))  # noqa: S608
                await self.conn.commit()
            except sqlite3.OperationalError:
                await self.conn.rollback()  # Another process is busy. Who opens the file next does it.

    async def _finish(self, write: Coroutine[Any, Any, T]) -> T:
        task = asyncio.create_task(self._write(write))
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)
        return await asyncio.shield(task)

    async def _write(self, write: Coroutine[Any, Any, T]) -> T:
        with _ours():
            try:
                return await write
            except sqlite3.Error:
                async with self.lock:
                    await self.conn.rollback()
                raise


@contextlib.asynccontextmanager
async def open_sqlite(path: Path, lifetime_s: float, types: Iterable[type] = ()) -> AsyncIterator[SQLiteSaver]:
    """The saver of the file `path`, made when it is not there; checkpoints older than `lifetime_s` are deleted.

    Of an author's types, it reads values of `types`.

    Raises:
        StoreDamaged: the file is damaged, or is no database. It stays as it is.
    """
    with _ours(), damage_as_words(path):
        await asyncio.to_thread(_prepare, path)
    async with aiosqlite.connect(path, timeout=_BUSY_S) as connection:
        # As the log has it: what is saved would survive a power cut.
        await connection.execute("PRAGMA synchronous = FULL")
        saver = SQLiteSaver(connection, types)
        with _ours(), damage_as_words(path):
            await saver.setup()
            await saver.delete_before(time.time() - lifetime_s)
        try:
            yield saver
        finally:
            await saver.until_idle()


def _prepare(path: Path) -> None:
    """Make the file if it is not there, and put it into WAL mode."""
    connect_wal(path, _BUSY_S).close()


@contextlib.contextmanager
def _ours() -> Iterator[None]:
    """SQLite's trouble as ours."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise CheckpointsUnavailable(f"The checkpoints' file did not take it: {error}.") from error


def _first_id(seconds: float) -> str:
    """What the ids of checkpoints begin with that were made at this time, in seconds since the epoch."""
    ticks = int(seconds * 10_000_000) + _UUID_EPOCH
    return f"{ticks >> 28:08x}-{ticks >> 12 & 0xFFFF:04x}-6{ticks & 0xFFF:03x}"
