"""A task's first attempt, in another process than the task's creator: what it reads, and when."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.memory import InMemorySaver

from tailrace.agent.checkpoints.attempt_saver import AttemptSaver
from tailrace.agent.graph import AgentGraph
from tailrace.agent.new_task import claim_new, start_of
from tailrace.agent.recovery.takeover import take_over
from tailrace.agent.threads import create, start
from tailrace.config import Settings
from tailrace.errors import LeaseHeld, LogUnavailable
from tailrace.log import Batch, Head
from tailrace.log.memory import MemoryLog
from tests.sample_agents.hello_world import hello_world
from tests.support.events import message_of, state_of
from tests.support.in_process import CARD
from tests.support.in_process import agent as served

pytestmark = pytest.mark.asyncio

HEAD = Head(task_id="t", owner="o", context_id="c", agent="a")
MESSAGE = message_of({"text": "go"}, message_id="go")


class WatchedLog(MemoryLog):
    """A log that says when its events are read."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.was_read = asyncio.Event()

    async def read(self, *arguments: Any, **options: Any) -> list[Batch]:
        batches = await super().read(*arguments, **options)
        self.was_read.set()
        return batches

    async def until_read(self) -> None:
        async with asyncio.timeout(60):
            await self.was_read.wait()


def agent(thread: str) -> AgentGraph:
    return cast("AgentGraph", SimpleNamespace(thread=thread))


async def test_a_new_task_is_read_while_it_is_claimed() -> None:
    """One after the other, they would cost a request to DynamoDB more before the graph starts."""
    log = WatchedLog()
    head = (await create(log, HEAD, MESSAGE, new=True)).head

    async def claim() -> Head:
        await log.until_read()
        return await log.claim("t", "me", 10)

    claimed, history = await claim_new(log, Settings(), head, claim())
    assert claimed.attempt == 1
    assert history is not None
    assert (history.messages, history.last, history.attempt) == ([MESSAGE], 1, 0)


@pytest.mark.parametrize("exclusive", [True, False])
async def test_a_tasks_head_says_where_it_starts_if_its_creator_has_claimed_its_conversation(exclusive: bool) -> None:
    """Otherwise the first attempt claims it."""
    log, asked = MemoryLog(), 0
    head = (await create(log, HEAD, MESSAGE, new=True, exclusive=exclusive)).head
    get = log.conversations.get

    async def counted(conversation_id: str) -> Any:
        nonlocal asked
        asked += 1
        return await get(conversation_id)

    log.conversations.get = counted  # type: ignore[method-assign]
    place = await start_of(log, agent("context"), Settings(), head, MESSAGE)
    assert (asked > 0) != exclusive
    assert place == await start(log, head, "c", MESSAGE)
    assert (await start_of(log, agent("task"), Settings(), head, MESSAGE)).thread == head.thread


class HeadlessLog(MemoryLog):
    """A log that counts who reads a task's head before it is claimed."""

    reads = 0

    async def head(self, task_id: str) -> Head:
        head = await super().head(task_id)
        self.reads += head.attempt == 0
        return head


@pytest.mark.parametrize("method", ["SubscribeToTask", "GetTask"])
async def test_a_task_whose_first_event_is_known_is_claimed_without_being_read(method: str) -> None:
    """One after the other, that would cost a request more: who subscribes to a task so has just created it."""
    log = HeadlessLog()
    head = msgspec.structs.replace(HEAD, agent=CARD.name, owner="local")
    await create(log, head, MESSAGE, new=True)
    async with served(hello_world(), log=log) as there:
        if method == "GetTask":
            await there.result(method, {"id": "t"}, last_event_id="1")
        ended = (await there.frames("SubscribeToTask", {"id": "t"}, cursor=1))[-1]
        assert state_of(ended.result) == "TASK_STATE_COMPLETED"
        assert await log.newest("t") is not None
    assert (log.reads, (await log.head("t")).attempt) == (0, 1)


@pytest.mark.parametrize("whose", [{"owner": "another"}, {"agent": "another"}])
async def test_anothers_new_task_is_neither_claimed_nor_known(whose: dict[str, str]) -> None:
    log = MemoryLog()
    head = msgspec.structs.replace(HEAD, **{"agent": CARD.name, "owner": "local", **whose})
    await create(log, head, MESSAGE, new=True)
    async with served(hello_world(), log=log) as there:
        for task_id in ("t", "unknown"):
            assert (await there.error("GetTask", {"id": task_id}, last_event_id="1"))["code"] == -32001
    assert (await log.head("t")).attempt == 0
    assert await log.last("t") == 1


