"""A specialist that reports progress, streams text and returns the same findings for the same request.

The first data part of a message says how long it takes: `{"lines": n, "pause_ms": p}`.
"""

from __future__ import annotations

import asyncio
from typing import Any, TypedDict

from langgraph.graph import START, StateGraph

from tailrace import AgentCard, Skill, progress, request, result, write
from tests.sample_agents.side_file import done


class State(TypedDict, total=False):
    messages: list[Any]
    spun: int


def specialist(name: str) -> tuple[StateGraph[State, None, State, State], AgentCard]:
    """Build the graph and the card of a specialist called `name`."""

    async def draw(state: State) -> State:
        asked = request().data[0]
        for number in range(asked["lines"]):
            progress(f"{name} draws {number}", done=number, total=asked["lines"])
            write(f"{name} drew {number}\n")
            await asyncio.sleep(asked["pause_ms"] / 1000)
        done(f"{name} draw")
        return {"spun": asked["lines"]}

    async def spin(state: State) -> State:
        asked = request().data[0]
        for number in range(asked["lines"] // 2):
            write(f"{name} spun {number}\n")
            await asyncio.sleep(asked["pause_ms"] / 1000)
        finding = {"subject": name, "start": "2026-01-01T00:00:00Z", "confidence": 0.5, "magnitude": state["spun"]}
        result("findings", {"findings": [finding]})
        done(f"{name} spin")
        return {}

    builder = StateGraph(State).add_sequence([draw, spin]).add_edge(START, "draw")
    skill = Skill(id=name, name=name, description=f"The {name}.", tags=["test"], examples=[])
    return builder, AgentCard(name=name, description=f"The {name}.", version="1", skills=[skill])


builder, card = specialist("spinner")
