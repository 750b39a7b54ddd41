"""A task's first attempt, in another process than the task's creator: what it reads, and when."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.memory import InMemorySaver

from tailrace.agent.checkpoints.attempt_saver import AttemptSaver
from tailrace.agent.graph import AgentGraph
from tailrace.agent.new_task import claim_new
from tailrace.agent.recovery.takeover import take_over
from tailrace.agent.threads import create, start
from tailrace.config import Settings
from tailrace.errors import LeaseHeld, LogUnavailable
from tailrace.log import Batch, Head
from tailrace.log.memory import MemoryLog
from tests.support.events import message_of

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
        async with asyncio.timeout(30):
            await self.was_read.wait()


def agent(thread: str) -> AgentGraph:
    return cast("AgentGraph", SimpleNamespace(thread=thread))


@pytest.mark.parametrize("thread", ["context", "task"])
async def test_a_new_task_is_read_while_it_is_claimed(thread: str) -> None:
    """One after the other, they would cost a request to DynamoDB more before the graph starts."""
    log = WatchedLog()
    head = (await create(log, HEAD, MESSAGE, new=True, exclusive=thread == "context")).head

    async def claim() -> Head:
        await log.until_read()
        return await log.claim("t", "me", 10)

    claimed, history, place = await claim_new(log, agent(thread), Settings(), head, claim())
    assert claimed.attempt == 1
    assert history is not None
    assert (history.messages, history.last, history.attempt) == ([MESSAGE], 1, 0)
    assert place == (await start(log, head, "c", MESSAGE) if thread == "context" else None)


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

    claimed, history, _ = await claim_new(log, agent("context"), Settings(), head, claim())
    begun = await take_over(log, InMemorySaver(), claimed, "worker lost", None, history)
    assert begun is not None
    assert (claimed.attempt, begun.fence.seq, begun.history.attempt) == (2, 3, 1)


async def test_a_claim_that_fails_is_the_claimers_to_handle_whatever_could_be_read() -> None:
    log = MemoryLog()
    head = (await create(log, HEAD, MESSAGE, new=True)).head
    await log.claim("t", "faster", 10)
    with pytest.raises(LeaseHeld):
        await claim_new(log, agent("context"), Settings(), head, log.claim("t", "me", 10))


async def test_what_cannot_be_read_while_the_task_is_claimed_is_read_by_the_takeover() -> None:
    class Log(MemoryLog):
        async def read(self, *arguments: Any, **options: Any) -> list[Batch]:
            raise LogUnavailable("It is away.")

    log = Log()
    head = (await create(log, HEAD, MESSAGE, new=True)).head
    claimed, history, place = await claim_new(log, agent("context"), Settings(), head, log.claim("t", "me", 10))
    assert (claimed.attempt, history, place) == (1, None, None)


async def test_a_claimed_task_does_not_wait_for_a_slow_read_until_its_lease_is_over() -> None:
    class Log(MemoryLog):
        async def read(self, *arguments: Any, **options: Any) -> list[Batch]:
            return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]

    log, settings = Log(), Settings(lease_s=10, renew_s=0.1)
    head = (await create(log, HEAD, MESSAGE, new=True)).head
    async with asyncio.timeout(30):
        claimed, history, place = await claim_new(log, agent("context"), settings, head, log.claim("t", "me", 10))
    assert (claimed.attempt, history, place) == (1, None, None)


async def test_a_first_attempt_asks_for_no_checkpoint_that_only_it_could_have_saved() -> None:
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
    again = await AttemptSaver(inner, 2, {}, logged, task="this").aget_tuple(config)
    assert again is not None
    assert len(asked) == 2
