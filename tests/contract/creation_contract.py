"""The part of a log's contract about new tasks: one of many creators creates a task, and it enters its conversation."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from tailrace.errors import ConversationChanged, TaskConflict, TaskUnknown
from tailrace.log import EventLog
from tailrace.log.conversations import Conversation, Entry
from tests.contract.conversations_contract import of
from tests.contract.log_tasks import TTL_S, Clock, all_events, created, head_of


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

    async def test_a_task_enters_its_conversation_as_it_is_created(self, log: EventLog, clock: Clock) -> None:
        head, new = await log.create_or_find(head_of(task_id="t1"), b"{}", entry("t1", None, checkpoints={"": "1"}))
        first = await log.conversations.get("c1")
        assert new
        assert first is not None
        assert first.claimed_by("t1")
        assert (first.owner, first.agent, first.context_id, first.title) == (
            "alice", "a", "context of c1", "words of t1",
        )  # fmt: skip
        assert (first.checkpoints, first.created, first.updated) == ({"": "1"}, head.created, head.created)
        clock.now += 5
        await log.create_or_find(head_of(task_id="t2"), b"{}", entry("t2", first, checkpoints={"": "2"}))
        second = await log.conversations.get("c1")
        assert second is not None
        assert second.claimed_by("t2")
        assert (second.title, second.checkpoints) == ("words of t1", {"": "2"})
        assert (second.created, second.updated) == (first.created, first.created + 5000)
        assert (await log.conversations.list("alice")).conversations[0].task == "t2"

    async def test_no_task_is_created_whose_entry_is_refused(self, log: EventLog) -> None:
        first = await enter(log, "t1")
        second = await enter(log, "t2")
        for seen in (None, first):
            with pytest.raises(ConversationChanged):
                await log.create_or_find(head_of(task_id="t3"), b'{"n":3}', entry("t3", seen))
        with pytest.raises(TaskUnknown):
            await log.head("t3")
        assert await log.read("t3") == []
        assert {head.task_id for head in await log.unattended(idle_s=0)} == {"t1", "t2"}
        assert {head.task_id for head in (await log.list("alice")).heads} == {"t1", "t2"}
        assert await log.conversations.get("c1") == second
        await log.create_or_find(head_of(task_id="t3"), b'{"n":3}', entry("t3", second))
        assert await all_events(log, "t3") == [b'{"n":3}']

    async def test_a_repeated_creation_enters_nothing(self, log: EventLog) -> None:
        """Not even if the record is as it was seen."""
        head = (await log.create_or_find(head_of(task_id="t1"), b"{}"))[0]
        assert await log.create_or_find(head_of(task_id="t1"), b"{}", entry("t1", None)) == (head, False)
        with pytest.raises(TaskConflict):
            await log.create_or_find(head_of(task_id="t1", fingerprint="other"), b"{}", entry("t1", None))
        assert await log.conversations.get("c1") is None
        newest = await enter(log, "t2")
        assert await log.create_or_find(head_of(task_id="t1"), b"{}", entry("t1", newest)) == (head, False)
        assert await log.create_or_find(head_of(task_id="t2"), b"{}", entry("t2", None)) == (
            await log.head("t2"),
            False,
        )
        assert await log.conversations.get("c1") == newest

    @pytest.mark.parametrize("exists", [True, False])
    @pytest.mark.parametrize("exclusive", [True, False])
    async def test_of_many_tasks_that_enter_at_once_one_is_created(
        self, log: EventLog, exists: bool, exclusive: bool
    ) -> None:
        seen = await enter(log, "t0", exclusive=exclusive) if exists else None
        outcomes = await asyncio.gather(
            *(
                log.create_or_find(head_of(task_id=f"t{n}"), b"{}", entry(f"t{n}", seen, exclusive=exclusive))
                for n in range(1, 13)
            ),
            return_exceptions=True,
        )
        (created,) = [outcome[0].task_id for outcome in outcomes if isinstance(outcome, tuple)]
        assert sum(isinstance(outcome, ConversationChanged) for outcome in outcomes) == 11
        record = await log.conversations.get("c1")
        assert record is not None
        assert (record.task, record.claimed_by(created)) == (created, exclusive)
        assert {head.task_id for head in (await log.list("alice")).heads} == {created, *(["t0"] if exists else [])}

    async def test_many_creators_of_a_task_get_the_task_and_one_of_them_has_created_it(self, log: EventLog) -> None:
        calls = [log.create_or_find(head_of(task_id="t1"), b'{"n":1}', entry("t1", None)) for _ in range(12)]
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert [each for each in outcomes if not isinstance(each, tuple)] == []
        assert sorted(each[1] for each in outcomes if isinstance(each, tuple)) == [False] * 11 + [True]
        assert await all_events(log, "t1") == [b'{"n":1}']
        record = await log.conversations.get("c1")
        assert record is not None
        assert (record.task, record.version) == ("t1", 1)

    async def test_an_expired_task_and_its_conversation_are_created_anew(self, log: EventLog, clock: Clock) -> None:
        await enter(log, "t1")
        clock.now += 2 * TTL_S + 1
        assert (await log.create_or_find(head_of(task_id="t1"), b'{"n":2}', entry("t1", None)))[1]
        assert await all_events(log, "t1") == [b'{"n":2}']
        record = await log.conversations.get("c1")
        assert record is not None
        assert (record.version, record.created) == (1, int(clock.now * 1000))

    async def test_a_task_that_is_only_noted_does_not_have_the_conversation(self, log: EventLog, clock: Clock) -> None:
        first = await enter(log, "t1", exclusive=False)
        assert not first.claimed_by("t1")
        assert (first.task, first.title, first.created) == ("t1", "words of t1", int(clock.now * 1000))
        assert [each.task for each in (await log.conversations.list("alice")).conversations] == ["t1"]
        assert await log.conversations.rename("c1", "My title")
        clock.now += 5
        second = await enter(log, "t2", exclusive=False)
        assert not second.claimed_by("t2")
        assert (second.task, second.title) == ("t2", "My title")
        assert (second.created, second.updated) == (first.created, first.created + 5000)
        assert not await log.conversations.begin_delete(first, ["t1"])
        assert (await enter(log, "t3")).claimed_by("t3")

    async def test_a_task_that_is_only_noted_changes_no_claim_and_keeps_its_record(
        self, log: EventLog, clock: Clock
    ) -> None:
        first = await enter(log, "t1", checkpoints={"": "1"})
        clock.now += 5
        noted = await enter(log, "t2", exclusive=False, checkpoints={"": "2"})
        assert noted == msgspec.structs.replace(first, ttl=first.ttl + 5)
        assert (await log.head("t2")).attempt == 0

    @pytest.mark.parametrize("exclusive", [True, False])
    async def test_no_task_is_created_in_a_conversation_that_is_being_deleted(
        self, log: EventLog, exclusive: bool
    ) -> None:
        first = await enter(log, "t1", exclusive=exclusive)
        assert await log.conversations.begin_delete(first, ["t1"])
        with pytest.raises(ConversationChanged):
            await log.create_or_find(head_of(task_id="t2"), b"{}", entry("t2", first, exclusive=exclusive))
        marked = await log.conversations.get("c1")
        assert marked is not None
        assert (marked.task, marked.deleting) == ("t1", ["t1"])
        assert await log.conversations.delete(marked)
        again = await enter(log, "t2", exclusive=exclusive)
        assert (again.title, again.deleting) == ("words of t2", None)


def entry(task: str, seen: Conversation | None, *, exclusive: bool = True, **fields: Any) -> Entry:
    return Entry(record=of(task, **fields), seen=seen, exclusive=exclusive)


async def enter(log: EventLog, task: str, *, exclusive: bool = True, **fields: Any) -> Conversation:
    """Create the task in the conversation, whoever has it; return the record as it is then."""
    seen = await log.conversations.get("c1")
    assert (await log.create_or_find(head_of(task_id=task), b"{}", entry(task, seen, exclusive=exclusive, **fields)))[1]
    record = await log.conversations.get("c1")
    assert record is not None
    return record
