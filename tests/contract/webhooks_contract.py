"""The contract of every store of webhooks."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import msgspec
import pytest

from tailrace.push import Webhook, Webhooks
from tests.contract.log_tasks import Clock

TTL_S = 100.0


def hook(task_id: str, hook_id: str = "a", **fields: Any) -> Webhook:
    return Webhook(task_id=task_id, id=hook_id, url=f"https://example.com/{hook_id}", **fields)


class WebhooksContract:
    @pytest.fixture
    def clock(self) -> Clock:
        return Clock()

    @pytest.fixture
    def task(self) -> str:
        return str(uuid.uuid4())

    async def test_webhooks_are_listed_by_id(self, hooks: Webhooks, task: str) -> None:
        kept = [
            hook(task, name, token="t", scheme="Bearer", credentials="ä secret", version="0.3", delivered=7)
            for name in ("b", "a/ü", "c")
        ]
        for each in kept:
            await hooks.put(each)
        await hooks.put(hook(str(uuid.uuid4()), "another"))
        assert await hooks.list(task) == sorted(kept, key=lambda each: each.id)
        assert await hooks.get(task, "b") == kept[0]
        assert await hooks.get(task, "d") is None
        assert await hooks.list("no such task") == []

    async def test_a_webhook_with_the_same_id_replaces_the_earlier_one(self, hooks: Webhooks, task: str) -> None:
        await hooks.put(hook(task, token="old", delivered=3))
        await hooks.claim(task, "a", "me", 10)
        await hooks.put(hook(task, token="new"))
        assert await hooks.list(task) == [hook(task, token="new")]
        assert not await hooks.advance(task, "a", "me", 4, 10), "the lease of the replaced webhook still holds"

    async def test_deleting_is_final_and_idempotent(self, hooks: Webhooks, task: str) -> None:
        await hooks.put(hook(task, credentials="secret"))
        await hooks.put(hook(task, "b"))
        await hooks.claim(task, "a", "me", 10)
        for _ in range(2):
            await hooks.delete(task, "a")
        await hooks.delete(task, "never")
        assert [each.id for each in await hooks.list(task)] == ["b"]
        assert not await hooks.advance(task, "a", "me", 1, 10)
        assert await hooks.claim(task, "a", "me", 10) is None
        await hooks.put(hook(task))
        assert len(await hooks.list(task)) == 2

    async def test_only_one_process_delivers_at_a_time(self, hooks: Webhooks, task: str, clock: Clock) -> None:
        await hooks.put(hook(task))
        claims = await asyncio.gather(*(hooks.claim(task, "a", f"runner {n}", 10) for n in range(6)))
        (mine,) = [each for each in claims if each is not None]
        assert mine.lease_until == int(clock() * 1000) + 10_000
        assert not await hooks.advance(task, "a", "somebody else", 5, 10)
        clock.now += 9
        assert await hooks.claim(task, "a", mine.holder, 10) is not None, "the holder could not renew its lease"
        clock.now += 9
        assert await hooks.claim(task, "a", "other", 10) is None
        clock.now += 2
        assert await hooks.claim(task, "a", "other", 10) is not None, "the lease did not expire"
        assert not await hooks.advance(task, "a", mine.holder, 5, 10)

    async def test_the_next_delivery_knows_what_was_delivered(self, hooks: Webhooks, task: str) -> None:
        await hooks.put(hook(task))
        await hooks.claim(task, "a", "one", 10)
        assert await hooks.advance(task, "a", "one", 4, 10)
        assert await hooks.advance(task, "a", "one", 5, 10)
        assert not await hooks.release(task, "a", "two", due=0, failures=0), "somebody without the lease released it"
        assert await hooks.release(task, "a", "one", due=0, failures=0)
        next_one = await hooks.claim(task, "a", "two", 10)
        assert next_one is not None
        assert (next_one.delivered, next_one.holder) == (5, "two")
        assert msgspec.structs.replace(next_one, delivered=0, holder="", lease_until=0, due=0) == hook(task)

    async def test_expired_webhooks_are_gone(self, hooks: Webhooks, task: str, clock: Clock) -> None:
        await hooks.put(hook(task))
        clock.now += TTL_S - 1
        await hooks.claim(task, "a", "me", 10)
        assert await hooks.advance(task, "a", "me", 1, 10), "a webhook in use expired"
        clock.now += TTL_S - 1
        assert len(await hooks.list(task)) == 1
        clock.now += 2
        assert await hooks.list(task) == []
        assert await hooks.claim(task, "a", "me", 10) is None

    async def test_unheld_due_deliveries_are_found_longest_due_first(
        self, hooks: Webhooks, task: str, clock: Clock
    ) -> None:
        now = int(clock() * 1000)
        first, second, third, never = (f"{task} {name}" for name in ("first", "second", "third", "never"))
        for each in (
            hook(third, due=now - 10),
            hook(third, "b", due=now - 40),
            hook(first, due=now - 30_000),
            hook(second, due=now - 2_000),
            hook(second, "b", due=now - 1_000),
            hook(never),
        ):
            await hooks.put(each)
        assert await hooks.due_tasks(10) == [first, second, third]
        assert await hooks.due_tasks(2) == [first, second]
        assert await hooks.claim(first, "a", "me", 10) is not None
        assert await hooks.due_tasks(10) == [second, third], "a held delivery is not due"
        clock.now += 11
        assert await hooks.due_tasks(10) == [first, second, third], "the expired lease still hides a due delivery"
        await hooks.delete(second, "a")
        await hooks.delete(second, "b")
        assert await hooks.due_tasks(10) == [first, third]
        clock.now += TTL_S
        assert await hooks.due_tasks(10) == []

    async def test_postponed_deliveries_come_after_the_others(self, hooks: Webhooks, task: str, clock: Clock) -> None:
        now = int(clock() * 1000)
        first, second, held = (f"{task} {name}" for name in ("first", "second", "held"))
        for each in (
            hook(first, due=now - 30_000),
            hook(first, "later", due=now + 5_000),
            hook(first, "never"),
            hook(second, due=now - 2_000),
            hook(held, due=now - 1_000),
        ):
            await hooks.put(each)
        await hooks.claim(held, "a", "me", 10)
        await hooks.put_off(first, now + 1_000)
        await hooks.put_off(held, now + 1_000)
        assert await hooks.due_tasks(10) == [second]
        assert {each.id: each.due for each in await hooks.list(first)} == {
            "a": now + 1_000,
            "later": now + 5_000,
            "never": 0,
        }
        assert [each.due for each in await hooks.list(held)] == [now - 1_000], "a held delivery is not postponed"
        clock.now += 1
        assert await hooks.due_tasks(10) == [second, first]
        await hooks.put_off("nobody", now)

    async def test_releasing_a_webhook_records_when_it_is_due(self, hooks: Webhooks, task: str, clock: Clock) -> None:
        now = int(clock() * 1000)
        await hooks.put(hook(task))
        claimed = await hooks.claim(task, "a", "me", 10)
        assert claimed is not None
        assert (claimed.due, claimed.failures) == (now, 0), "a delivery is due from its first claim on"
        assert await hooks.release(task, "a", "me", due=now + 5_000, failures=2)
        assert await hooks.get(task, "a") == msgspec.structs.replace(
            claimed, lease_until=0, due=now + 5_000, failures=2
        )
        assert await hooks.due_tasks(10) == []
        clock.now += 6
        assert await hooks.due_tasks(10) == [task]
        again = await hooks.claim(task, "a", "me", 10)
        assert again is not None
        assert (again.due, again.failures) == (now + 5_000, 2), "a claim alone resets nothing"
        assert await hooks.advance(task, "a", "me", 1, 10)
        assert [each.failures for each in await hooks.list(task)] == [0], "an acknowledged event resets the failures"
        assert await hooks.release(task, "a", "me", due=0, failures=0)
        assert await hooks.due_tasks(10) == []
        assert [each.due for each in await hooks.list(task)] == [0]
