"""A question or a hand-off in a task of an `asyncio.TaskGroup` is none of the failures that the group makes of it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
from langchain_core.messages import AIMessage, ToolCall
from langchain_core.tools import tool
from langgraph.errors import GraphDrained
from langgraph.func import task
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import RetryPolicy, interrupt

from tailrace import write
from tests.support.events import artifact_text, message, of_kind, said, state_of
from tests.support.graphs import Events
from tests.support.in_process import agent

pytestmark = pytest.mark.asyncio


@task
async def calls(name: str) -> str:
    write(f"{name}? ")
    return str(interrupt(f"{name}?"))


async def asks(name: str) -> str:
    return str(interrupt(f"{name}?"))


async def asks_in_a_task(name: str) -> str:
    return await calls(name)


async def grouped(*work: Coroutine[Any, Any, str]) -> str:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(each) for each in work]
    return ", ".join(each.result() for each in tasks)


async def run(node: Any, *, retried: bool = False) -> tuple[list[str], Events]:
    """Run a graph of this node, as `answered` does."""
    policy = RetryPolicy(initial_interval=0.01) if retried else None
    return await answered(StateGraph(MessagesState).add_node("node", node, retry_policy=policy).add_edge(START, "node"))


async def answered(graph: StateGraph[Any, Any, Any, Any]) -> tuple[list[str], Events]:
    """Run the graph, and answer each of its questions with the question. Return them too."""
    asked = []
    async with agent(graph) as served:
        task_id = (await served.result("SendMessage", {"message": message("hello")}))["task"]["id"]
        events: Events = await served.events(task_id)
        while state_of(events[-1]) == "TASK_STATE_INPUT_REQUIRED":
            questions = events[-1]["statusUpdate"]["status"]["message"]["parts"][1]["data"]["interrupts"]
            asked += [each["value"] for each in questions]
            parts = [{"data": {"answers": {each["id"]: each["value"] for each in questions}}}]
            await served.result("SendMessage", {"message": message("", taskId=task_id, parts=parts)})
            events = await served.events(task_id)
    return asked, events


@pytest.mark.parametrize("asking", [asks, asks_in_a_task])
@pytest.mark.parametrize("retried", [False, True])
async def test_questions_in_a_group_are_asked(asking: Any, retried: bool, caplog: pytest.LogCaptureFixture) -> None:
    async def node(_: MessagesState) -> None:
        write(await grouped(asking("colour"), grouped(asking("size"))))

    asked, events = await run(node, retried=retried)
    assert (state_of(events[-1]), sorted(asked)) == ("TASK_STATE_COMPLETED", ["colour?", "size?"])
    assert artifact_text(events).endswith("colour?, size?")
    assert caplog.messages == []


async def test_a_hand_off_in_a_group_hands_the_run_on() -> None:
    stops = [GraphDrained("deadline")]

    async def stop() -> str:
        if stops:
            raise stops.pop()
        return "went on"

    async def node(_: MessagesState) -> None:
        write(await grouped(stop()))

    asked, events = await run(node)
    assert (state_of(events[-1]), asked) == ("TASK_STATE_COMPLETED", [])
    assert (artifact_text(events), len(of_kind(events, "handoff"))) == ("went on", 1)


async def test_what_fails_beside_a_question_in_a_group_is_a_failure() -> None:
    async def fails() -> str:
        raise ValueError("no colour")

    async def node(_: MessagesState) -> None:
        write(await grouped(asks("colour"), fails()))

    asked, events = await run(node)
    assert (state_of(events[-1]), asked) == ("TASK_STATE_FAILED", [])
    assert "ValueError: no colour" in said(events[-1])


@pytest.mark.parametrize("stops", [[], [GraphDrained("deadline")]], ids=["question", "hand-off"])
async def test_what_a_group_in_a_tool_stops_for_is_no_error_that_a_model_is_told(stops: list[GraphDrained]) -> None:
    stopped = bool(stops)

    async def stop() -> str:
        if stops:
            raise stops.pop()
        return "went on" if stopped else await asks("colour")

    @tool
    async def paint() -> str:
        """Paints."""
        return await grouped(stop())

    async def call(_: MessagesState) -> dict[str, Any]:
        return {"messages": [AIMessage("", tool_calls=[ToolCall(name="paint", args={}, id="1")])]}

    async def end(state: MessagesState) -> None:
        write(str(state["messages"][-1].content))

    graph = StateGraph(MessagesState).add_sequence([call, ToolNode([paint], handle_tool_errors=True), end])
    asked, events = await answered(graph.add_edge(START, "call"))
    assert (state_of(events[-1]), asked) == ("TASK_STATE_COMPLETED", [] if stopped else ["colour?"])
    assert artifact_text(events) == ("went on" if stopped else "colour?")
    assert [bool(each.get("error")) for each in of_kind(events, "tool_complete")] == [False, False]
