"""An agent that asks one question, and writes the answer and the request's text."""

from __future__ import annotations

from typing import Any, TypedDict

from langgraph.graph import START, StateGraph
from langgraph.types import interrupt

from tailrace import progress, request, write


class State(TypedDict, total=False):
    messages: list[Any]


async def ask(state: State) -> State:
    answer = interrupt({"question": "Which region?"})
    write(f"You said {answer}, after {request().text!r}.")
    return {}


async def begin(state: State) -> State:
    progress("beginning")
    return {}


builder = StateGraph(State)
builder.add_node("begin", begin)
builder.add_node("ask", ask)
builder.add_edge(START, "begin")
builder.add_edge("begin", "ask")
