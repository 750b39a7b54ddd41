"""The credentials' contract against each store."""

from __future__ import annotations

import asyncio
import stat
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tailrace.access.credential import new_session, presented_session, presented_token
from tailrace.access.dynamodb import DynamoDBCredentials, definition
from tailrace.access.sqlite import SQLiteCredentials
from tailrace.access.store import MemoryCredentials
from tailrace.owner import Owner
from tests.contract.credentials_contract import LASTS_S, CredentialsContract, signed_in, somebody
from tests.contract.dynamodb_table import client_of, use
from tests.contract.log_tasks import Clock


class TestMemoryCredentials(CredentialsContract):
    @pytest.fixture
    def store(self, clock: Clock) -> MemoryCredentials:
        return MemoryCredentials(clock=clock)


class TestSQLiteCredentials(CredentialsContract):
    @pytest.fixture
    async def store(self, clock: Clock, tmp_path: Path) -> AsyncIterator[SQLiteCredentials]:
        store = SQLiteCredentials(tmp_path / "access.sqlite3", clock=clock)
        yield store
        await store.close()

    async def test_sessions_survive_a_restart_in_a_private_file(self, clock: Clock, tmp_path: Path) -> None:
        path = tmp_path / "deep" / "access.sqlite3"
        before = SQLiteCredentials(path, clock=clock)
        session, presented = signed_in(somebody(), clock)
        await before.keep(session)
        await before.close()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        after = SQLiteCredentials(path, clock=clock)
        assert await after.known(presented) == session
        await after.close()


class TestDynamoDBCredentials(CredentialsContract):
    @pytest.fixture
    def table(self, any_dynamodb: str, monkeypatch: pytest.MonkeyPatch) -> str:
        use(any_dynamodb, monkeypatch)
        name = f"tailrace-access-{uuid.uuid4().hex[:12]}"
        client_of("dynamodb").create_table(**definition(name))
        return name

    @pytest.fixture
    async def store(self, table: str, clock: Clock) -> AsyncIterator[DynamoDBCredentials]:
        store = DynamoDBCredentials(table, clock=clock)
        yield store
        await store.close()

    async def test_items_expire_with_what_they_hold(self, store: DynamoDBCredentials, table: str, clock: Clock) -> None:
        session, presented = signed_in(somebody(), clock)
        await store.keep(session)
        clock.now += 300
        await store.known(presented)
        await store.count("x", 60)
        items = client_of("dynamodb").scan(TableName=table)["Items"]
        ends = {item["holder"]["S"]: int(item["ttl"]["N"]) for item in items}
        assert ends == {session.owner: int(clock()) + 600, "count#x": (int(clock()) // 60 + 1) * 60}

    async def test_any_number_of_slots_that_crashes_have_left_is_freed(
        self, store: DynamoDBCredentials, table: str, clock: Clock
    ) -> None:
        left = {f"{n:016x}": {"N": "1"} for n in range(250)}
        item = {"holder": {"S": "slots#x"}, "id": {"S": "slots"}, "slots": {"M": left}}
        client_of("dynamodb").put_item(TableName=table, Item=item)
        assert await store.take("x", "f" * 16, 250, 60)
        assert await store.taken("x") == 1

    async def test_a_slot_is_taken_where_another_process_has_just_made_room(self, table: str) -> None:
        tries = iter([False])

        class Late(DynamoDBCredentials):
            """Its first try is too early."""

            async def _take(self, *of: Any) -> bool:
                return next(tries, True) and await super()._take(*of)

        first, second = DynamoDBCredentials(table), Late(table)
        assert await first.take("x", "aa", 2, 60)
        assert await second.take("x", "bb", 2, 60)
        assert not await second.take("x", "cc", 2, 60)
        await asyncio.gather(first.close(), second.close())


@pytest.mark.parametrize(
    "text", ["", "trk_", "trk_0123456789abcdef_", "trk_0123456789abcdef_" + "x" * 44, "Bearer trk"]
)
def test_what_is_no_token_of_ours_is_not_looked_up(text: str) -> None:
    assert presented_token(text) is None


def test_what_is_no_session_of_ours_is_not_looked_up() -> None:
    owner = somebody()
    _, cookie = new_session(owner, now=0, idle_s=0, lasts_s=LASTS_S)
    assert presented_session(cookie) is not None
    for text in ("", owner.id, cookie + "x", cookie[1:], cookie.upper(), f"tokens.{cookie.partition('.')[2]}"):
        assert presented_session(text) is None


def test_two_people_never_have_one_owner() -> None:
    pairs = [
        ("https://a", "bc"),
        ("https://ab", "c"),
        ("https://a", "b\0c"),
        ("https://a\0b", "c"),
        ("", "https://abc"),
    ]
    assert len({Owner.of_subject(*pair, name="Ada").id for pair in pairs}) == len(pairs)
