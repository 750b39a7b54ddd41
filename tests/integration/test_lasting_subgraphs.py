"""Subgraphs with `checkpointer=True` keep their state: called in a loop, left for their parent, in tools, handed on."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from langchain_core.tools import tool
from langgraph.errors import GraphDrained
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command, RetryPolicy, Send, interrupt

from tailrace import write
from tests.support.events import artifact_text, body_of, message, metadata, of_kind, said, state_of
from tests.support.graphs import Events, failure, graph, model, run
from tests.support.in_process import agent

pytestmark = pytest.mark.asyncio

DONE = "TASK_STATE_COMPLETED"


def parents(events: Events) -> set[tuple[str, str]]:
    """The names of the steps that are inside others, each with the name of the step around it. All steps have ended."""
    begun = [metadata(event) for event in of_kind(events, "node_start")]
    ended = [metadata(event)["step"] for event in of_kind(events, "node_end")]
    assert sorted(ended) == sorted(each["step"] for each in begun)
    names = {each["step"]: each["name"] for each in begun}
    return {(each["name"], names[each["parent"]]) for each in begun if "parent" in each}


async def test_steps_that_call_a_subgraph_that_keeps_its_state_one_after_the_other() -> None:
    async def counts(state: MessagesState) -> dict[str, Any]:
        write(f"{len(state['messages'])} ")
        return {"messages": [("ai", "counted")]}

    lasting = graph(counts).compile(checkpointer=True)

    async def calls(_: MessagesState) -> Command[str]:
        called = await lasting.ainvoke({"messages": [("user", "again")]})
        return Command(goto="calls" if len(called["messages"]) < 6 else "__end__")

    events = await run(StateGraph(MessagesState).add_node("calls", calls).add_edge(START, "calls"))
    assert state_of(events[-1]) == DONE, said(events[-1])
    assert artifact_text(events) == "1 3 5 "
    assert parents(events) == {("counts", "calls")}


async def test_a_subgraph_that_keeps_its_state_is_left_for_its_parent_and_entered_again() -> None:
    async def leaves(state: MessagesState) -> Command[str]:
        write(f"{len(state['messages'])} ")
        return Command(goto="next", graph=Command.PARENT)

    lasting = graph(leaves).compile(checkpointer=True)
    rounds = 0

    async def following(_: MessagesState) -> Command[str]:
        nonlocal rounds
        rounds += 1
        return Command(goto="lasting" if rounds < 3 else "__end__")

    builder = StateGraph(MessagesState).add_node("lasting", lasting).add_node("next", following)
    events = await run(builder.add_edge(START, "lasting"))
    assert state_of(events[-1]) == DONE, said(events[-1])
    assert rounds == 3
    assert parents(events) == {("leaves", "lasting")}


async def test_calls_at_once_of_a_subgraph_that_keeps_its_state_do_not_wait_for_each_other() -> None:
    """They share its state, as in LangGraph."""
    first_is_done = asyncio.Event()

    async def waits(state: MessagesState) -> None:
        if state["messages"][-1].text == "second":
            await first_is_done.wait()
        write(f"{state['messages'][-1].text} ")

    lasting = graph(waits).compile(checkpointer=True)

    async def calls(state: MessagesState) -> None:
        await lasting.ainvoke(state)
        first_is_done.set()

    builder = StateGraph(MessagesState).add_node("calls", calls)
    each = [Send("calls", {"messages": [("user", text)]}) for text in ("first", "second")]
    events = await run(builder.add_conditional_edges(START, lambda _: each, ["calls"]))
    assert state_of(events[-1]) == DONE, said(events[-1])
    assert artifact_text(events) == "first second "
    assert parents(events) == {("waits", "calls")}


async def test_what_one_of_calls_at_once_has_written_stays_when_another_one_is_tried_again() -> None:
    both_run, fails = asyncio.Event(), [True]

    async def writes(state: MessagesState) -> None:
        text = state["messages"][-1].text
        write(f"{text}. ")
        if text == "first":
            await both_run.wait()
        elif fails:
            both_run.set()
            fails.pop()
            raise ConnectionError("flaky")

    lasting = graph(writes).compile(checkpointer=True)

    async def calls(state: MessagesState) -> None:
        await lasting.ainvoke(state)

    retry = RetryPolicy(initial_interval=0.01)
    builder = StateGraph(MessagesState).add_node("calls", calls, retry_policy=retry)
    each = [Send("calls", {"messages": [("user", text)]}) for text in ("first", "second")]
    events = await run(builder.add_conditional_edges(START, lambda _: each, ["calls"]))
    assert state_of(events[-1]) == DONE, said(events[-1])
    assert artifact_text(events) == "first. second. "
    inner = [metadata(event)["parent"] for event in of_kind(events, "node_start") if "parent" in metadata(event)]
    outer = [metadata(event)["step"] for event in of_kind(events, "node_start") if "parent" not in metadata(event)]
    assert inner == [*outer, outer[1]]  # each inside its own call


async def test_what_an_agent_that_keeps_its_state_says_in_a_tool_is_never_the_answer() -> None:
    async def speaks(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await model("Between us.").ainvoke(state["messages"])]}

    lasting = graph(speaks).compile(checkpointer=True)

    @tool
    async def consult() -> str:
        """Consult."""
        return str((await lasting.ainvoke({"messages": []}))["messages"][-1].text)

    async def answers(_: MessagesState) -> dict[str, Any]:
        return {"messages": [("ai", f"It said {await consult.ainvoke({})!r}")]}

    events = await run(graph(answers))
    assert artifact_text(events) == "It said 'Between us.'"
    assert "".join(map(said, of_kind(events, "message"))) == "Between us."
    assert [body_of(event)["append"] for event in of_kind(events, "token")] == [False]  # nothing was taken back
    assert parents(events) == {("speaks", "answers")}


async def test_a_thread_in_a_subgraph_that_keeps_its_state_writes_for_the_step_that_runs() -> None:
    async def starts_a_thread(_: MessagesState) -> None:
        thread = threading.Thread(target=write, args=("from a thread",))
        thread.start()
        thread.join()

    events = await run(graph(calls=graph(starts_a_thread).compile(checkpointer=True)))
    assert artifact_text(events) == "from a thread"
    (text,) = of_kind(events, "token")
    steps = {metadata(event)["name"]: metadata(event)["step"] for event in of_kind(events, "node_start")}
    assert (metadata(text)["step"], metadata(text)["parent"]) == (steps["starts_a_thread"], steps["calls"])


@pytest.mark.parametrize("asks", [False, True])
async def test_an_attempt_goes_on_in_the_second_call_of_a_subgraph_that_keeps_its_state(asks: bool) -> None:
    drains = [False, True]  # The second call is handed on in its second node.

    async def first(_: MessagesState) -> None:
        write(f"first {interrupt('Go on?') if asks else ''}. ")

    async def second(_: MessagesState) -> None:
        if drains and drains.pop(0):
            raise GraphDrained("deadline")
        write("second. ")

    lasting = graph(first, second).compile(checkpointer=True)

    async def calls(_: MessagesState) -> None:
        for _each in range(2):
            await lasting.ainvoke({"messages": []})
        write("called. ")

    async with agent(graph(calls)) as served:
        task = (await served.result("SendMessage", {"message": message("go")}))["task"]
        for _ in range(2 if asks else 0):
            assert task["status"]["state"] == "TASK_STATE_INPUT_REQUIRED"
            reply = message("yes", taskId=task["id"])
            task = (await served.result("SendMessage", {"message": reply}))["task"]
        events = await served.events(task["id"])
    assert task["status"]["state"] == DONE, failure(events)
    assert not drains
    firsts = ["first yes" if asks else "first "] * 2
    assert sorted(artifact_text(events).removesuffix(". ").split(". ")) == sorted(
        ["called", *firsts, "second", "second"]
    )
    assert len(of_kind(events, "handoff")) == 1
