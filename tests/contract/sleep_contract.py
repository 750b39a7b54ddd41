"""The part of a log's contract that sleep depends on (`tailrace.agent.sleep`)."""

from __future__ import annotations

import pytest

from tailrace.errors import Fenced, TaskUnknown
from tailrace.log import EventLog, Head
from tests.contract.log_tasks import Clock, created


async def _claimed(log: EventLog) -> Head:
    head = await log.claim(await created(log), "me", 10)
    return await log.update_state(head.task_id, head.attempt, "TASK_STATE_WORKING", release=False)


class SleepContract:
    """Tests for a store; its test class provides the fixtures `log` and `clock`."""

    async def test_a_task_sleeps_until_its_time_and_is_orphaned_then(self, log: EventLog, clock: Clock) -> None:
        head = await _claimed(log)
        slept = await log.sleep(head.task_id, head.attempt, log.now() + 5000, "a b")
        assert slept == await log.head(head.task_id)
        assert (slept.state, slept.lease_owner, slept.awaits) == ("TASK_STATE_WORKING", None, "a b")
        assert (slept.asleep(log.now()), slept.orphaned(log.now())) == (True, False)
        clock.now += 6
        assert (slept.asleep(log.now()), slept.orphaned(log.now())) == (False, True)

    async def test_a_sleeping_task_is_unattended(self, log: EventLog) -> None:
        head = await _claimed(log)
        assert await log.unattended(idle_s=0) == []
        await log.sleep(head.task_id, head.attempt, log.now() + 5000, "a")
        assert [each.task_id for each in await log.unattended(idle_s=0)] == [head.task_id]

    async def test_a_wake_ends_the_sleep_and_may_come_twice(self, log: EventLog) -> None:
        head = await _claimed(log)
        await log.sleep(head.task_id, head.attempt, log.now() + 5000, "a")
        for _ in range(2):
            woken = await log.wake(head.task_id, head.attempt)
            assert (woken.asleep(log.now()), woken.orphaned(log.now())) == (False, True)
        again = await log.claim(head.task_id, "me", 10)
        assert again.attempt == head.attempt + 1
        with pytest.raises(Fenced):
            await log.wake(head.task_id, head.attempt)
        assert (await log.head(head.task_id)).lease_owner == "me"

    async def test_an_attempt_that_was_woken_before_does_not_sleep_but_the_next_one_does(self, log: EventLog) -> None:
        head = await _claimed(log)
        assert (await log.wake(head.task_id, head.attempt)).lease_owner == "me"
        for _ in range(2):  # as after a lost response
            head = await log.sleep(head.task_id, head.attempt, log.now() + 5000, "a")
            assert (head.asleep(log.now()), head.orphaned(log.now()), head.lease_owner) == (False, True, None)
        head = await log.claim(head.task_id, "me", 10)
        assert (await log.sleep(head.task_id, head.attempt, log.now() + 5000, "a")).asleep(log.now())

    async def test_a_fenced_attempt_cannot_put_the_task_to_sleep(self, log: EventLog, clock: Clock) -> None:
        head = await _claimed(log)
        clock.now += 11
        newer = await log.claim(head.task_id, "other", 10)
        with pytest.raises(Fenced):
            await log.sleep(head.task_id, head.attempt, log.now() + 5000, "a")
        assert (await log.head(head.task_id)) == newer

    async def test_a_task_that_is_claimed_or_to_be_cancelled_does_not_sleep(self, log: EventLog, clock: Clock) -> None:
        head = await _claimed(log)
        await log.sleep(head.task_id, head.attempt, log.now() + 50_000, "a")
        assert (await log.request_cancel(head.task_id)).orphaned(log.now())
        head = await log.claim(head.task_id, "me", 10)
        clock.now += 11  # The claimer dies.
        assert (await log.head(head.task_id)).orphaned(log.now())

    async def test_the_runner_learns_whom_to_wake_when_it_renews_its_lease(self, log: EventLog, clock: Clock) -> None:
        head = await _claimed(log)
        assert head.wakes == ""
        assert (await log.request_wake(head.task_id, "the sleeper")).wakes == "the sleeper"
        assert (await log.renew(head.task_id, head.attempt, 10)).wakes == "the sleeper"
        ended = await log.update_state(head.task_id, head.attempt, "TASK_STATE_COMPLETED", release=True)
        assert ended.wakes == "the sleeper"
        assert (await log.request_wake(head.task_id, "another")).wakes == "another"
        with pytest.raises(TaskUnknown):
            await log.request_wake("unknown", "the sleeper")
        clock.now += 2000
        with pytest.raises(TaskUnknown):
            await log.request_wake(head.task_id, "the sleeper")
