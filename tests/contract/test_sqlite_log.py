import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tailrace.log.sqlite import SQLiteLog
from tests.contract.damage_contract import DamageContract
from tests.contract.log_contract import LogContract
from tests.contract.log_tasks import TTL_S, Clock, all_events, created


class TestSQLiteLog(LogContract, DamageContract):
    @pytest.fixture
    async def log(self, clock: Clock, tmp_path: Path) -> AsyncIterator[SQLiteLog]:
        log = SQLiteLog(tmp_path / "log.sqlite3", ttl_s=TTL_S, clock=clock)
        yield log
        await log.close()

    async def test_the_log_survives_a_restart(self, clock: Clock, tmp_path: Path) -> None:
        before = SQLiteLog(tmp_path / "again.sqlite3", clock=clock)
        task_id = await created(before)
        await before.close()
        after = SQLiteLog(tmp_path / "again.sqlite3", clock=clock)
        assert await all_events(after, task_id) == [b'{"n":1}']
        await after.close()

    async def test_a_file_of_an_earlier_version_is_migrated(self, clock: Clock, tmp_path: Path) -> None:
        path, ms = tmp_path / "earlier.sqlite3", int(clock.now * 1000)
        earlier = sqlite3.connect(path)
        earlier.executescript(EARLIER)
        left_behind = ("old", "alice", "c", "a", "TASK_STATE_WORKING", ms, ms, 127, "dead", ms, 0, "f")
        earlier.execute("INSERT INTO heads VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)", (*left_behind, int(clock.now) + 500))
        earlier.execute("INSERT INTO items VALUES ('old', 1, 0, 1, ?, ?)", (b'{"n":1}', int(clock.now) + 500))
        earlier.commit()
        earlier.close()
        for attempt in (128, 129):  # the second time there is nothing to migrate
            log = SQLiteLog(path, clock=clock)
            (head,) = await log.unattended(idle_s=0)
            assert (head.task_id, head.due, head.dispatches, head.attempt) == ("old", 0, 0, attempt - 1)
            assert (await log.claim("old", "me", 10)).tries == attempt - 127
            assert await all_events(log, "old") == [b'{"n":1}']
            await log.close()
            clock.now += 11


class ClosesBeforeItsResult(asyncio.SelectorEventLoop):
    """Closes just before the log's thread reports a result to it."""

    def call_soon_threadsafe(self, *arguments: Any, **options: Any) -> Any:
        self.close()
        return super().call_soon_threadsafe(*arguments, **options)


def test_a_loop_that_has_just_closed_does_not_stop_the_log_for_others(tmp_path: Path) -> None:
    asked, loop_stands_still = threading.Event(), threading.Event()

    def clock() -> float:
        if threading.current_thread().name == "log-reader":
            asked.set()
            loop_stands_still.wait(60)
        return 1.0

    log, loop = SQLiteLog(tmp_path / "log.sqlite3", clock=clock), ClosesBeforeItsResult()
    loop.set_exception_handler(lambda *_: None)  # It says that a task was never finished.
    abandoned = loop.create_task(log.last("nobody"))
    loop.run_until_complete(asyncio.sleep(0))
    assert asked.wait(60)
    loop_stands_still.set()

    async def use() -> int:
        async with asyncio.timeout(60):
            last = await log.last("nobody")
        await log.close()
        return last

    assert asyncio.run(use()) == 0
    assert loop.is_closed()
    assert not abandoned.done()


# The tables of the previous version.
EARLIER = """
CREATE TABLE items (
    task_id TEXT NOT NULL, seq INTEGER NOT NULL, attempt INTEGER NOT NULL, count INTEGER NOT NULL,
    packed BLOB NOT NULL, ttl INTEGER NOT NULL, PRIMARY KEY (task_id, seq)
);
CREATE TABLE heads (
    task_id TEXT PRIMARY KEY, owner TEXT NOT NULL, context_id TEXT NOT NULL, agent TEXT NOT NULL,
    state TEXT NOT NULL, created INTEGER NOT NULL, updated INTEGER NOT NULL, attempt INTEGER NOT NULL,
    lease_owner TEXT, lease_until INTEGER NOT NULL, cancel_requested INTEGER NOT NULL,
    fingerprint TEXT NOT NULL, ttl INTEGER NOT NULL
);
CREATE INDEX heads_adrift ON heads (created, task_id) WHERE state <> 'TASK_STATE_COMPLETED';
"""
