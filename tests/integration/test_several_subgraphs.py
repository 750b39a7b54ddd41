"""A node may call several subgraphs: each has its own steps and checkpoints, also after a question or a loss."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.runnables import Runnable
from langgraph.errors import GraphDrained
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import interrupt

from tailrace import write
from tests.support.events import artifact_text, message, metadata, of_kind, said, state_of
from tests.support.in_process import agent

pytestmark = pytest.mark.asyncio

Node = Callable[[MessagesState], Any]


def chain(*nodes: Node) -> Any:
    return StateGraph(MessagesState).add_sequence(list(nodes)).add_edge(START, nodes[0].__name__).compile()


def writes(name: str) -> Node:
    async def node(_: MessagesState) -> dict[str, Any]:
        write(f"{name} ")
        return {}

    node.__name__ = name
    return node


def caller(*subgraphs: Runnable[Any, Any], together: bool = False) -> StateGraph[Any]:
    async def calls(state: MessagesState) -> dict[str, Any]:
        if together:
            await asyncio.gather(*(each.ainvoke(state) for each in subgraphs))
        else:
            for each in subgraphs:
                await each.ainvoke(state)
        write("end")
        return {}

    return StateGraph(MessagesState).add_node(calls).add_edge(START, "calls")


def assert_steps_are_whole(events: list[dict[str, Any]], names: list[str]) -> None:
    """Every node of the subgraphs ran once, inside the node that calls them."""
    started = {metadata(event)["step"]: metadata(event) for event in of_kind(events, "node_start")}
    ended = [metadata(event)["step"] for event in of_kind(events, "node_end")]
    assert sorted(ended) == sorted(started)
    (outer,) = (step for step, each in started.items() if each["name"] == "calls")
    inner = [each for each in started.values() if each["name"] != "calls"]
    assert sorted(each["name"] for each in inner) == sorted(names)
    assert {each["parent"] for each in inner} == {outer}


async def test_subgraphs_that_a_node_calls_one_after_the_other() -> None:
    one, two = chain(writes("a"), writes("b")), chain(writes("c"))
    async with agent(caller(one, two, two)) as served:
        task = (await served.result("SendMessage", {"message": message("go")}))["task"]
        events = await served.events(task["id"])
    assert state_of(events[-1]) == "TASK_STATE_COMPLETED", said(events[-1])
    assert artifact_text(events) == "a b c c end"
    assert_steps_are_whole(events, ["a", "b", "c", "c"])


async def test_subgraphs_that_a_node_calls_together_do_not_wait_for_each_other() -> None:
    goes_on = asyncio.Event()

    async def waits(_: MessagesState) -> dict[str, Any]:
        await goes_on.wait()
        return {}

    async def wakes(_: MessagesState) -> dict[str, Any]:
        goes_on.set()
        return {}

    async with agent(caller(chain(waits), chain(writes("a"), wakes), together=True)) as served:
        task = (await served.result("SendMessage", {"message": message("go")}))["task"]
        events = await served.events(task["id"])
    assert state_of(events[-1]) == "TASK_STATE_COMPLETED", said(events[-1])
    assert_steps_are_whole(events, ["waits", "a", "wakes"])


async def test_a_question_of_the_second_subgraph_runs_no_node_of_either_again() -> None:
    async def asks(_: MessagesState) -> dict[str, Any]:
        write(f"{interrupt('Which?')} ")
        return {}

    async with agent(caller(chain(writes("a")), chain(writes("b"), asks), chain(writes("c")))) as served:
        task = (await served.result("SendMessage", {"message": message("go")}))["task"]
        assert task["status"]["state"] == "TASK_STATE_INPUT_REQUIRED", task["status"]
        await served.result("SendMessage", {"message": message("two", taskId=task["id"])})
        events = await served.events(task["id"])
    assert state_of(events[-1]) == "TASK_STATE_COMPLETED", said(events[-1])
    assert artifact_text(events) == "a b two c end"


async def test_an_attempt_goes_on_in_the_second_subgraph() -> None:
    attempts: list[int] = []

    async def stops(_: MessagesState) -> dict[str, Any]:
        attempts.append(len(attempts))
        write("stops ")
        if len(attempts) == 1:
            raise GraphDrained("deadline")
        return {}

    async with agent(caller(chain(writes("a")), chain(writes("b"), stops, writes("c")))) as served:
        task = (await served.result("SendMessage", {"message": message("go")}))["task"]
        events = await served.events(task["id"])
    assert state_of(events[-1]) == "TASK_STATE_COMPLETED", said(events[-1])
    assert attempts == [0, 1]
    assert artifact_text(events) == "a b stops c end"