async def test_a_lost_task_whose_first_event_alone_is_known_is_taken_over() -> None:
    log = MemoryLog()
    head = msgspec.structs.replace(HEAD, agent=CARD.name, owner="local")
    await create(log, head, MESSAGE, new=True)
    await log.claim("t", "lost", 0)
    async with served(hello_world(), log=log) as there:
        ended = (await there.frames("SubscribeToTask", {"id": "t"}, cursor=1))[-1]
    assert state_of(ended.result) == "TASK_STATE_COMPLETED"
    assert (await log.head("t")).attempt == 2


async def test_what_was_read_of_a_task_that_somebody_else_begins_meanwhile_is_not_believed() -> None:
    now = 1000.0
    log = WatchedLog(clock=lambda: now)
    head = (await create(log, HEAD, MESSAGE, new=True)).head

    async def claim() -> Head:
        nonlocal now
        await log.until_read()
        faster = await take_over(log, InMemorySaver(), await log.claim("t", "faster", 10), "worker lost", None)
        assert faster is not None
        now += 11
        return await log.claim("t", "me", 10)

    claimed, history = await claim_new(log, Settings(), head, claim())
    begun = await take_over(log, InMemorySaver(), claimed, "worker lost", None, history)
    assert begun is not None
    assert (claimed.attempt, begun.fence.seq, begun.history.attempt) == (2, 3, 1)


async def test_a_claim_that_fails_is_the_claimers_to_handle_whatever_could_be_read() -> None:
    log = MemoryLog()
    head = (await create(log, HEAD, MESSAGE, new=True)).head
    await log.claim("t", "faster", 10)
    with pytest.raises(LeaseHeld):
        await claim_new(log, Settings(), head, log.claim("t", "me", 10))


async def test_what_cannot_be_read_while_the_task_is_claimed_is_read_by_the_takeover() -> None:
    class Log(MemoryLog):
        async def read(self, *arguments: Any, **options: Any) -> list[Batch]:
            raise LogUnavailable("It is away.")

    log = Log()
    head = (await create(log, HEAD, MESSAGE, new=True)).head
    claimed, history = await claim_new(log, Settings(), head, log.claim("t", "me", 10))
    assert (claimed.attempt, history) == (1, None)


async def test_a_claimed_task_does_not_wait_for_a_slow_read_until_its_lease_is_over() -> None:
    class Log(MemoryLog):
        async def read(self, *arguments: Any, **options: Any) -> list[Batch]:
            return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]

    log, settings = Log(), Settings(lease_s=10, renew_s=0.1)
    head = (await create(log, HEAD, MESSAGE, new=True)).head
    async with asyncio.timeout(60):
        claimed, history = await claim_new(log, settings, head, log.claim("t", "me", 10))
    assert (claimed.attempt, history) == (1, None)


async def test_an_attempt_asks_for_no_checkpoint_but_its_own_and_those_that_are_pinned() -> None:
    """A conversation's thread has those of its other tasks, which do not count."""
    config: Any = {"configurable": {"thread_id": "t", "checkpoint_ns": ""}}

    async def logged(namespace: str, node: str | None, ran: bool) -> int:
        return 1

    class Saver(InMemorySaver):
        async def aget_tuple(self, config: Any) -> Any:
            asked.append(config["configurable"].get("checkpoint_ns"))
            return await super().aget_tuple(config)

    asked: list[str] = []
    inner = Saver()
    await AttemptSaver(inner, 1, {}, logged, task="another").aput(config, empty_checkpoint(), {"step": 1}, {})
    first = AttemptSaver(inner, 1, {}, logged, task="this")
    assert (await first.aget_tuple(config), asked) == (None, [])
    saved = await first.aput(config, empty_checkpoint(), {"step": 2}, {})
    found = await first.aget_tuple(config)
    assert found is not None
    assert found.config["configurable"]["checkpoint_id"] == saved["configurable"]["checkpoint_id"]
    subgraph: Any = {"configurable": {"thread_id": "t", "checkpoint_ns": "work:1"}}
    assert await AttemptSaver(inner, 2, {}, logged, task="this").aget_tuple(subgraph) is None
    assert len(asked) == 1
