"""An agent whose node fails and is handled, by a handler that calls a graph and asks, and whose next node calls an
entrypoint with tasks, one of which asks.

It dies at one of its writes (`dies_at_a_write`).
"""

from __future__ import annotations

from langgraph.errors import NodeError
from langgraph.func import entrypoint, task
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command, interrupt

from tailrace import AgentApp, AgentCard, write
from tests.sample_agents.dies_at_a_write import die_at_a_write


async def called(_: MessagesState) -> None:
    write("called. ")


async def fails(_: MessagesState) -> None:
    write("void. ")
    raise ConnectionError("no line")


async def handler(state: MessagesState, error: NodeError) -> Command[str]:
    write(f"{error.node} failed. ")
    await graph_of_handler.ainvoke(state)
    write(f"{interrupt('Skip it?')}. ")
    return Command(goto="calls")


@task
async def works() -> None:
    write("works. ")


@task
async def asks() -> str:
    write("asks. ")
    return f"{interrupt('Colour?')}. "


@entrypoint()
async def workflow(_: str) -> None:
    write("begins. ")
    await works()
    write(await asks())


async def calls(_: MessagesState) -> None:
    write("calls. ")
    await workflow.ainvoke("")


die_at_a_write()
graph_of_handler = StateGraph(MessagesState).add_node("called", called).add_edge(START, "called").compile()
builder = StateGraph(MessagesState).add_node("fails", fails, error_handler=handler).add_node("calls", calls)
builder.add_edge(START, "fails")
app = AgentApp(builder, AgentCard(name="handles", description="Handles errors.", version="1", skills=[]))
