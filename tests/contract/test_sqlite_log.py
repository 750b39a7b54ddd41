from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from log_contract import LogContract
from log_tasks import TTL_S, Clock, all_events, created

from tailrace.log.sqlite import SQLiteLog


class TestSQLiteLog(LogContract):
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
