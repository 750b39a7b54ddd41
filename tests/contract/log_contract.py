"""The contract of a log. A store's test class provides the fixture `log`, an empty log with the clock `clock`."""

from __future__ import annotations

import asyncio
import base64
import random
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tailrace.errors import EventTooLarge, Fenced, LeaseHeld, RequestError, TaskFinished, TaskUnknown
from tailrace.log import MAX_ITEM_BYTES, Batch, EventLog, Head
from tailrace.log.head import NewOf, NotNew
from tests.contract.conversations_contract import ConversationsContract
from tests.contract.creation_contract import CreationContract
from tests.contract.log_tasks import TTL_S, Clock, all_events, created, events, head_of
from tests.contract.orphaned_contract import OrphanedContract
from tests.contract.sleep_contract import SleepContract
from tests.contract.summaries_contract import SummariesContract


class LogContract(CreationContract, OrphanedContract, SleepContract, ConversationsContract, SummariesContract):
    @pytest.fixture
    def clock(self) -> Clock:
        return Clock()

    async def test_every_call_refuses_an_unknown_task(self, log: EventLog) -> None:
        for call in (
            log.head("nobody"),
            log.claim("nobody", "me", 10),
            log.renew("nobody", 1, 10),
            log.update_state("nobody", 1, "TASK_STATE_WORKING", release=False),
            log.request_cancel("nobody"),
        ):
            with pytest.raises(TaskUnknown, match="nobody"):
                await call
        assert await log.read("nobody") == []

    # Appending and reading

    async def test_events_are_read_back_unchanged(self, log: EventLog) -> None:
        task_id = await created(log)
        odd = ['{"text":"é \\n \\u0000 \U0001f30a"}'.encode(), b"{}", b'{"x":"' + b"y" * 5000 + b'"}']
        await log.append(task_id, Batch(2, 1, odd))
        (batch,) = await log.read(task_id, 1)
        assert (batch.seq, batch.attempt, list(batch.events)) == (2, 1, odd)

    @pytest.mark.parametrize("cursor", range(12))
    async def test_every_cursor_gets_every_later_event_once(self, log: EventLog, cursor: int) -> None:
        task_id = await created(log)
        for first, count in ((2, 5), (7, 1), (8, 4)):
            await log.append(task_id, Batch(first, 1, events(first, count)))
        assert await all_events(log, task_id, cursor) == events(cursor + 1, 11 - cursor)

    async def test_a_tail_gets_the_later_events_from_every_cursor_and_nothing_at_the_end(self, log: EventLog) -> None:
        task_id = await created(log)
        for first, count in ((2, 5), (7, 1), (8, 4)):
            await log.append(task_id, Batch(first, 1, events(first, count)))
        for cursor in range(11):
            batches = await log.tail(task_id, cursor)
            assert [each for batch in batches for each in batch.events] == events(cursor + 1, 11 - cursor)
            assert batches[0].seq == cursor + 1
        assert await log.tail(task_id, 11) == []
        await log.append(task_id, Batch(12, 1, events(12, 2)))
        assert [batch.last for batch in await log.tail(task_id, 11)] == [13]

    async def test_a_cursor_at_or_past_the_newest_event_gets_nothing(self, log: EventLog) -> None:
        task_id = await created(log)
        assert await log.read(task_id, 1) == []
        assert await log.read(task_id, 99) == []

    # All examples share one log, each with its own task; every store runs the test.
    @settings(
        max_examples=25,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
    )
    @given(sizes=st.lists(st.integers(1, 40), max_size=12), cursor=st.integers(0, 60), limit=st.integers(1, 400))
    async def test_any_batches_are_dense_in_any_pages(
        self, log: EventLog, sizes: Sequence[int], cursor: int, limit: int
    ) -> None:
        task_id, seq = await created(log), 2
        for size in sizes:
            await log.append(task_id, Batch(seq, 1, events(seq, size)))
            seq += size
        assert await all_events(log, task_id, cursor, limit) == events(cursor + 1, max(0, seq - 1 - cursor))

    async def test_a_repeated_append_is_stored_once(self, log: EventLog) -> None:
        task_id, batch = await created(log), Batch(2, 1, events(2, 3))
        await log.append(task_id, batch)
        await log.append(task_id, batch)
        assert await all_events(log, task_id) == events(1, 4)

    async def test_an_append_after_another_attempts_is_fenced(self, log: EventLog) -> None:
        task_id = await created(log)
        await log.append(task_id, Batch(2, 2, [b'{"fence":2}']))
        with pytest.raises(Fenced, match=task_id):
            await log.append(task_id, Batch(2, 1, events(2, 1)))
        assert await all_events(log, task_id) == [b'{"n":1}', b'{"fence":2}']

    @pytest.mark.parametrize("batch", [Batch(2, 2, [b'{"n":2}']), Batch(2, 1, [b'{"n":"other"}'])])
    async def test_an_append_that_differs_is_fenced(self, log: EventLog, batch: Batch) -> None:
        task_id = await created(log)
        await log.append(task_id, Batch(2, 1, events(2, 1)))
        with pytest.raises(Fenced):
            await log.append(task_id, batch)
        assert await all_events(log, task_id) == events(1, 2)

    async def test_concurrent_writers_leave_one_dense_log(self, log: EventLog) -> None:
        """32 attempts write the same seqs concurrently: each seq has one winner, and losers stop."""
        task_id = await created(log)

        async def attempt(number: int) -> int:
            for seq in range(2, 12):
                try:
                    await log.append(task_id, Batch(seq, number, [b'{"seq":%d,"by":%d}' % (seq, number)]))
                except Fenced:
                    return seq - 2
            return 10

        written = await asyncio.gather(*(attempt(number) for number in range(1, 33)))
        assert len(await all_events(log, task_id)) == 1 + sum(written) == 11

    async def test_a_batch_with_an_oversized_event_writes_nothing(self, log: EventLog) -> None:
        task_id = await created(log)
        huge = b'{"x":"' + _noise(2 * MAX_ITEM_BYTES) + b'"}'
        with pytest.raises(EventTooLarge, match=f"{MAX_ITEM_BYTES:,}"):
            await log.append(task_id, Batch(2, 1, [b'{"n":2}', huge]))
        with pytest.raises(EventTooLarge):
            await log.create(head_of(task_id="huge"), huge)
        assert await all_events(log, task_id) == [b'{"n":1}']
        with pytest.raises(TaskUnknown):
            await log.head("huge")

    async def test_an_event_just_under_the_limit_is_accepted(self, log: EventLog) -> None:
        task_id = await created(log)
        large = b'{"x":"' + _noise(MAX_ITEM_BYTES) + b'"}'
        await log.append(task_id, Batch(2, 1, [large]))
        assert await all_events(log, task_id, 1) == [large]

    async def test_pages_of_a_long_log_add_up(self, log: EventLog) -> None:
        task_id, large = await created(log), _noise(120_000)
        for seq in range(2, 42):
            await log.append(task_id, Batch(seq, 1, [b'{"seq":%d,"x":"' % seq + large + b'"}']))
        pages = []
        cursor = 0
        while page := await log.read(task_id, cursor, limit=500_000):
            pages.append(page)
            cursor = page[-1].last
        assert cursor == 41
        assert len(pages) > 2

    async def test_the_newest_event_and_its_seq_are_known(self, log: EventLog, clock: Clock) -> None:
        task_id = await created(log)
        assert (await log.last(task_id), await log.newest(task_id)) == (1, *events(1, 1))
        await log.append(task_id, Batch(2, 1, events(2, 5)))
        assert (await log.last(task_id), await log.newest(task_id)) == (6, *events(6, 1))
        assert (await log.last("nobody"), await log.newest("nobody")) == (0, None)
        assert (await log.last(""), await log.newest("")) == (0, None)
        clock.now += TTL_S + 1
        assert (await log.last(task_id), await log.newest(task_id)) == (0, None)

    async def test_tasks_have_separate_events(self, log: EventLog) -> None:
        one, two = await created(log), await created(log)
        await log.append(one, Batch(2, 1, events(2, 3)))
        assert await all_events(log, two) == events(1, 1)

    # The lease

    async def test_a_claim_takes_the_lease_and_counts_the_attempt(self, log: EventLog, clock: Clock) -> None:
        task_id = await created(log)
        head = await log.claim(task_id, "runner-1", 10)
        assert (head.attempt, head.lease_owner, head.lease_until) == (
            1,
            "runner-1",
            int(clock.now * 1000) + 10_000,
        )

    async def test_a_new_task_can_be_claimed_for_its_owner_at_its_agent_only(self, log: EventLog) -> None:
        task_id = await created(log, owner="alice", agent="a")
        for only in (NewOf("bob", "a"), NewOf("alice", "b")):
            with pytest.raises(NotNew) as other:
                await log.claim(task_id, "runner", 10, only)
            assert (other.value.head.owner, other.value.head.attempt) == ("alice", 0)
        head = await log.claim(task_id, "runner", 0, NewOf("alice", "a"))
        assert (head.attempt, head.owner, head.context_id) == (1, "alice", "c")
        with pytest.raises(NotNew):
            await log.claim(task_id, "runner", 10, NewOf("alice", "a"))
        with pytest.raises(TaskUnknown):
            await log.claim("nobody", "runner", 10, NewOf("alice", "a"))
        assert (await log.claim(task_id, "runner", 10)).attempt == 2

    async def test_a_held_lease_cannot_be_claimed(self, log: EventLog, clock: Clock) -> None:
        task_id = await created(log)
        await log.claim(task_id, "runner-1", 10)
        clock.now += 9.5
        with pytest.raises(LeaseHeld, match="runner-1"):
            await log.claim(task_id, "runner-2", 10)

    async def test_one_of_many_concurrent_claims_wins(self, log: EventLog) -> None:
        task_id = await created(log)
        outcomes = await asyncio.gather(
            *(log.claim(task_id, f"runner-{n}", 10) for n in range(16)), return_exceptions=True
        )
        assert sum(isinstance(outcome, Head) for outcome in outcomes) == 1
        assert sum(isinstance(outcome, LeaseHeld) for outcome in outcomes) == 15

    async def test_an_expired_lease_can_be_claimed(self, log: EventLog, clock: Clock) -> None:
        task_id = await created(log)
        await log.claim(task_id, "runner-1", 10)
        clock.now += 10.5
        assert (await log.claim(task_id, "runner-2", 10)).attempt == 2
        with pytest.raises(Fenced):
            await log.renew(task_id, 1, 10)
        with pytest.raises(Fenced):
            await log.update_state(task_id, 1, "TASK_STATE_COMPLETED", release=True)

    async def test_a_renewed_lease_stays_held(self, log: EventLog, clock: Clock) -> None:
        task_id = await created(log)
        await log.claim(task_id, "runner-1", 10)
        clock.now += 8
        await log.renew(task_id, 1, 10)
        clock.now += 8
        with pytest.raises(LeaseHeld):
            await log.claim(task_id, "runner-2", 10)

    async def test_a_lease_can_be_renewed_on_another_event_loop(self, log: EventLog, clock: Clock) -> None:
        task_id = await created(log)
        await log.claim(task_id, "runner-1", 10)
        clock.now += 8
        reads = asyncio.gather(*(log.head(task_id) for _ in range(20)))
        await asyncio.to_thread(lambda: asyncio.run(log.renew(task_id, 1, 10)))
        assert {head.attempt for head in await reads} == {1}
        clock.now += 8
        with pytest.raises(LeaseHeld):
            await log.claim(task_id, "runner-2", 10)

    async def test_a_released_lease_can_be_claimed_and_the_state_is_kept(self, log: EventLog) -> None:
        task_id = await created(log)
        await log.claim(task_id, "runner-1", 10)
        await log.update_state(task_id, 1, "TASK_STATE_INPUT_REQUIRED", release=True)
        assert (await log.head(task_id)).state == "TASK_STATE_INPUT_REQUIRED"
        assert (await log.claim(task_id, "runner-2", 10)).attempt == 2

    async def test_a_finished_task_can_be_neither_claimed_nor_cancelled(self, log: EventLog) -> None:
        task_id = await created(log)
        await log.claim(task_id, "runner-1", 10)
        await log.update_state(task_id, 1, "TASK_STATE_COMPLETED", release=True)
        with pytest.raises(TaskFinished, match="TASK_STATE_COMPLETED"):
            await log.claim(task_id, "runner-2", 10)
        with pytest.raises(TaskFinished, match="TASK_STATE_COMPLETED"):
            await log.request_cancel(task_id)

    async def test_a_renewal_after_the_release_holds_nothing(self, log: EventLog) -> None:
        task_id = await created(log)
        await log.claim(task_id, "runner-1", 10)
        await log.update_state(task_id, 1, "TASK_STATE_WORKING", release=True)
        await log.renew(task_id, 1, 10)
        assert (await log.claim(task_id, "runner-2", 10)).attempt == 2

    async def test_a_renewal_reports_a_requested_cancel(self, log: EventLog) -> None:
        task_id = await created(log)
        await log.claim(task_id, "runner-1", 10)
        assert not (await log.renew(task_id, 1, 10)).cancel_requested
        await log.request_cancel(task_id)
        assert (await log.renew(task_id, 1, 10)).cancel_requested

    # Listing

    async def test_an_owner_lists_its_own_tasks_newest_first(self, log: EventLog, clock: Clock) -> None:
        mine = []
        for _ in range(3):
            clock.now += 1
            mine.append(await created(log, owner="alice"))
            await created(log, owner="bob")
        page = await log.list("alice")
        assert [head.task_id for head in page.heads] == mine[::-1]
        assert page.next_token == ""
        assert (await log.list("carol")).heads == []

    async def test_pages_of_a_list_hold_each_task_once(self, log: EventLog, clock: Clock) -> None:
        mine = []
        for n in range(7):
            clock.now += n % 2  # some are created in the same millisecond
            mine.append(await created(log))
        seen, token = [], ""
        while True:
            page = await log.list("alice", limit=3, token=token)
            assert len(page.heads) <= 3
            seen += [head.task_id for head in page.heads]
            token = page.next_token
            if not token:
                break
        assert sorted(seen) == sorted(mine)

    @pytest.mark.parametrize("token", ["rubbish", "12/x", "000000000000001", "'; DROP TABLE heads; --"])
    async def test_a_forged_page_token_is_refused(self, log: EventLog, token: str) -> None:
        with pytest.raises(RequestError, match="page token"):
            await log.list("alice", token=token)

    # Time to live

    async def test_an_expired_task_is_unknown(self, log: EventLog, clock: Clock) -> None:
        task_id = await created(log)
        clock.now += TTL_S + 1
        for call in (
            log.head(task_id),
            log.claim(task_id, "me", 10),
            log.renew(task_id, 0, 10),
            log.update_state(task_id, 0, "TASK_STATE_FAILED", release=True),
            log.request_cancel(task_id),
        ):
            with pytest.raises(TaskUnknown):
                await call
        assert await log.read(task_id) == []
        assert (await log.list("alice")).heads == []

    async def test_a_deleted_task_is_unknown_then_without_events_and_can_be_created_again(self, log: EventLog) -> None:
        task_id, kept = await created(log), await created(log)
        await log.append(task_id, Batch(2, 0, events(2, 3)))
        for _ in range(2):
            await log.delete_head(task_id)
            with pytest.raises(TaskUnknown):
                await log.head(task_id)
        assert [head.task_id for head in (await log.list("alice")).heads] == [kept]
        assert await all_events(log, task_id) == events(1, 4)
        for _ in range(2):
            await log.delete_events(task_id)
            assert (await log.read(task_id), await log.last(task_id)) == ([], 0)
        assert await all_events(log, kept) == events(1, 1)
        await created(log, task_id=task_id)
        assert await all_events(log, task_id) == events(1, 1)

    async def test_a_list_skips_expired_tasks(self, log: EventLog, clock: Clock) -> None:
        oldest = await created(log)
        for _ in range(4):
            clock.now += 1
            await created(log)
        clock.now += TTL_S - 10
        await log.update_state(oldest, 0, "TASK_STATE_FAILED", release=True)
        clock.now += 20
        page = await log.list("alice", limit=1)
        assert ([head.task_id for head in page.heads], page.next_token) == ([oldest], "")

    async def test_expired_events_are_a_hole_at_the_start(self, log: EventLog, clock: Clock) -> None:
        task_id = await created(log)
        clock.now += TTL_S - 10
        await log.append(task_id, Batch(2, 1, events(2, 2)))
        clock.now += 20
        (batch,) = await log.read(task_id)
        assert batch.seq == 2

    async def test_an_expired_task_can_be_created_again(self, log: EventLog, clock: Clock) -> None:
        """Leftovers of the earlier task with that id are not visible and do not interfere."""
        task_id = await created(log, task_id="again")
        await log.claim(task_id, "runner-1", 10)
        for seq in range(2, 9):
            await log.append(task_id, Batch(seq, 1, [b'{"old":1}']))
        clock.now += TTL_S + 1
        await created(log, task_id="again", fingerprint="another")
        assert await all_events(log, task_id) == events(1, 1)
        assert await log.last(task_id) == 1
        assert (await log.claim(task_id, "runner-2", 10)).attempt == 1
        await log.append(task_id, Batch(2, 1, events(2, 5)))
        for cursor in range(7):
            assert await all_events(log, task_id, cursor) == events(cursor + 1, 6 - cursor)
        assert await log.last(task_id) == 6


def _noise(size: int) -> bytes:
    """Return `size` reproducible characters that compress to three quarters."""
    return base64.urlsafe_b64encode(random.Random(size).randbytes(size))[:size]
