"""A process opens and reads each SQLite file while another one, which is stopped, is in the middle of a write."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.base.id import uuid6

from tailrace.access.sqlite import SQLiteCredentials
from tailrace.agent.checkpoints.sqlite import open_sqlite as open_checkpoints
from tailrace.agent.memory.sqlite import open_sqlite as open_memory
from tailrace.log.sqlite import SQLiteLog
from tailrace.push.sqlite import SQLiteWebhooks
from tailrace.stores import sqlite
from tests.contract.log_tasks import Clock, created
from tests.contract.webhooks_contract import hook

DAY_S = 86_400
CONFIG: Any = {"configurable": {"thread_id": "t", "checkpoint_ns": ""}}
# What stores something for a day, and what reads.
Used = tuple[Callable[[], Awaitable[Any]], Callable[[], Awaitable[Any]]]


@asynccontextmanager
async def log(path: Path, clock: Clock) -> AsyncIterator[Used]:
    store = SQLiteLog(path, ttl_s=DAY_S, clock=clock)
    yield lambda: created(store), lambda: store.list("alice")
    await store.close()


@asynccontextmanager
async def webhooks(path: Path, clock: Clock) -> AsyncIterator[Used]:
    store = SQLiteWebhooks(path, ttl_s=DAY_S, clock=clock)
    yield lambda: store.put(hook("t")), lambda: store.list("t")
    await store.close()


@asynccontextmanager
async def credentials(path: Path, clock: Clock) -> AsyncIterator[Used]:
    store = SQLiteCredentials(path, clock=clock)
    yield lambda: store.count("key", DAY_S), lambda: store.spent("key", DAY_S)
    await store.close()


@asynccontextmanager
async def checkpoints(path: Path, clock: Clock) -> AsyncIterator[Used]:
    checkpoint: Any = {**empty_checkpoint(), "id": str(uuid6())}
    passed_s = clock.now - Clock().now  # a checkpoint's id has the real time
    async with open_checkpoints(path, DAY_S - passed_s) as store:
        yield lambda: store.aput(CONFIG, checkpoint, {}, {}), lambda: store.aget_tuple(CONFIG)


@asynccontextmanager
async def memory(path: Path, _: Clock) -> AsyncIterator[Used]:
    async with open_memory(path) as store:
        yield lambda: store.aput(("a",), "k", {}), lambda: store.aget(("a",), "k")


def rows(path: Path, *tables: str) -> int:
    with contextlib.closing(sqlite3.connect(path)) as file:
        return sum(file.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables)


@pytest.mark.parametrize(
    ("opened", "expiring"),
    [
        (log, ("heads", "items")),
        (webhooks, ("webhooks",)),
        (credentials, ("counts",)),
        (checkpoints, ("checkpoints",)),
        (memory, ()),  # its clock is SQLite's
    ],
)
async def test_a_stopped_writer_keeps_no_process_from_opening_a_file_and_reading_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opened: Any, expiring: tuple[str, ...]
) -> None:
    monkeypatch.setattr(sqlite, "BUSY_S", 120.0)  # who waits for the writer waits for longer than the test
    path, clock = tmp_path / "file.sqlite3", Clock()
    async with opened(path, clock) as (put, look):
        await put()
    clock.now += 2 * DAY_S
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as stopped:
        stopped.execute("BEGIN IMMEDIATE")
        async with asyncio.timeout(60), opened(path, clock) as (_, look):
            await look()
    assert rows(path, *expiring) == len(expiring), "what had expired could not be deleted"
    async with opened(path, clock) as (_, look):
        await look()
    assert rows(path, *expiring) == 0, "the next process deletes it"
