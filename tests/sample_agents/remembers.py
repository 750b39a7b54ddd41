"""An agent that remembers what its context's tasks did, and dies like `killable`.

Its thread is its own state and that of a subgraph with `checkpointer=True`. The last node gives both as the result
`thread`.
"""

from __future__ import annotations

import operator
from typing import Annotated, Any, TypedDict

from langgraph.graph import START, StateGraph

from tailrace import AgentApp, AgentCard, request, result, write
from tests.sample_agents.killable import at

POINTS = [
    *("gather:start", "gather:end", "left:end", "right:end", "count:before", "dig:start", "dig:end", "sift:start"),
    *("sift:end", "count:after", "tell:start", "tell:end"),
]


class State(TypedDict, total=False):
    heard: Annotated[list[str], operator.add]
    counted: int


class Counted(TypedDict, total=False):
    dug: Annotated[int, operator.add]
    sifted: Annotated[int, operator.add]


def node(name: str) -> Any:
    async def work(state: State) -> State:
        await at(f"{name}:start")
        write(f"<{name}>\n")
        await at(f"{name}:end")
        return {"heard": [f"{request().text} {name}"]}

    return work


def counting(name: str, key: str) -> Any:
    async def work(state: Counted) -> dict[str, int]:
        await at(f"{name}:start")
        write(f"<{name}>\n")
        await at(f"{name}:end")
        return {key: 1}

    return work


counter = StateGraph(Counted)
counter.add_node("dig", counting("dig", "dug"))
counter.add_node("sift", counting("sift", "sifted"))
counter.add_edge(START, "dig")
counter.add_edge("dig", "sift")
counts = counter.compile(checkpointer=True)


async def count(state: State) -> State:
    await at("count:before")
    counted = await counts.ainvoke({"dug": 10})
    await at("count:after")
    return {"counted": counted["dug"] * 1000 + counted["sifted"]}


async def tell(state: State) -> State:
    await at("tell:start")
    result("thread", {"heard": state["heard"], "counted": state["counted"]})
    await at("tell:end")
    return {}


builder = StateGraph(State)
for name in ("gather", "left", "right"):
    builder.add_node(name, node(name))
builder.add_node("count", count)
builder.add_node("tell", tell)
builder.add_edge(START, "gather")
builder.add_edge("gather", "left")
builder.add_edge("gather", "right")
builder.add_edge(["left", "right"], "count")
builder.add_edge("count", "tell")
app = AgentApp(
    builder,
    AgentCard(name="remembers", description="Remembers, and dies when told to.", version="1", skills=[]),
    input=lambda request: {"heard": [request.text]},
)
