"""An agent that writes "Hello, world.", reports progress and returns a result.

Words in the message change what it does: with `slow` it waits for the gate in the middle, with `ask` it asks a question
after its result, and with `twice` it asks another one.
"""

from __future__ import annotations

import asyncio
from typing import Any, TypedDict

from langgraph.graph import START, StateGraph
from langgraph.types import interrupt

from tailrace import progress, request, result, write

FINDINGS = {"findings": [{"type": "spike", "subject": "latency", "confidence": 0.9}]}
TEXT = "Hello, world."


class State(TypedDict, total=False):
    messages: list[Any]


def hello_world(gate: asyncio.Event | None = None) -> StateGraph[State]:
    """Build the graph; `slow` tasks wait until `gate` is set."""

    async def talk(_: State) -> State:
        progress("Half of it.", done=1, total=2)
        write("Hello, ")
        if "slow" in request().text.split():
            assert gate is not None
            progress("Waiting.")
            await gate.wait()
        write("world.")
        result("findings", FINDINGS)
        return {}

    async def ask(_: State) -> State:
        if "ask" in request().text.split():
            write(f"\n\nIt is {interrupt('Which service?')}.")
        return {}

    async def ask_again(_: State) -> State:
        if "twice" in request().text.split():
            write(f"\n\nSince {interrupt({'question': 'Since when?'})}.")
        return {}

    return StateGraph(State).add_sequence([talk, ask, ask_again]).add_edge(START, "talk")
