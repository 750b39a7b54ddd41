"""The contract of the summaries of tasks' events. Each store of the log runs it as a part of `LogContract`."""

from __future__ import annotations

import asyncio

import pytest
from langgraph.checkpoint.memory import InMemorySaver

from tailrace.agent.recovery.summary import EVERY, SummaryKeeper
from tailrace.agent.recovery.takeover import take_over
from tailrace.errors import Fenced, TaskUnknown
from tailrace.events import status_update, submitted
from tailrace.log import Batch, EventLog
from tailrace.log.summaries import Summary
from tailrace.log.summaries.base import MAX_SUMMARY_BYTES
from tests.contract.log_tasks import TTL_S, Clock, all_events, created, events, head_of
from tests.support.events import message_of


class SummariesContract:
    async def test_a_new_task_has_no_summary(self, log: EventLog) -> None:
        task_id = await created(log)
        assert await log.summaries.get(task_id) is None
        assert (await log.head(task_id)).summary == 0

    async def test_the_newest_summary_takes_the_place_of_the_one_before_and_the_head_says_how_far_it_goes(
        self, log: EventLog
    ) -> None:
        task_id = await created(log)
        attempt = (await log.claim(task_id, "runner", 10)).attempt
        await log.append(task_id, Batch(2, attempt, events(2, 8)))
        for summary in (Summary(4, b"\x00first\n"), Summary(9, b"s" * MAX_SUMMARY_BYTES)):
            await log.summaries.keep(task_id, attempt, summary)
            assert await log.summaries.get(task_id) == summary
            assert (await log.head(task_id)).summary == summary.last
        renewed = await log.renew(task_id, attempt, 10)
        assert (renewed.summary, renewed.lease_owner) == (9, "runner")
        assert (await log.last(task_id), await all_events(log, task_id)) == (9, events(1, 9))

    async def test_a_fenced_attempt_keeps_no_summary(self, log: EventLog, clock: Clock) -> None:
        task_id = await created(log)
        await log.claim(task_id, "slow", 10)
        clock.now += 11
        await log.claim(task_id, "newer", 10)
        await log.summaries.keep(task_id, 2, Summary(1, b"newer"))
        with pytest.raises(Fenced):
            await log.summaries.keep(task_id, 1, Summary(1, b"slow"))
        assert await log.summaries.get(task_id) == Summary(1, b"newer")

    async def test_a_summary_is_deleted_with_its_task_and_none_is_kept_after_that(self, log: EventLog) -> None:
        task_id, kept = await created(log), await created(log)
        for each in (task_id, kept):
            await log.summaries.keep(each, 0, Summary(1, b"summary"))
        await log.delete_head(task_id)
        with pytest.raises(TaskUnknown):
            await log.summaries.keep(task_id, 0, Summary(1, b"late"))
        await log.delete_events(task_id)
        assert await log.summaries.get(task_id) is None
        assert await log.summaries.get(kept) == Summary(1, b"summary")
        await created(log, task_id=task_id)
        assert (await log.head(task_id)).summary == 0

    async def test_a_summary_expires(self, log: EventLog, clock: Clock) -> None:
        task_id = await created(log, task_id="again")
        await log.summaries.keep(task_id, 0, Summary(1, b"summary"))
        clock.now += TTL_S + 1
        assert await log.summaries.get(task_id) is None
        with pytest.raises(TaskUnknown):
            await log.summaries.keep(task_id, 0, Summary(1, b"late"))
        await created(log, task_id="again", fingerprint="another")
        assert (await log.head(task_id)).summary == 0

    async def test_a_takeover_after_ten_thousand_events_reads_what_came_since_the_last_summary(
        self, log: EventLog, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        head = head_of()
        await log.create(head, submitted(head.source, message_of({"text": "go"})))
        lost = await log.claim(head.task_id, "lost", 0)
        keeper = SummaryKeeper(log, lost)
        for first in range(2, 10_002, 400):
            texts = [status_update(lost.source, seq, "progress", text="on") for seq in range(first, first + 400)]
            await log.append(head.task_id, Batch(first, 1, texts))
            keeper.published(first + 399)
            await asyncio.gather(*(task for task in asyncio.all_tasks() if task.get_name().startswith("summary")))
        await keeper.close()
        claimed, seen = await log.claim(head.task_id, "me", 10), list[int]()
        read = log.read

        async def watched(task_id: str, cursor: int = 0, limit: int = 1_000_000) -> list[Batch]:
            batches = await read(task_id, cursor, limit)
            seen.extend(seq for batch in batches for seq in range(batch.seq, batch.last + 1))
            return batches

        monkeypatch.setattr(log, "read", watched)
        takeover = await take_over(log, InMemorySaver(), claimed, "worker lost", None)
        assert takeover is not None
        assert takeover.fence.seq == 10_002
        assert set(seen) == set(range(claimed.summary, 10_002)), "and the event with which the summary ends"
        assert claimed.summary > 10_001 - EVERY - 400
