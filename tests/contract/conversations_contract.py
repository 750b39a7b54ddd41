"""The contract of the records of conversations. Each store of the log runs it as a part of `LogContract`."""

from __future__ import annotations

import asyncio

import pytest

from tailrace.errors import RequestError
from tailrace.log import EventLog
from tailrace.log.conversations import Conversation
from tests.contract.log_tasks import TTL_S, Clock


def of(task: str, *, id: str = "c1", owner: str = "alice", **fields: str | dict[str, str]) -> Conversation:
    plain = {"agent": "a", "context_id": f"context of {id}", "title": f"words of {task}", **fields}
    return Conversation(id=id, owner=owner, task=task, **plain)  # type: ignore[arg-type]


async def claim(log: EventLog, task: str, **fields: str) -> Conversation:
    """Claim the conversation for the task, whoever has it."""
    wanted = of(task, **fields)  # type: ignore[arg-type]
    stored = await log.conversations.claim(wanted, await log.conversations.get(wanted.id))
    assert stored is not None
    assert stored.task == task
    return stored


class ConversationsContract:
    async def test_the_first_claim_makes_the_record(self, log: EventLog, clock: Clock) -> None:
        assert await log.conversations.get("c1") is None
        now = int(clock.now * 1000)
        stored = await log.conversations.claim(of("t1", checkpoints={"": "1", "sub": "2"}), None)
        assert stored == await log.conversations.get("c1")
        assert stored is not None
        assert (stored.owner, stored.agent, stored.context_id) == ("alice", "a", "context of c1")
        assert (stored.task, stored.title, stored.checkpoints) == ("t1", "words of t1", {"": "1", "sub": "2"})
        assert stored.created == stored.updated == now

    async def test_a_later_claim_keeps_the_title_and_the_time_of_creation(self, log: EventLog, clock: Clock) -> None:
        first = await claim(log, "t1")
        clock.now += 5
        stored = await log.conversations.claim(of("t2", checkpoints={"": "3"}, context_id="another"), first)
        assert stored is not None
        assert (stored.task, stored.title, stored.checkpoints) == ("t2", "words of t1", {"": "3"})
        assert (stored.context_id, stored.created, stored.updated) == ("another", first.created, first.created + 5000)

    async def test_a_repeated_claim_changes_nothing(self, log: EventLog) -> None:
        first = await log.conversations.claim(of("t1"), None)
        assert await log.conversations.claim(of("t1"), None) == first
        second = await log.conversations.claim(of("t2", checkpoints={"": "1"}), first)
        assert await log.conversations.claim(of("t2", checkpoints={"": "1"}), first) == second

    async def test_a_claim_after_a_faster_one_gets_that_one(self, log: EventLog) -> None:
        first = await claim(log, "t1")
        second = await claim(log, "t2")
        for seen in (None, first):
            assert await log.conversations.claim(of("t3"), seen) == second
        assert await log.conversations.get("c1") == second

    async def test_a_task_that_claims_again_does_not_hide_what_came_between(self, log: EventLog) -> None:
        first = await claim(log, "t1")
        await claim(log, "t2")
        again = await claim(log, "t1")
        assert await log.conversations.claim(of("t3"), first) == again

    @pytest.mark.parametrize("exists", [True, False])
    async def test_one_of_many_concurrent_claims_wins(self, log: EventLog, exists: bool) -> None:
        seen = await claim(log, "t0") if exists else None
        outcomes = await asyncio.gather(*(log.conversations.claim(of(f"t{n}"), seen) for n in range(1, 17)))
        stored = await log.conversations.get("c1")
        assert stored is not None
        assert stored.task != "t0"
        assert {outcome.task for outcome in outcomes if outcome is not None} == {stored.task}

    async def test_a_record_is_kept_for_twice_the_time_of_a_task(self, log: EventLog, clock: Clock) -> None:
        first = await claim(log, "t1")
        clock.now += 2 * TTL_S - 1
        assert await log.conversations.get("c1") == first
        clock.now += 2
        assert await log.conversations.get("c1") is None
        assert (await log.conversations.list("alice")).conversations == []
        assert await log.conversations.claim(of("t2"), first) is None
        assert await log.conversations.rename("c1", "new") is None
        assert (await claim(log, "t2")).title == "words of t2"

    async def test_a_renewal_keeps_the_record_of_its_task_only(self, log: EventLog, clock: Clock) -> None:
        await claim(log, "t1")
        clock.now += TTL_S
        await log.conversations.renew("c1", "t1")
        clock.now += 2 * TTL_S - 1
        await log.conversations.renew("c1", "another")
        assert await log.conversations.get("c1") is not None
        clock.now += 2
        await log.conversations.renew("c1", "t1")
        assert await log.conversations.get("c1") is None

    async def test_a_record_is_renewed_only_for_an_old_task(self, log: EventLog, clock: Clock) -> None:
        first = await claim(log, "t1")
        clock.now += TTL_S / 2 - 1
        await log.conversations.keep("c1", "t1", first.created)
        assert await log.conversations.get("c1") == first
        clock.now += 2
        await log.conversations.keep("c1", "t1", first.created)
        renewed = await log.conversations.get("c1")
        assert renewed is not None
        assert renewed.ttl == first.ttl + TTL_S / 2 + 1

    async def test_a_title_stays_through_claims(self, log: EventLog) -> None:
        first = await claim(log, "t1")
        renamed = await log.conversations.rename("c1", "My title")
        assert renamed is not None
        assert (renamed.title, renamed.task) == ("My title", "t1")
        stored = await log.conversations.claim(of("t2"), first)
        assert stored is not None
        assert (stored.title, stored.task) == ("My title", "t2")
        assert await log.conversations.rename("nobody", "x") is None

    async def test_a_deleted_record_is_gone_and_can_be_made_again(self, log: EventLog) -> None:
        first = await claim(log, "t1")
        assert await log.conversations.delete(first)
        assert await log.conversations.get("c1") is None
        assert (await log.conversations.list("alice")).conversations == []
        assert await log.conversations.delete(first)
        assert await log.conversations.claim(of("t2"), first) is None
        again = await claim(log, "t3")
        assert (again.title, again.checkpoints) == ("words of t3", {})

    async def test_a_conversation_that_is_being_deleted_is_in_no_list_and_cannot_be_claimed(
        self, log: EventLog
    ) -> None:
        first = await claim(log, "t1")
        second = await claim(log, "t2")
        assert not await log.conversations.begin_delete(first, ["t1"])
        assert await log.conversations.begin_delete(second, ["t1", "t2"])
        marked = await log.conversations.get("c1")
        assert marked is not None
        assert (marked.deleting, marked.title, marked.checkpoints) == (["t1", "t2"], "", {})
        assert (await log.conversations.list("alice")).conversations == []
        assert await log.conversations.claim(of("t3"), second) == marked
        assert await log.conversations.claim(of("t3"), None) == marked
        assert not await log.conversations.delete(second)
        assert await log.conversations.delete(marked)
        assert await log.conversations.get("c1") is None
        assert (await claim(log, "t4")).deleting is None

    async def test_deletions_that_were_interrupted_are_found_oldest_first(self, log: EventLog, clock: Clock) -> None:
        for id in ("c1", "c2", "c3", "c4"):
            clock.now += 1
            await claim(log, f"first of {id}", id=id)
        for id in ("c3", "c1", "c2"):
            clock.now += 1
            seen = await log.conversations.get(id)
            assert seen is not None
            assert await log.conversations.begin_delete(seen, [f"first of {id}"])

        async def interrupted(idle_s: float, limit: int = 10) -> list[str]:
            return [each.id for each in await log.conversations.being_deleted(idle_s=idle_s, limit=limit)]

        assert await interrupted(3) == []
        clock.now += 2
        assert await interrupted(3) == ["c3", "c1"]
        assert await interrupted(0, limit=2) == ["c3", "c1"]
        (oldest, *_) = await log.conversations.being_deleted(idle_s=3, limit=1)
        assert (oldest.owner, oldest.agent, oldest.context_id) == ("alice", "a", "context of c3")
        assert oldest.deleting == ["first of c3"]
        assert await log.conversations.begin_delete(oldest, ["first of c3"]), "it is taken up"
        assert await interrupted(3) == ["c1"]
        taken_up = await log.conversations.get("c3")
        assert taken_up is not None
        assert await log.conversations.delete(taken_up)
        assert await interrupted(0) == ["c1", "c2"]
        assert [each.id for each in (await log.conversations.list("alice")).conversations] == ["c4"]
        assert await log.unattended(idle_s=0) == []

    async def test_a_record_that_was_claimed_since_is_not_deleted(self, log: EventLog) -> None:
        first = await claim(log, "t1")
        second = await claim(log, "t2")
        assert not await log.conversations.delete(first)
        assert await log.conversations.get("c1") == second

    async def test_an_owner_lists_its_conversations_by_their_latest_claim(self, log: EventLog, clock: Clock) -> None:
        for id in ("c1", "c2", "c3"):
            clock.now += 1
            await claim(log, f"first of {id}", id=id)
            await claim(log, "hers", id=f"bobs {id}", owner="bob")
        clock.now += 1
        await claim(log, "second of c1", id="c1")
        page = await log.conversations.list("alice")
        assert [(each.id, each.task) for each in page.conversations] == [
            ("c1", "second of c1"), ("c3", "first of c3"), ("c2", "first of c2"),
        ]  # fmt: skip
        newest = page.conversations[0]
        assert (newest.title, newest.agent, newest.context_id) == ("words of first of c1", "a", "context of c1")
        assert newest.updated == newest.created + 3000
        assert page.next_token == ""
        assert (await log.list("alice")).heads == []

    async def test_pages_hold_each_conversation_once(self, log: EventLog, clock: Clock) -> None:
        for n in range(7):
            clock.now += n % 2  # some are claimed in the same millisecond
            await claim(log, "t", id=f"c{n}")
        seen: list[str] = []
        token = ""
        while True:
            page = await log.conversations.list("alice", limit=3, token=token)
            assert len(page.conversations) <= 3
            seen += [each.id for each in page.conversations]
            token = page.next_token
            if not token:
                break
        assert sorted(seen) == [f"c{n}" for n in range(7)]

    @pytest.mark.parametrize("token", ["rubbish", "12/x", "'; DROP TABLE conversations; --"])
    async def test_a_forged_page_token_of_conversations_is_refused(self, log: EventLog, token: str) -> None:
        with pytest.raises(RequestError, match="page token"):
            await log.conversations.list("alice", token=token)
