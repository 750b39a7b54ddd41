"""The part of a log's contract about new tasks: one of many creators creates a task, and may withdraw it."""

from __future__ import annotations

import asyncio

import pytest

from tailrace.errors import TaskConflict, TaskUnknown
from tailrace.log import EventLog
from tests.contract.log_tasks import Clock, all_events, created, head_of


class CreationContract:
    """Tests for a store; its test class provides the fixtures `log` and `clock`."""

    async def test_a_new_task_has_its_first_event(self, log: EventLog) -> None:
        task_id = await created(log)
        assert await all_events(log, task_id) == [b'{"n":1}']

    async def test_a_new_task_is_submitted_and_not_leased(self, log: EventLog, clock: Clock) -> None:
        head = await log.head(await created(log, owner="bob"))
        assert (head.owner, head.state, head.attempt, head.cancel_requested) == (
            "bob", "TASK_STATE_SUBMITTED", 0, False,
        )  # fmt: skip
        assert not head.leased(int(clock.now * 1000))
        assert head.created == head.updated == int(clock.now * 1000)

    async def test_creating_twice_creates_one_task(self, log: EventLog) -> None:
        head = head_of()
        first = await log.create(head, b'{"n":1}')
        assert await log.create(head, b'{"n":"again"}') == first
        assert await all_events(log, head.task_id) == [b'{"n":1}']

    async def test_creating_with_another_request_is_a_conflict(self, log: EventLog) -> None:
        head = head_of()
        await log.create(head, b'{"n":1}')
        with pytest.raises(TaskConflict):
            await log.create(head_of(task_id=head.task_id, fingerprint="other"), b'{"n":1}')

    async def test_one_of_many_concurrent_creators_writes(self, log: EventLog) -> None:
        head = head_of()
        await asyncio.gather(*(log.create(head, b'{"by":%d}' % n) for n in range(8)))
        assert len(await all_events(log, head.task_id)) == 1

    async def test_one_of_many_concurrent_creators_knows_that_it_has_created_the_task(self, log: EventLog) -> None:
        head = head_of()
        calls = [log.create_or_find(head, b'{"n":1}') for _ in range(8)]
        assert sorted(created for _, created in await asyncio.gather(*calls)) == [False] * 7 + [True]

    async def test_a_task_that_no_attempt_has_claimed_can_be_withdrawn(self, log: EventLog) -> None:
        task_id = await created(log)
        assert await log.withdraw(task_id)
        assert await log.withdraw(task_id), "a repeated call changes nothing"
        with pytest.raises(TaskUnknown):
            await log.head(task_id)
        with pytest.raises(TaskUnknown):
            await log.claim(task_id, "me", 10)
        assert await log.read(task_id) == []
        assert await log.orphaned(idle_s=0) == []
        assert (await log.list("alice")).heads == []
        _, again = await log.create_or_find(head_of(task_id=task_id, fingerprint="other"), b'{"n":2}')
        assert again
        assert await all_events(log, task_id) == [b'{"n":2}']

    async def test_a_task_that_an_attempt_has_claimed_cannot_be_withdrawn(self, log: EventLog, clock: Clock) -> None:
        task_id = await created(log)
        claimed = await log.claim(task_id, "me", 10)
        clock.now += 11
        assert not await log.withdraw(task_id)
        assert await log.head(task_id) == claimed
        assert await all_events(log, task_id) == [b'{"n":1}']
