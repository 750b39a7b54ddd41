"""A first attempt's fence is written while the graph saves its first checkpoints, and its nodes wait for both."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph

from tailrace import progress
from tailrace.agent.recovery.takeover import take_over
from tailrace.agent.threads import create
from tailrace.errors import Fenced, LogUnavailable
from tailrace.events import decode
from tailrace.log import Batch, Head
from tailrace.log.memory import MemoryLog
from tests.support.conditions import eventually
from tests.support.events import message, message_of, state_of
from tests.support.in_process import CARD, agent

pytestmark = pytest.mark.asyncio

SEND = {"message": message("go"), "configuration": {"returnImmediately": True}}


class SlowLog(MemoryLog):
    """A log in which the fence of a first attempt waits for `free`. It knows the kinds of each put's events.

    `refused` says whether it has refused a put.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.free = asyncio.Event()
        self.refused = False
        self.puts: list[list[str | None]] = []

    async def append(self, task_id: str, batch: Batch) -> None:
        if (batch.seq, batch.attempt) == (2, 1):
            await self.free.wait()
        try:
            await super().append(task_id, batch)
        except Fenced:
            self.refused = True
            raise
        self.puts.append([decode(event).metadata.kind for event in batch.events])


class CountingSaver(InMemorySaver):
    """A saver that counts the checkpoints it has saved."""

    saved = 0

    async def aput(self, *arguments: Any) -> Any:
        saved = await super().aput(*arguments)
        self.saved += 1
        return saved


@pytest.fixture
def saver(monkeypatch: pytest.MonkeyPatch) -> CountingSaver:
    """The saver of every agent of this test."""
    saver = CountingSaver()
    monkeypatch.setattr("langgraph.checkpoint.memory.InMemorySaver", lambda **_: saver)
    return saver


def graph_that_notes(begun: list[str]) -> Any:
    """A graph whose node notes that it has begun, and reports progress at once."""

    async def work(state: MessagesState) -> None:
        begun.append("work")
        progress("at work")

    return StateGraph(MessagesState).add_node(work).add_edge(START, "work")


async def test_the_first_checkpoints_do_not_wait_for_the_fence_but_every_node_does(saver: CountingSaver) -> None:
    """One after the other, they would cost a commit more before the graph starts."""
    log, begun = SlowLog(), list[str]()
    async with agent(graph_that_notes(begun), log=log) as there:
        task_id = (await there.result("SendMessage", SEND))["task"]["id"]
        await eventually(lambda: saver.saved == 2)
        assert (begun, await log.last(task_id)) == ([], 1)
        log.free.set()
        ended = (await there.frames("SubscribeToTask", {"id": task_id}, cursor=1))[-1]
    assert state_of(ended.result) == "TASK_STATE_COMPLETED"
    assert begun == ["work"]


async def test_what_a_node_begins_with_is_put_together_with_its_start() -> None:
    log = SlowLog()
    log.free.set()

    async def work(state: MessagesState) -> None:
        progress("at work")
        await eventually(lambda: len(log.puts) >= 2)

    async with agent(StateGraph(MessagesState).add_node(work).add_edge(START, "work"), log=log) as there:
        await there.result("SendMessage", {"message": message("go")})
    assert log.puts[:2] == [["state"], ["node_start", "progress"]]


async def test_a_first_attempt_whose_lease_was_lost_before_its_fence_runs_no_node(saver: CountingSaver) -> None:
    """What it has saved meanwhile is not where the next attempt starts."""
    now, begun = 1000.0, list[str]()
    log = SlowLog(clock=lambda: now)
    head = Head(task_id="t", owner="local", context_id="c", agent=CARD.name)
    head = (await create(log, head, message_of({"text": "go"}), new=True)).head
    async with agent(graph_that_notes(begun), log=log) as slow:
        await slow.result("GetTask", {"id": "t"}, last_event_id="1")
        await eventually(lambda: saver.saved == 2)
        now += 11
        newer = await take_over(log, saver, await log.claim("t", "faster", 10), "worker lost", None)
        log.free.set()
        await eventually(lambda: log.refused)
    await log.update_state("t", 2, "TASK_STATE_WORKING", release=True)
    async with agent(graph_that_notes(begun), log=log) as next_one:
        ended = (await next_one.frames("SubscribeToTask", {"id": "t"}, cursor=1))[-1]
    assert newer is not None
    assert not newer.plan.pins
    assert state_of(ended.result) == "TASK_STATE_COMPLETED"
    assert begun == ["work"]
    assert (await log.head("t")).attempt == 3


async def test_a_fence_is_tried_again_while_the_log_is_away() -> None:
    class AwayLog(MemoryLog):
        tries = 0

        async def append(self, task_id: str, batch: Batch) -> None:
            self.tries += batch.seq == 2
            if batch.seq == 2 and self.tries < 3:
                raise LogUnavailable("It is away.")
            await super().append(task_id, batch)

    log = AwayLog()
    async with agent(graph_that_notes([]), log=log) as there:
        ended = await there.result("SendMessage", {"message": message("go")})
    assert (state_of(ended), log.tries) == ("TASK_STATE_COMPLETED", 3)
