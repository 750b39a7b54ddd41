"""An agent whose steps wait for the test to let them go on: no test has to guess how long something takes."""

from __future__ import annotations

import asyncio
from typing import Any, TypedDict

from langgraph.graph import START, StateGraph

from tailrace import progress, request, write


class State(TypedDict, total=False):
    messages: list[Any]


class Gate:
    """Opened by the test. `reached` tells that the agent stands at it; `cancelled` that it was thrown out."""

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


def gated(gate: Gate) -> StateGraph[Any, Any, Any, Any]:
    """A graph that reports, stands at `gate`, and reports again."""

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
