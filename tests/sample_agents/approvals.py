"""An agent with every kind of wait: questions side by side, one after the other, in a subgraph, and a breakpoint.

It dies at one of its writes (`dies_at_a_write`).
"""

from __future__ import annotations

import operator
from pathlib import Path
from typing import Annotated, Any, TypedDict

from langgraph.graph import START, StateGraph
from langgraph.types import interrupt

from tailrace import AgentApp, AgentCard, ask, write
from tailrace.config import Settings
from tests.sample_agents.dies_at_a_write import die_at_a_write

FOLDER = Path(Settings.load().data_dir)


class State(TypedDict, total=False):
    messages: list[Any]
    answers: Annotated[list[str], operator.add]


async def red(_: State) -> State:
    write("red. ", artifact="notes")
    return {"answers": [f"{interrupt('Red?')} {ask('Sure?', options=['yes', 'no'])}"]}


async def blue(_: State) -> State:
    write("blue. ", artifact="notes")
    return {"answers": [interrupt({"question": "Blue?"})]}


async def publish(state: State) -> State:
    (FOLDER / "published").touch()
    write(", ".join(sorted(state["answers"])))
    return {}


die_at_a_write()
inner = StateGraph(State).add_node("blue", blue).add_edge(START, "blue").compile()
builder = StateGraph(State).add_node("red", red).add_node("inner", inner).add_node("publish", publish)
builder.add_edge(START, "red").add_edge(START, "inner").add_edge(["red", "inner"], "publish")
graph = builder.compile(interrupt_before=["publish"])
app = AgentApp(graph, AgentCard(name="approvals", description="Asks.", version="1", skills=[]))
