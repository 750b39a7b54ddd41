"""Checkpoints outlive their task, however long it takes, and expire after it."""

from __future__ import annotations

import contextlib
import random
import sqlite3
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.base.id import uuid6

from tailrace.agent.checkpoints import dynamodb as checkpoints_dynamodb
from tailrace.agent.checkpoints import open_checkpointer
from tailrace.agent.checkpoints.dynamodb import DynamoDBSaver
from tailrace.agent.checkpoints.sqlite import open_sqlite
from tailrace.config import Settings
from tailrace.errors import CheckpointLost
from tests.contract.checkpoint_stores import BUCKET, delete_objects, items_of, objects, use_stores
from tests.support.fast_moto import moto_server

DAY_S = 86_400
BEGIN = 1_700_000_000


class Clock:
    def __init__(self) -> None:
        self.now = float(BEGIN)

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with moto_server() as endpoint:
        yield endpoint


@pytest.fixture
def table(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> str:
    return use_stores(endpoint, endpoint, monkeypatch)


@pytest.fixture
async def saver(table: str, clock: Clock) -> AsyncIterator[DynamoDBSaver]:
    """A saver whose checkpoints live for eight days, for tasks that live for seven."""
    saver = DynamoDBSaver(table, bucket=BUCKET, lifetime_s=8 * DAY_S, refresh_s=7 * DAY_S, clock=clock)
    yield saver
    await saver.close()


async def save(saver: Any, thread: str = "t", namespace: str = "", *, seconds: float | None = None) -> Any:
    """Save a checkpoint and a write; return the config. `seconds` is the time in the checkpoint's id, if not now."""
    checkpoint = empty_checkpoint()
    checkpoint.update(id=str(uuid6() if seconds is None else uuid6_at(seconds)), channel_values={"thread": thread})
    config: Any = {"configurable": {"thread_id": thread, "checkpoint_ns": namespace}}
    config = await saver.aput(config, checkpoint, {"step": 1}, {})
    await saver.aput_writes(config, [("a", 1)], "task")
    return config


def uuid6_at(seconds: float) -> uuid.UUID:
    """Return a UUID of version 6 with this time since the epoch, as LangGraph makes them (RFC 9562, section 5.6)."""
    ticks = int(seconds * 10_000_000) + 0x01B21DD213814000
    return uuid.UUID(int=ticks >> 12 << 80 | 6 << 76 | (ticks & 0xFFF) << 64 | 2 << 62 | random.getrandbits(62))


def days_left(table: str, clock: Clock) -> set[float]:
    return {(int(item["ttl"]["N"]) - clock.now) / DAY_S for item in items_of(table)}


@pytest.mark.parametrize(("ttl_days", "lives_days"), [(7.0, 8.0), (0.01, 0.02), (30.0, 31.0)])
async def test_items_outlive_their_task_by_a_day_or_its_lifetime(
    table: str, ttl_days: float, lives_days: float
) -> None:
    settings = Settings(log="dynamodb", checkpoint_table=table, ttl_days=ttl_days)
    async with AsyncExitStack() as stack:
        await save(await open_checkpointer(settings, "agent", stack))
    expected = time.time() + lives_days * DAY_S
    items = items_of(table)
    assert len(items) == 2
    assert all(int(item["ttl"]["N"]) == pytest.approx(expected, abs=60) for item in items)


@pytest.mark.parametrize("inline_bytes", [100_000, 0], ids=["in items", "in objects"])
async def test_reading_an_outer_checkpoint_extends_its_lifetime(
    saver: DynamoDBSaver, table: str, clock: Clock, monkeypatch: pytest.MonkeyPatch, inline_bytes: int
) -> None:
    """A graph that waits in a subgraph for weeks reads the outer checkpoint and saves only inner ones."""
    monkeypatch.setattr(checkpoints_dynamodb, "INLINE_BYTES", inline_bytes)
    outer = await save(saver)
    for _ in range(10):
        clock.now += 6 * DAY_S
        loaded = await saver.aget_tuple({"configurable": {"thread_id": "t", "checkpoint_ns": ""}})
        assert loaded is not None
        assert (loaded.config, loaded.pending_writes) == (outer, [("task", "a", 1)])
        assert days_left(table, clock) == {8}


async def test_reading_a_recent_checkpoint_costs_no_write(saver: DynamoDBSaver, table: str, clock: Clock) -> None:
    config = await save(saver)
    clock.now += DAY_S - 1
    await saver.aget_tuple(config)
    assert days_left(table, clock) == {8 - (DAY_S - 1) / DAY_S}


async def test_a_lost_object_raises_instead_of_an_older_checkpoint(
    saver: DynamoDBSaver, monkeypatch: pytest.MonkeyPatch
) -> None:
    await save(saver)
    monkeypatch.setattr(checkpoints_dynamodb, "INLINE_BYTES", 0)
    config = await save(saver)
    delete_objects()
    with pytest.raises(CheckpointLost, match="no object 'checkpoints/t/"):
        await saver.aget_tuple({"configurable": {"thread_id": "t", "checkpoint_ns": ""}})
    with pytest.raises(CheckpointLost):
        await saver.aget_tuple(config)


async def test_deleting_a_thread_removes_its_items_and_objects(
    saver: DynamoDBSaver, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints_dynamodb, "INLINE_BYTES", 0)
    kept = await save(saver, "another thread")
    for namespace in ("", "", "inner:1"):
        await save(saver, "t", namespace)
    await saver.adelete_thread("t")
    assert {item["PK"]["S"] for item in items_of(table)} == {"another thread"}
    assert {name.split("/")[1] for name in objects()} == {"another thread"}
    assert await saver.aget_tuple(kept) is not None


async def test_opening_a_file_deletes_expired_checkpoints(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "checkpoints.sqlite3"
    monkeypatch.setattr("tailrace.agent.checkpoints.sqlite.time.time", clock)

    async def threads() -> set[str]:
        async with open_sqlite(path, 8 * DAY_S):
            pass
        with contextlib.closing(sqlite3.connect(path)) as file:
            return {
                row[0] for row in file.execute("SELECT thread_id FROM checkpoints UNION SELECT thread_id FROM writes")
            }

    async with open_sqlite(path, 8 * DAY_S) as saver:
        await save(saver, "over", seconds=clock.now)
        await save(saver, "goes on", seconds=clock.now)
        clock.now += 7 * DAY_S
        await save(saver, "goes on", "inner:1", seconds=clock.now)
        await save(saver, "young", seconds=clock.now)
    clock.now += DAY_S - 1
    assert await threads() == {"over", "goes on", "young"}
    clock.now += 2
    assert await threads() == {"goes on", "young"}
    async with open_sqlite(path, 8 * DAY_S) as saver:
        assert len([each async for each in saver.alist({"configurable": {"thread_id": "goes on"}})]) == 2
    clock.now += 7 * DAY_S
    assert await threads() == set()
