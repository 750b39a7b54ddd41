"""LangGraph's saver for SQLite, made fast, and safe for several processes and for cancelled writes.

1. The file is put into WAL mode before anything else, with as many tries as it takes (`connect_wal`).
2. LangGraph's synchronous saver has the statements, and a thread runs them (`SQLiteWorker`): one way to the thread for
   a checkpoint, where its asynchronous saver takes three to five, and one fsync for all that come together.
3. A write that has started is finished even if its caller is cancelled. langgraph-checkpoint-sqlite 3.1 would leave its
   transaction open, and the file locked for every other process.
4. An operational error of SQLite becomes `CheckpointsUnavailable`: the attempt stops, and the task does not fail.
5. Checkpoints have no time to live, but their ids begin with the time (UUID version 6). Opening the file deletes the
   expired ones.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
)
from langgraph.checkpoint.sqlite import SqliteSaver

from tailrace.agent.checkpoints.serializer import StrictSerializer
from tailrace.errors import CheckpointsUnavailable
from tailrace.stores.sqlite import Deletion, as_store_damaged, connect_wal, expired
from tailrace.stores.sqlite_worker import SQLiteWorker, close_all

# The epoch as a UUID's time: 100 ns units since 1582-10-15 (RFC 9562, section 5.1).
_UUID_EPOCH = 0x01B21DD213814000

# What has expired, by table: threads whose checkpoints all have lower ids than the question mark stands for.
_THREADS = "thread_id IN (SELECT thread_id FROM checkpoints GROUP BY thread_id HAVING max(checkpoint_id) < ?)"
_EXPIRED = {"writes": _THREADS, "checkpoints": _THREADS}


class SQLiteSaver(BaseCheckpointSaver[str]):
    """Checkpoints in a file that several processes may share. Each write is atomic.

    Every method may raise `CheckpointsUnavailable`. `types` are the author's types that may be read. `deletion` comes
    before the first write.
    """

    def __init__(self, path: Path, types: Iterable[type] = (), deletion: Deletion | None = None) -> None:
        super().__init__(serde=StrictSerializer(types))
        connect = partial(connect_wal, path)
        self._writer = SQLiteWorker("checkpoint-writer", connect, _unavailable, transaction=True, first=deletion)
        self._reader = SQLiteWorker("checkpoint-reader", connect, _unavailable)

    def get_next_version(self, current: str | None, channel: None) -> str:
        return SqliteSaver.get_next_version(self, current, channel)  # type: ignore[arg-type]  # needs no connection

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        return await self._reader.run(lambda connection: self._on(connection).get_tuple(config))

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        def operation(connection: sqlite3.Connection) -> list[CheckpointTuple]:
            return list(self._on(connection).list(config, filter=filter, before=before, limit=limit))

        for each in await self._reader.run(operation):
            yield each

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        return await self._writer.run(
            lambda connection: self._on(connection).put(config, checkpoint, metadata, new_versions)
        )

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        await self._writer.run(lambda connection: self._on(connection).put_writes(config, writes, task_id, task_path))

    async def adelete_thread(self, thread_id: str) -> None:
        await self._writer.run(lambda connection: self._on(connection).delete_thread(thread_id))

    async def close(self) -> None:
        """Finish the writes under way, and close the file."""
        await close_all(self._writer, self._reader)

    def _on(self, connection: sqlite3.Connection) -> _Statements:
        return _Statements(connection, serde=self.serde)


class _Statements(SqliteSaver):
    """LangGraph's statements on a connection whose file has the tables. Its caller begins and commits transactions."""

    def setup(self) -> None:
        pass

    @contextlib.contextmanager
    def cursor(self, transaction: bool = True) -> Iterator[sqlite3.Cursor]:
        with contextlib.closing(self.conn.cursor()) as cursor:
            yield cursor


@contextlib.asynccontextmanager
async def open_sqlite(path: Path, lifetime_s: float, types: Iterable[type] = ()) -> AsyncIterator[SQLiteSaver]:
    """Open the saver of the file `path`, which is made if it does not exist.

    Checkpoints older than `lifetime_s` seconds are deleted. `types` are the author's types that may be read.

    Raises:
        StoreDamaged: the file is damaged, or is not a database. It stays as it is.
        CheckpointsUnavailable: the file is locked or cannot be opened.
    """
    deletion = await asyncio.to_thread(_prepare, path, time.time() - lifetime_s)
    saver = SQLiteSaver(path, types, deletion)
    try:
        yield saver
    finally:
        await saver.close()


def _prepare(path: Path, before: float) -> Deletion | None:
    """Make the file and its tables if they do not exist. Return what deletes the expired threads, if there are any.

    They have nothing newer than `before`, which is in seconds since the epoch.
    """
    try:
        with as_store_damaged(path), contextlib.closing(connect_wal(path)) as connection:
            SqliteSaver(connection).setup()
            return expired(connection, _EXPIRED, _first_id(before))
    except sqlite3.OperationalError as error:
        raise _unavailable(error) from error


def _unavailable(error: sqlite3.Error) -> Exception:
    """The error for an operational one of SQLite: the store cannot be used now. Any other stays as it is."""
    if not isinstance(error, sqlite3.OperationalError):
        return error
    return CheckpointsUnavailable(f"The file of the checkpoints cannot be used: {error}.")


def _first_id(seconds: float) -> str:
    """The lowest id of a checkpoint made at this time, in seconds since the epoch."""
    ticks = int(seconds * 10_000_000) + _UUID_EPOCH
    return f"{ticks >> 28:08x}-{ticks >> 12 & 0xFFFF:04x}-6{ticks & 0xFFF:03x}"
