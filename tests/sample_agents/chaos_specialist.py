"""A specialist that reports progress, streams text and returns the same findings for the same request.

The first data part of a message says how long it takes: `{"lines": n, "pause_ms": p}`. With `"deep": true` it asks
`specialist_two` first.
"""

from __future__ import annotations

import asyncio
from typing import Any, TypedDict

from langgraph.graph import START, StateGraph

from tailrace import AgentCard, Skill, delegate, progress, request, result, write
from tests.sample_agents.side_file import done


class State(TypedDict, total=False):
    messages: list[Any]
    lines: int


def specialist(name: str) -> tuple[StateGraph[State, None, State, State], AgentCard]:
    """Build the graph and the card of a specialist called `name`."""

    async def read(state: State) -> State:
        options = request().data[0]
        if options.get("deep"):
            await delegate("specialist_two", {**options, "deep": False})
        for number in range(options["lines"]):
            progress(f"{name} reads {number}", done=number, total=options["lines"])
            write(f"{name} read {number}\n")
            await asyncio.sleep(options["pause_ms"] / 1000)
        done(f"{name} read")
        return {"lines": options["lines"]}

    async def report(state: State) -> State:
        options = request().data[0]
        for number in range(options["lines"] // 2):
            write(f"{name} reports {number}\n")
            await asyncio.sleep(options["pause_ms"] / 1000)
        finding = {"subject": name, "start": "2026-01-01T00:00:00Z", "confidence": 0.5, "magnitude": state["lines"]}
        result("findings", {"findings": [finding]})
        done(f"{name} report")
        return {}

    builder = StateGraph(State).add_sequence([read, report]).add_edge(START, "read")
    skill = Skill(id=name, name=name, description=f"The {name}.", tags=["test"], examples=[])
    return builder, AgentCard(name=name, description=f"The {name}.", version="1", skills=[skill])


builder, card = specialist("specialist_one")
