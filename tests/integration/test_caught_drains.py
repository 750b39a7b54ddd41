"""A node or a tool that catches every exception, also the one with which an attempt ends, does not end with less."""

from __future__ import annotations

import asyncio

import pytest
from langchain_core.tools import tool
from langgraph.graph import MessagesState

from tailrace import delegate, progress, write
from tests.sample_agents.waits_at_gate import Gate
from tests.support.bundle import assert_each_came_once, bundle, graph
from tests.support.events import artifact_text, of_kind, state_of


async def catches_in_a_node(state: MessagesState) -> None:
    try:
        write((await delegate("back", "go")).text)
    except Exception as error:
        write(f"no answer: {error!r}")


async def gathers_exceptions(state: MessagesState) -> None:
    (answer,) = await asyncio.gather(delegate("back", "go"), return_exceptions=True)
    write(getattr(answer, "text", f"no answer: {answer!r}"))


@tool
async def ask() -> str:
    """Asks the other agent."""
    try:
        return (await delegate("back", "go")).text
    except Exception as error:
        return f"no answer: {error!r}"


async def calls_a_tool(state: MessagesState) -> None:
    write(await ask.ainvoke({}))


async def asks(state: MessagesState) -> None:
    write((await delegate("back", "go")).text)


inner = graph(asks).compile()


async def calls_a_graph(state: MessagesState) -> None:
    try:
        await inner.ainvoke(state)
    except Exception as error:
        write(f"no answer: {error!r}")


NODES = [catches_in_a_node, gathers_exceptions, calls_a_tool, calls_a_graph]


@pytest.mark.parametrize("node", NODES, ids=lambda node: node.__name__)
async def test_a_run_whose_author_catches_everything_sleeps_and_ends_with_the_whole_answer(node: object) -> None:
    gates = [Gate(), Gate()]

    async def work(state: MessagesState) -> None:
        for gate in gates:
            await gate.pass_through()
            progress("passed")
        write("done")

    async with bundle(front=graph(node), back=graph(work)) as agents:
        task = await agents.front.begin("go")
        attempt = 0
        for gate in gates:
            attempt = (await agents.asleep(task["id"], attempt)).attempt
            gate.open.set()
        events = await agents.events(task["id"])
        assert state_of(events[-1]) == "TASK_STATE_COMPLETED"
        assert artifact_text(events) == "done"
        assert len(of_kind(events, "progress")) == len(gates)
        assert_each_came_once(events)
        assert len(await agents.delegated(task["id"])) == 1
