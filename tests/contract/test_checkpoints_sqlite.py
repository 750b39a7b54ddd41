"""Several processes use one file of checkpoints: some die, some are cancelled, and none locks out the others."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.base.id import uuid6

from tailrace.agent.checkpoints import sqlite as checkpoints_sqlite
from tailrace.agent.checkpoints.sqlite import open_sqlite
from tailrace.errors import CheckpointsUnavailable
from tailrace.stores import sqlite
from tailrace.stores.sqlite import connect_wal
from tests.contract import checkpoint_writer
from tests.support.fork_server import ForkedProcess, start_reading
from tests.support.processes import ROOT

pytestmark = pytest.mark.slow


async def writer(path: Path, count: int) -> ForkedProcess:
    """Start a process that saves `count` checkpoints after `begin()`."""
    process = await start_reading([checkpoint_writer.__name__, str(path), str(count)], os.environ, ROOT)
    assert await line(process) == "ready"
    return process


def begin(*processes: ForkedProcess) -> None:
    for process in processes:
        process.send_signal(checkpoint_writer.BEGIN)


async def line(process: ForkedProcess) -> str:
    assert process.stdout is not None
    return (await asyncio.wait_for(process.stdout.readline(), 60)).decode().strip()


def checkpoint(**values: Any) -> Any:
    return {**empty_checkpoint(), "id": str(uuid6()), "channel_values": values}


def config(thread: str = "t") -> Any:
    return {"configurable": {"thread_id": thread, "checkpoint_ns": ""}}


async def test_several_processes_can_create_and_fill_one_file(tmp_path: Path) -> None:
    path, count = tmp_path / "checkpoints.sqlite3", 25
    processes = await asyncio.gather(*(writer(path, count) for _ in range(4)))
    begin(*processes)
    assert [await process.wait() for process in processes] == [0] * len(processes)
    async with open_sqlite(path, 86_400) as saver:
        for process in processes:
            saved = [each async for each in saver.alist(config(str(process.pid)))]
            assert [each.checkpoint["channel_values"]["number"] for each in saved] == list(reversed(range(count)))
            assert {len(each.pending_writes or ()) for each in saved} == {20}


async def test_a_process_killed_during_a_save_does_not_block_the_next_one(tmp_path: Path) -> None:
    """The writes of a task are saved completely or not at all."""
    path = tmp_path / "checkpoints.sqlite3"
    for _ in range(3):
        first, second = await asyncio.gather(writer(path, 10_000), writer(path, 5))
        begin(first)
        seen = -1
        while seen < 20:
            seen = int(await line(first))
        begin(second)  # it opens the file while the other process writes
        first.kill()
        assert await second.wait() == 0
        await first.wait()
        async with open_sqlite(path, 86_400) as saver:
            newest, *older = [each async for each in saver.alist(config(str(first.pid)))]
            assert newest.checkpoint["channel_values"]["number"] >= seen, (
                "a checkpoint that was reported as saved is missing"
            )
            assert len(newest.pending_writes or ()) in (0, 20)
            assert {len(each.pending_writes or ()) for each in older} == {20}


async def test_a_cancelled_save_is_completed_and_releases_the_file(tmp_path: Path) -> None:
    path = tmp_path / "checkpoints.sqlite3"
    saved = 0
    async with open_sqlite(path, 86_400) as saver:
        for moment in range(60):
            saving = asyncio.create_task(saver.aput(config(), checkpoint(more="x" * 50_000), {"step": moment}, {}))
            turns = moment % 12
            for _ in range(turns):
                await asyncio.sleep(0)
            saving.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await saving
            await saver.aput(config("another"), checkpoint(), {"step": moment}, {})  # ends after the cancelled one
            saved += turns > 0  # the first turn begins the save
            other = sqlite3.connect(path, timeout=0)
            other.execute("BEGIN IMMEDIATE")  # raises if the file is locked
            other.close()
        assert len([each async for each in saver.alist(config())]) == saved
    assert saved == 55


async def test_closing_waits_for_pending_saves(tmp_path: Path) -> None:
    path = tmp_path / "checkpoints.sqlite3"
    async with open_sqlite(path, 86_400) as saver:
        saving = asyncio.create_task(saver.aput(config(), checkpoint(), {"step": 1}, {}))
        await asyncio.sleep(0)  # the save begins
        saving.cancel()
    async with open_sqlite(path, 86_400) as saver:
        assert await saver.aget_tuple(config()) is not None


async def test_a_locked_file_is_a_store_error_until_it_is_released(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The task does not fail: the attempt stops, and the next one continues."""
    monkeypatch.setattr(sqlite, "BUSY_S", 0.05)
    path = tmp_path / "checkpoints.sqlite3"
    async with open_sqlite(path, 86_400) as saver:
        stopped = sqlite3.connect(path)
        stopped.execute("BEGIN IMMEDIATE")
        with pytest.raises(CheckpointsUnavailable, match="locked"):
            await saver.aput(config(), checkpoint(), {"step": 1}, {})
        assert await saver.aget_tuple(config()) is None
        stopped.close()
        await saver.aput(config(), checkpoint(), {"step": 1}, {})
        assert await saver.aget_tuple(config()) is not None


async def test_a_missing_folder_is_reported_at_once(tmp_path: Path) -> None:
    with pytest.raises(CheckpointsUnavailable, match="unable to open"):
        async with open_sqlite(tmp_path / "nowhere" / "checkpoints.sqlite3", 86_400):
            pass


async def test_the_file_uses_wal_and_syncs_every_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[sqlite3.Connection] = []

    def connect(path: Path) -> sqlite3.Connection:
        opened.append(connect_wal(path))
        return opened[-1]

    monkeypatch.setattr(checkpoints_sqlite, "connect_wal", connect)
    async with open_sqlite(tmp_path / "checkpoints.sqlite3", 86_400) as saver:
        await saver.aput(config(), checkpoint(), {"step": 1}, {})
        assert await saver.aget_tuple(config()) is not None
        _, *used = opened  # the first has made the file, and is closed
        assert len(used) == 2
        for connection in used:
            assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
            assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
