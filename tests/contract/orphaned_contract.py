"""The part of a log's contract that the sweeper and every watch depend on: which tasks nobody runs."""

from __future__ import annotations

import msgspec
import pytest

from tailrace.errors import Fenced, TaskUnknown
from tailrace.events import State
from tailrace.log import EventLog
from tests.contract.log_tasks import Clock, created


class OrphanedContract:
    """Tests for a store; its test class provides the fixtures `log` and `clock`."""

    async def test_a_task_that_nobody_started_is_orphaned_after_the_idle_time(
        self, log: EventLog, clock: Clock
    ) -> None:
        task_id = await created(log)
        assert await log.unattended(idle_s=5) == []
        clock.now += 5
        assert [head.task_id for head in await log.unattended(idle_s=5)] == [task_id]

    async def test_a_task_is_orphaned_only_after_its_lease_expires(self, log: EventLog, clock: Clock) -> None:
        task_id = await created(log)
        head = await log.claim(task_id, "me", 10)
        await log.update_state(task_id, head.attempt, "TASK_STATE_WORKING", release=False)
        clock.now += 9
        assert await log.unattended(idle_s=0) == []
        await log.renew(task_id, head.attempt, 10)
        clock.now += 9
        assert await log.unattended(idle_s=0) == []
        clock.now += 2
        assert [(head.task_id, head.attempt) for head in await log.unattended(idle_s=0)] == [(task_id, 1)]

    async def test_a_working_task_with_a_released_lease_is_orphaned(self, log: EventLog) -> None:
        task_id = await created(log)
        head = await log.claim(task_id, "me", 10)
        await log.update_state(task_id, head.attempt, "TASK_STATE_WORKING", release=True)
        assert [head.task_id for head in await log.unattended(idle_s=0)] == [task_id]

    @pytest.mark.parametrize("state", ["TASK_STATE_INPUT_REQUIRED", "TASK_STATE_COMPLETED", "TASK_STATE_CANCELED"])
    async def test_a_waiting_or_finished_task_is_not_orphaned(self, log: EventLog, state: State) -> None:
        task_id = await created(log)
        head = await log.claim(task_id, "me", 10)
        await log.update_state(task_id, head.attempt, state, release=True)
        assert await log.unattended(idle_s=0) == []

    async def test_a_task_is_orphaned_if_the_attempt_of_a_reply_died(self, log: EventLog, clock: Clock) -> None:
        task_id = await created(log)
        waiting = await log.claim(task_id, "me", 10)
        await log.update_state(task_id, waiting.attempt, "TASK_STATE_INPUT_REQUIRED", release=True)
        await log.claim(task_id, "replier", 10)
        clock.now += 11
        assert [head.task_id for head in await log.unattended(idle_s=0)] == [task_id]

    async def test_a_waiting_task_with_a_requested_cancel_is_orphaned(self, log: EventLog) -> None:
        task_id = await created(log)
        waiting = await log.claim(task_id, "me", 10)
        await log.update_state(task_id, waiting.attempt, "TASK_STATE_INPUT_REQUIRED", release=True)
        await log.request_cancel(task_id)
        assert [(head.task_id, head.cancel_requested) for head in await log.unattended(idle_s=0)] == [(task_id, True)]

    # Tries

    async def test_every_claim_counts_as_a_try_until_an_attempt_begins(self, log: EventLog, clock: Clock) -> None:
        task_id = await created(log)
        assert (await log.head(task_id)).tries == 0
        for tries in (1, 2, 3):
            assert (await log.claim(task_id, "me", 10)).tries == tries
            clock.now += 11
        begun = await log.update_state(task_id, 3, "TASK_STATE_WORKING", release=False)
        assert (begun.tries, begun.attempt) == (0, 3)
        clock.now += 11
        assert (await log.claim(task_id, "me", 10)).tries == 1

    async def test_an_excused_attempt_does_not_count_as_a_try(self, log: EventLog, clock: Clock) -> None:
        task_id = await created(log)
        await log.claim(task_id, "me", 10)
        clock.now += 11
        held = await log.claim(task_id, "me", 10)
        await log.take_back_try(task_id)
        assert await log.head(task_id) == msgspec.structs.replace(held, tries=1)
        clock.now += 11
        assert (await log.claim(task_id, "me", 10)).tries == 2

    async def test_a_try_is_taken_back_although_another_process_has_claimed_the_task_since(
        self, log: EventLog, clock: Clock
    ) -> None:
        task_id = await created(log)
        await log.claim(task_id, "slow", 10)
        clock.now += 11
        await log.claim(task_id, "another", 10)
        await log.take_back_try(task_id)
        assert (await log.head(task_id)).tries == 1

    async def test_no_try_is_taken_back_of_an_attempt_that_has_started(self, log: EventLog) -> None:
        task_id = await created(log)
        await log.claim(task_id, "me", 10)
        begun = await log.update_state(task_id, 1, "TASK_STATE_WORKING", release=False)
        await log.take_back_try(task_id)
        assert await log.head(task_id) == begun
        await log.take_back_try("nobody")

    # Postponing and order

    async def test_a_postponed_task_is_not_found_before_it_is_due(self, log: EventLog, clock: Clock) -> None:
        head = await log.head(await created(log))
        due = log.now() + 60_000
        put_off = await log.put_off(head, due)
        assert (put_off.dispatches, put_off.due) == (1, due)
        assert await log.head(head.task_id) == put_off
        assert await log.put_off(head, due) == put_off, "the same dispatch counts once"
        clock.now += 59
        assert await log.unattended(idle_s=0) == []
        clock.now += 1
        assert await log.unattended(idle_s=0) == [put_off]
        assert (await log.put_off(put_off, due)).dispatches == 2

    async def test_an_attempt_that_begins_ends_the_postponement(self, log: EventLog) -> None:
        task_id = await created(log)
        await log.put_off(await log.head(task_id), log.now() + 60_000)
        assert (await log.claim(task_id, "me", 10)).dispatches == 1  # it is claimed, but has not begun
        await log.update_state(task_id, 1, "TASK_STATE_WORKING", release=True)
        (head,) = await log.unattended(idle_s=0)
        assert (head.task_id, head.dispatches, head.due, head.tries) == (task_id, 0, 0, 0)

    async def test_a_claimed_task_cannot_be_postponed(self, log: EventLog) -> None:
        head = await log.head(task_id := await created(log))
        await log.claim(task_id, "me", 10)
        with pytest.raises(Fenced):
            await log.put_off(head, log.now() + 60_000)
        with pytest.raises(TaskUnknown):
            await log.put_off(msgspec.structs.replace(head, task_id="nobody"), log.now())
        assert (await log.head(task_id)).due == 0

    async def test_tasks_never_postponed_come_first_then_the_longest_due(self, log: EventLog, clock: Clock) -> None:
        one, two, three, four = [await created(log) for _ in range(4)]
        for task_id, seconds in ((one, 3), (two, 1), (three, 2)):
            await log.put_off(await log.head(task_id), log.now() + 1_000 * seconds)
        clock.now += 2.5
        newest = await created(log)
        order = [head.task_id for head in await log.unattended(idle_s=0)]
        assert order == [four, newest, two, three]
        assert [head.task_id for head in await log.unattended(idle_s=0, limit=3)] == order[:3]

    async def test_every_orphaned_task_gets_its_turn(self, log: EventLog, clock: Clock) -> None:
        """Tasks that nobody can begin do not block the others."""
        tasks = {await created(log) for _ in range(9)}
        found: list[str] = []
        for _ in range(3):
            clock.now += 1
            for head in await log.unattended(idle_s=0, limit=3):
                found.append(head.task_id)
                await log.put_off(head, log.now() + 1)
        assert set(found) == tasks

    async def test_orphaned_tasks_are_found_oldest_first_up_to_the_limit(self, log: EventLog, clock: Clock) -> None:
        tasks = []
        for _ in range(7):
            tasks.append(await created(log))
            clock.now += 1
        assert [head.task_id for head in await log.unattended(idle_s=0, limit=3)] == tasks[:3]
        assert [head.task_id for head in await log.unattended(idle_s=0, limit=100)] == tasks
