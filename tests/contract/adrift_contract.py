"""The part of a log's contract that the sweeper and every watch rest on: which tasks nobody runs."""

from __future__ import annotations

import pytest
from log_tasks import Clock, created

from tailrace.events import State
from tailrace.log import EventLog


class AdriftContract:
    """Tests for a store that gives the fixtures `log` and `clock`."""

    async def test_a_task_nobody_started_is_adrift_once_it_is_old_enough(self, log: EventLog, clock: Clock) -> None:
        task_id = await created(log)
        assert await log.adrift(idle_s=5) == []
        clock.now += 5
        assert [head.task_id for head in await log.adrift(idle_s=5)] == [task_id]

    async def test_a_task_is_adrift_when_its_lease_runs_out_and_not_before(self, log: EventLog, clock: Clock) -> None:
        task_id = await created(log)
        head = await log.claim(task_id, "me", 10)
        await log.settle(task_id, head.attempt, "TASK_STATE_WORKING", release=False)
        clock.now += 9
        assert await log.adrift(idle_s=0) == []
        await log.renew(task_id, head.attempt, 10)
        clock.now += 9
        assert await log.adrift(idle_s=0) == []
        clock.now += 2
        assert [(head.task_id, head.attempt) for head in await log.adrift(idle_s=0)] == [(task_id, 1)]

    async def test_a_task_that_was_let_go_of_while_it_works_is_adrift(self, log: EventLog) -> None:
        task_id = await created(log)
        head = await log.claim(task_id, "me", 10)
        await log.settle(task_id, head.attempt, "TASK_STATE_WORKING", release=True)
        assert [head.task_id for head in await log.adrift(idle_s=0)] == [task_id]

    @pytest.mark.parametrize("state", ["TASK_STATE_INPUT_REQUIRED", "TASK_STATE_COMPLETED", "TASK_STATE_CANCELED"])
    async def test_a_task_that_waits_or_is_finished_is_not_adrift(self, log: EventLog, state: State) -> None:
        task_id = await created(log)
        head = await log.claim(task_id, "me", 10)
        await log.settle(task_id, head.attempt, state, release=True)
        assert await log.adrift(idle_s=0) == []

    async def test_a_reply_whose_attempt_died_at_once_is_adrift(self, log: EventLog, clock: Clock) -> None:
        task_id = await created(log)
        asked = await log.claim(task_id, "me", 10)
        await log.settle(task_id, asked.attempt, "TASK_STATE_INPUT_REQUIRED", release=True)
        await log.claim(task_id, "replier", 10)
        clock.now += 11
        assert [head.task_id for head in await log.adrift(idle_s=0)] == [task_id]

    async def test_of_many_tasks_adrift_the_oldest_come_first_and_no_more_than_asked(
        self, log: EventLog, clock: Clock
    ) -> None:
        tasks = []
        for _ in range(7):
            tasks.append(await created(log))
            clock.now += 1
        assert [head.task_id for head in await log.adrift(idle_s=0, limit=3)] == tasks[:3]
        assert [head.task_id for head in await log.adrift(idle_s=0, limit=100)] == tasks
