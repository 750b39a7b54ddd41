"""A function whose timeout is too short for its agent makes steps all the same, or says what it lacks."""

from __future__ import annotations

import asyncio

import pytest
from langgraph.graph import START, MessagesState, StateGraph
from starlette.types import Receive, Scope, Send

from tailrace import AgentApp, write
from tailrace.agent import deadline
from tailrace.agent.deadline import Deadline
from tailrace.agent.recovery import takeover
from tailrace.log.memory import MemoryLog
from tests.support.events import said, state_of
from tests.support.in_process import agent


def two_steps() -> StateGraph[MessagesState]:
    async def step(_: MessagesState) -> None:
        write("done ")

    return StateGraph(MessagesState).add_sequence([("first", step), ("second", step)]).add_edge(START, "first")


class Context:
    """What Lambda's runtime tells a function of its invocation."""

    def __init__(self, left_ms: int) -> None:
        self._left_ms = left_ms

    def get_remaining_time_in_millis(self) -> int:
        return self._left_ms


async def test_a_function_with_a_shorter_timeout_than_the_hand_off_takes_ends_its_task(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It used to hand each attempt on before the first step, again and again."""
    call = AgentApp.__call__

    async def invoked(app: AgentApp, scope: Scope, receive: Receive, send: Send) -> None:
        await call(app, {**scope, "aws.context": Context(20_000)}, receive, send)

    monkeypatch.setattr(AgentApp, "__call__", invoked)
    log = MemoryLog()
    async with agent(two_steps(), log=log, handoff_s=30.0) as sut:
        task_id = (await sut.begin("go"))["id"]
        *_, last = await sut.finished(task_id)
    assert (state_of(last), (await log.head(task_id)).attempt) == ("TASK_STATE_COMPLETED", 1)


async def test_attempts_that_never_have_time_for_a_step_fail_the_task_with_what_is_right(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(takeover, "_MAX_WITHOUT_A_STEP", 3)
    log, now = MemoryLog(), asyncio.get_running_loop().time()
    deadline.of_process.set(Deadline(now - 1, now + 600))
    async with agent(two_steps(), log=log) as sut:
        task_id = (await sut.begin("go"))["id"]
        *_, last = await sut.finished(task_id)
    assert state_of(last) == "TASK_STATE_FAILED"
    assert "3 attempts in a row had to hand the run on before a step could begin" in said(last)
    assert "a longer timeout of the function" in said(last)
