"""An agent that waits at a gate until the test opens it, so that no test has to guess how long something takes."""

from __future__ import annotations

import asyncio
from typing import Any, TypedDict

from langgraph.graph import START, StateGraph

from tailrace import progress, request, write


class State(TypedDict, total=False):
    messages: list[Any]


class Gate:
    """The test sets `open`; the agent sets `reached` when it waits, and `cancelled` when its waiting is cancelled."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.open = asyncio.Event()
        self.cancelled = False

    async def pass_through(self) -> None:
        self.reached.set()
        try:
            await self.open.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise


def waits_at_gate(gate: Gate) -> StateGraph[Any, Any, Any, Any]:
    """Build a graph that reports progress, waits at `gate`, and reports progress again."""

    async def before(state: State) -> State:
        progress("before the gate")
        write(f"# {request().text}\n")
        return {}

    async def at_the_gate(state: State) -> State:
        await gate.pass_through()
        return {}

    async def after(state: State) -> State:
        progress("after the gate")
        write("done\n")
        return {}

    builder = StateGraph(State)
    builder.add_node("before", before)
    builder.add_node("gate", at_the_gate)
    builder.add_node("after", after)
    builder.add_edge(START, "before")
    builder.add_edge("before", "gate")
    builder.add_edge("gate", "after")
    return builder
