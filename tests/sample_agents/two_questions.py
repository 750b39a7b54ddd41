"""An agent that asks two questions at once, or where to sign in."""

from __future__ import annotations

import operator
from typing import Annotated, Any, TypedDict

from langgraph.graph import START, StateGraph

from tailrace import AgentApp, AgentCard, Skill, ask, request, write


class State(TypedDict, total=False):
    messages: list[Any]
    words: Annotated[list[str], operator.add]


async def colour(_: State) -> State:
    if "sign in" in request().text:
        ask("Please sign in.", auth_url="https://login.example/x")
    return {"words": [ask("Which colour?", options=["red", "green"])]}


async def number(_: State) -> State:
    return {"words": [] if "sign in" in request().text else [str(ask("How many?", schema=int))]}


async def tell(state: State) -> State:
    write(" ".join(sorted(state["words"])))
    return {}


graph = StateGraph(State).add_node(colour).add_node(number).add_node(tell)
graph = graph.add_edge(START, "colour").add_edge(START, "number").add_edge(["colour", "number"], "tell")
skill = Skill(id="paint", name="Paint", description="Asks what to paint.", tags=["paint"])
app = AgentApp(graph, AgentCard(name="orchestrator", description="Asks.", version="1", skills=[skill]))
