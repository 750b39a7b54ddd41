"""An agent that emits as many small events as its message asks for: `{"data": {"events": n, "pause_s": p}}`."""

from __future__ import annotations

import asyncio
from typing import Any, TypedDict

from langgraph.graph import START, StateGraph

from tailrace import AgentApp, AgentCard, progress, request


class State(TypedDict, total=False):
    messages: list[Any]


async def burst(state: State) -> State:
    asked = request().data[0]
    pause_s = asked.get("pause_s", 0)
    for number in range(asked["events"]):
        progress("tick", done=number)
        if pause_s or number % 100 == 99:
            await asyncio.sleep(pause_s)
    return {}


builder = StateGraph(State).add_node("burst", burst).add_edge(START, "burst")
app = AgentApp(builder, AgentCard(name="orchestrator", description="Emits events.", version="1", skills=[]))
