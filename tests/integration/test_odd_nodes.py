"""Whatever a node raises or asks, only its own task fails, with a reason."""

from __future__ import annotations

import asyncio
import inspect
import sys
from collections.abc import Callable
from typing import Any

import pytest
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import interrupt

from tailrace import write
from tests.support.events import artifact_text, message, said, state_of
from tests.support.in_process import agent

pytestmark = pytest.mark.asyncio


class NotAnException(BaseException):
    pass


async def exits(_: Any) -> dict[str, Any]:
    sys.exit(3)


def exits_in_a_thread(_: Any) -> dict[str, Any]:
    sys.exit("no configuration")


async def exits_below(_: Any) -> dict[str, Any]:
    await asyncio.gather(exits(_))
    return {}


async def is_interrupted(_: Any) -> dict[str, Any]:
    raise KeyboardInterrupt


async def raises_a_base_exception(_: Any) -> dict[str, Any]:
    raise NotAnException("odd")


async def raises_a_group(_: Any) -> dict[str, Any]:
    raise ExceptionGroup("two of them", [ValueError("a"), KeyError("b")])


async def runs_out_of_memory(_: Any) -> dict[str, Any]:
    raise MemoryError


@pytest.mark.parametrize(
    ("node", "words"),
    [
        (exits, "The agent failed in node: SystemExit: 3"),
        (exits_in_a_thread, "The agent failed in node: SystemExit: no configuration"),
        (exits_below, "The agent failed in node: SystemExit: 3"),
        (is_interrupted, "The agent failed in node: KeyboardInterrupt"),
        (raises_a_base_exception, "The agent failed in node: NotAnException: odd"),
        (raises_a_group, "The agent failed in node: ExceptionGroup: two of them (ValueError: a; KeyError: 'b')"),
        (runs_out_of_memory, "The agent failed in node: MemoryError"),
    ],
)
async def test_a_node_that_exits_the_process_fails_only_its_task(node: Callable[[Any], Any], words: str) -> None:
    may_end = asyncio.Event()

    async def waits_or(state: MessagesState) -> dict[str, Any]:
        if state["messages"][-1].content == "wait":
            await may_end.wait()
            write("still here")
            return {}
        outcome = node(state) if node is not exits_in_a_thread else await asyncio.to_thread(node, state)
        result: dict[str, Any] = await outcome
        return result

    builder = StateGraph(MessagesState).add_node("node", waits_or).add_edge(START, "node")
    async with agent(builder) as served:
        polling = {"configuration": {"returnImmediately": True}}
        waiting = (await served.result("SendMessage", {"message": message("wait"), **polling}))["task"]
        failed = (await served.result("SendMessage", {"message": message("go", messageId="m-2")}))["task"]
        may_end.set()
        events = await served.finished(waiting["id"])
    assert failed["status"]["state"] == "TASK_STATE_FAILED"
    assert failed["status"]["message"]["parts"] == [{"text": words}]
    assert state_of(events[-1]) == "TASK_STATE_COMPLETED"


async def test_a_nodes_asyncio_task_reports_its_state_correctly() -> None:
    """anyio inspects the coroutine of a task before it cancels the task."""

    async def looks(_: MessagesState) -> dict[str, Any]:
        task: Any = asyncio.current_task()
        write(inspect.getcoroutinestate(task.get_coro()))
        return {}

    builder = StateGraph(MessagesState).add_node("looks", looks).add_edge(START, "looks")
    async with agent(builder) as served:
        task = (await served.result("SendMessage", {"message": message("go")}))["task"]
        events = await served.events(task["id"])
    assert state_of(events[-1]) == "TASK_STATE_COMPLETED", said(events[-1])
    assert artifact_text(events) == inspect.CORO_RUNNING


@pytest.mark.parametrize("levels", [65, 900])
async def test_a_question_that_is_nested_too_deep_fails_the_task_with_a_reason(levels: int) -> None:
    async def asks(_: MessagesState) -> dict[str, Any]:
        value: list[Any] = []
        for _level in range(levels - 1):
            value = [value]
        interrupt(value)
        return {}

    builder = StateGraph(MessagesState).add_node("asks", asks).add_edge(START, "asks")
    async with agent(builder) as served:
        task = (await served.result("SendMessage", {"message": message("go")}))["task"]
        events = await served.events(task["id"])
    assert state_of(events[-1]) == "TASK_STATE_FAILED"
    reason = said(events[-1])
    assert reason.startswith("The value of interrupt() ")
    assert reason.endswith(" is nested deeper than 64 levels; make it flatter, or a file.")
