"""An agent that dies at a chosen point: a file `die at POINT` in its data folder kills it there once.

With `always` in that file it dies there each time. A file `stand still at POINT` holds it there until it is deleted.

Its graph has all that a takeover has to get right: nodes that stream text, two in parallel, a subgraph, a tool,
a node that calls two graphs, a question if the request says "ask". What it writes is the same whatever happens to it
on the way.
"""

from __future__ import annotations

import asyncio
import operator
import os
import signal
from pathlib import Path
from typing import Annotated, Any, TypedDict

from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from langgraph.graph import START, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import interrupt

from tailrace import AgentApp, AgentCard, progress, request, result, write
from tailrace.config import Settings

FOLDER = Path(Settings.load().data_dir)
POINTS = [
    *("gather:start", "gather:middle", "gather:end", "left:middle", "left:end", "right:middle", "right:end"),
    *("dig:middle", "dig:end", "sift:start", "sift:end", "look:middle", "one:end", "two:end", "three:middle"),
    *("tell:start", "tell:middle", "tell:end"),
]


class State(TypedDict, total=False):
    messages: Annotated[list[Any], operator.add]
    found: Annotated[list[str], operator.add]


async def at(point: str) -> None:
    """Die here if a file says so; wait here while a file says so."""
    with (FOLDER / "ran").open("a") as ran:
        ran.write(f"{point}\n")
    if (death := FOLDER / f"die at {point}").exists():
        # Earlier events reach the log before a late death, and may not before an early one.
        if death.read_text() in ("late", "always"):
            await asyncio.sleep(0.1)
        if death.read_text() != "always":
            death.unlink()
        os.kill(os.getpid(), signal.SIGKILL)
    while (FOLDER / f"stand still at {point}").exists():
        (FOLDER / "standing").touch()
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.005)


def node(name: str) -> Any:
    async def work(state: State) -> State:
        await at(f"{name}:start")
        progress(f"{name} works")
        write(f"<{name} ")
        await at(f"{name}:middle")
        write(f"{name}>\n")
        await at(f"{name}:end")
        return {"found": [name]}

    return work


async def decide(state: State) -> State:
    if "ask" in request().text:
        write(f"<{interrupt({'question': 'Go on?'})}>\n")
        await at("decide:answered")
        write(f"<{interrupt({'question': 'Really?'})}>\n")
    call = {"name": "look", "args": {}, "id": "call-1", "type": "tool_call"}
    return {"messages": [AIMessage("", tool_calls=[call])]}


@tool
async def look() -> str:
    """Looks."""
    await at("look:middle")
    write("<look>\n")
    return "seen"


async def call(state: State) -> None:
    for graph in called:
        await graph.ainvoke({})


async def tell(state: State) -> State:
    await node("tell")(state)
    result("findings", {"findings": [], "found": sorted(state["found"])})
    return {}


def chain(*names: str) -> Any:
    return StateGraph(State).add_sequence([(name, node(name)) for name in names]).add_edge(START, names[0]).compile()


called = [chain("one"), chain("two", "three")]

builder = StateGraph(State)
for name in ("gather", "left", "right"):
    builder.add_node(name, node(name))
builder.add_node("inner", chain("dig", "sift"))
builder.add_node("decide", decide)
builder.add_node("look", ToolNode([look]))
builder.add_node("call", call)
builder.add_node("tell", tell)
builder.add_edge(START, "gather")
builder.add_edge("gather", "left")
builder.add_edge("gather", "right")
builder.add_edge(["left", "right"], "inner")
builder.add_edge("inner", "decide")
builder.add_edge("decide", "look")
builder.add_edge("look", "call")
builder.add_edge("call", "tell")
app = AgentApp(builder, AgentCard(name="killable", description="Dies when told to.", version="1", skills=[]))
