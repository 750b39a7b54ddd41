"""The webhooks' contract against each store."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import boto3
import pytest

from tailrace.errors import LogUnavailable, TaskUnknown
from tailrace.log.dynamodb import DynamoDBLog
from tailrace.push.dynamodb import DynamoDBWebhooks
from tailrace.push.sqlite import SQLiteWebhooks
from tailrace.push.store import MemoryWebhooks
from tests.contract.dynamodb_table import empty_table, use
from tests.contract.log_tasks import Clock
from tests.contract.webhooks_contract import TTL_S, WebhooksContract, hook

# The table of a version that retried no delivery later.
EARLIER_SCHEMA = """
CREATE TABLE webhooks (
    task_id TEXT NOT NULL, id TEXT NOT NULL, url TEXT NOT NULL, token TEXT NOT NULL, scheme TEXT NOT NULL,
    credentials TEXT NOT NULL, version TEXT NOT NULL, delivered INTEGER NOT NULL, holder TEXT NOT NULL,
    lease_until INTEGER NOT NULL, ttl INTEGER NOT NULL, PRIMARY KEY (task_id, id)
)
"""


class TestMemoryWebhooks(WebhooksContract):
    @pytest.fixture
    def hooks(self, clock: Clock) -> MemoryWebhooks:
        return MemoryWebhooks(ttl_s=TTL_S, clock=clock)


class TestSQLiteWebhooks(WebhooksContract):
    async def test_a_file_of_which_nobody_can_say_whether_it_exists_is_unavailable(self, tmp_path: Path) -> None:
        hooks = SQLiteWebhooks(tmp_path / ("x" * 300) / "push.sqlite3")
        with pytest.raises(LogUnavailable, match="could not be reached"):
            await hooks.list("t")

    @pytest.fixture
    async def hooks(self, clock: Clock, tmp_path: Path) -> AsyncIterator[SQLiteWebhooks]:
        hooks = SQLiteWebhooks(tmp_path / "push.sqlite3", ttl_s=TTL_S, clock=clock)
        yield hooks
        await hooks.close()

    async def test_webhooks_survive_a_restart_in_a_private_file(self, clock: Clock, tmp_path: Path) -> None:
        path = tmp_path / "deep" / "push.sqlite3"
        before = SQLiteWebhooks(path, clock=clock)
        await before.put(hook("t", credentials="secret"))
        await before.close()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        after = SQLiteWebhooks(path, clock=clock)
        assert await after.list("t") == [hook("t", credentials="secret")]
        await after.close()

    async def test_a_look_makes_no_file_and_finds_what_another_process_stores_later(
        self, hooks: SQLiteWebhooks, clock: Clock, tmp_path: Path
    ) -> None:
        assert (await hooks.list("t"), await hooks.due_tasks(10)) == ([], [])
        assert not os.listdir(tmp_path)
        other = SQLiteWebhooks(tmp_path / "push.sqlite3", ttl_s=TTL_S, clock=clock)
        await other.put(hook("t"))
        assert await hooks.list("t") == [hook("t")]
        await other.close()

    async def test_a_file_of_an_earlier_version_is_migrated(self, clock: Clock, tmp_path: Path) -> None:
        path = tmp_path / "push.sqlite3"
        with contextlib.closing(sqlite3.connect(path)) as before:
            before.execute(EARLIER_SCHEMA)
            row = ("t", "a", "https://example.com/a", "", "", "", "1.0", 7, "", 0, 10**12)
            before.execute("INSERT INTO webhooks VALUES (?,?,?,?,?,?,?,?,?,?,?)", row)
            before.commit()
        for _ in range(2):
            hooks = SQLiteWebhooks(path, clock=clock)
            assert await hooks.list("t") == [hook("t", delivered=7)]
            await hooks.close()


class TestDynamoDBWebhooks(WebhooksContract):
    @pytest.fixture
    def table(self, any_dynamodb: str, monkeypatch: pytest.MonkeyPatch) -> str:
        use(any_dynamodb, monkeypatch)
        return empty_table()

    @pytest.fixture
    async def hooks(self, table: str, clock: Clock) -> AsyncIterator[DynamoDBWebhooks]:
        hooks = DynamoDBWebhooks(table, ttl_s=TTL_S, clock=clock)
        yield hooks
        await hooks.close()

    async def test_a_deleted_webhook_leaves_no_secret_behind(self, hooks: DynamoDBWebhooks, table: str) -> None:
        await hooks.put(hook("t", token="s3cret", scheme="Basic", credentials="s3cret"))
        await hooks.delete("t", "a")
        client = boto3.client("dynamodb")
        (left,) = client.scan(TableName=table)["Items"]
        client.close()
        assert "s3cret" not in str(left)
        assert "example.com" not in str(left)

    async def test_the_log_never_sees_webhooks_in_its_table(
        self, hooks: DynamoDBWebhooks, table: str, clock: Clock
    ) -> None:
        await hooks.put(hook("t"))
        log = DynamoDBLog(table, clock=clock)
        with pytest.raises(TaskUnknown):
            await log.head("push#t")
        assert await log.last("t") == 0
        assert (await log.list("alice")).heads == []
        await log.close()
