"""A task may go on before the attempt that has given it back has ended, and then nobody has to find it later."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import interrupt

from tailrace import write
from tailrace.agent.recovery.summary import SummaryKeeper
from tailrace.log.memory import MemoryLog
from tests.support.conditions import eventually
from tests.support.events import message, state_of
from tests.support.in_process import agent

# An attempt works for 10 ms, less than one step; the rest is time to stop.
SHORT: dict[str, Any] = {"attempt_s": 60.01, "handoff_s": 60.0}


class SlowEnd:
    """Lets the first attempt of a process end only when `may_end` is set."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.may_end = asyncio.Event()
        self.ended = 0
        close = SummaryKeeper.close

        async def closed(keeper: SummaryKeeper) -> None:
            await close(keeper)
            if not self.ended:
                await self.may_end.wait()
            self.ended += 1

        monkeypatch.setattr(SummaryKeeper, "close", closed)


async def test_a_dispatch_that_comes_while_an_attempt_ends_starts_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    log, end = MemoryLog(), SlowEnd(monkeypatch)
    async with agent(two_steps(), log=log, **SHORT) as sut:
        task_id = (await sut.begin("go"))["id"]
        await eventually(lambda: is_handed_on(log, task_id))
        visit = asyncio.create_task(sut.result("GetTask", {"id": task_id}, prefer="return=minimal"))
        await eventually(lambda: is_claimed(log, task_id))
        end.may_end.set()
        await visit
        await eventually(lambda: end.ended == 2)
        # The second attempt hands on the end of the graph, and a reader goes on with that.
        await sut.until(task_id, lambda frame: state_of(frame.result) == "TASK_STATE_COMPLETED")


@pytest.mark.parametrize("starts", ["a visit", "a reply"])
async def test_a_process_that_stops_gives_back_what_waits_for_an_attempt_that_ends(
    monkeypatch: pytest.MonkeyPatch, starts: str
) -> None:
    """Another process goes on at once: it need not wait until a lease expires that nobody works under."""
    log, _ = MemoryLog(), SlowEnd(monkeypatch)

    def ask(_: MessagesState) -> None:
        write(interrupt("Which?"))

    asking = StateGraph(MessagesState).add_node("ask", ask).add_edge(START, "ask")
    graph, settings = (two_steps(), SHORT) if starts == "a visit" else (asking, {})
    async with agent(graph, log=log, **settings) as sut:
        task_id = (await sut.begin("go"))["id"]
        if starts == "a visit":
            await eventually(lambda: is_handed_on(log, task_id))
            request = asyncio.create_task(sut.call("GetTask", {"id": task_id}))
        else:
            await sut.until(task_id, lambda frame: state_of(frame.result) == "TASK_STATE_INPUT_REQUIRED")
            request = asyncio.create_task(sut.call("SendMessage", {"message": message("this", taskId=task_id)}))
        await eventually(lambda: is_claimed(log, task_id))
    await asyncio.wait([request])
    head = await log.head(task_id)
    assert (head.attempt, head.state, head.lease_owner) == (2, "TASK_STATE_WORKING", None)
    async with agent(graph, log=log) as sut:
        await sut.result("GetTask", {"id": task_id})
        assert (await log.head(task_id)).attempt == 3


async def test_a_reply_that_comes_while_an_attempt_ends_is_worked_on_by_one_that_is_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The process stops what it knows of, and gives its tasks back."""
    log, end, working = MemoryLog(), SlowEnd(monkeypatch), asyncio.Event()

    async def ask(_: MessagesState) -> None:
        write(interrupt("Which?"))
        working.set()
        await asyncio.Event().wait()

    async with agent(StateGraph(MessagesState).add_node("ask", ask).add_edge(START, "ask"), log=log) as sut:
        task_id = (await sut.begin("go"))["id"]
        await sut.until(task_id, lambda frame: state_of(frame.result) == "TASK_STATE_INPUT_REQUIRED")
        asked = {"message": message("this", taskId=task_id), "configuration": {"returnImmediately": True}}
        reply = asyncio.create_task(sut.result("SendMessage", asked))
        # The reply waits for the attempt.
        await eventually(lambda: reply.done() or is_claimed(log, task_id))
        end.may_end.set()
        await reply
        await working.wait()
    assert (await log.head(task_id)).lease_owner is None


def two_steps() -> StateGraph[MessagesState]:
    """A graph of two steps, each of which takes longer than an attempt."""

    async def step(_: MessagesState) -> None:
        await asyncio.sleep(0.02)
        write("done ")

    return StateGraph(MessagesState).add_sequence([("first", step), ("second", step)]).add_edge(START, "first")


async def is_handed_on(log: MemoryLog, task_id: str) -> bool:
    head = await log.head(task_id)
    return head.attempt == 1 and head.lease_owner is None


async def is_claimed(log: MemoryLog, task_id: str) -> bool:
    return (await log.head(task_id)).attempt == 2
