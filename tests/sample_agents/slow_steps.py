"""An agent slow enough to be interrupted. Its request says how slow: "300 events, 5 ms apart".

"300 events, 5 ms apart, 20 before NAME" waits after 20 events (gates.py).
"""

from __future__ import annotations

import asyncio
import re
from typing import Any, TypedDict

from langgraph.graph import START, StateGraph

from tailrace import AgentApp, AgentCard, progress, request, write
from tests.sample_agents.gates import pass_gates


class State(TypedDict, total=False):
    messages: list[Any]


async def work(state: State) -> State:
    events, pause_ms = (int(number) for number in re.findall(r"\d+", request().text)[:2])
    write("## Working\n\n")
    for number in range(1, events + 1):
        progress(f"step {number}", done=number, total=events)
        write(f"- step {number}\n")
        await asyncio.sleep(pause_ms / 1000)
        await pass_gates(number)
    return {}


builder = StateGraph(State).add_node("work", work).add_edge(START, "work")
app = AgentApp(builder, AgentCard(name="orchestrator", description="Takes its time.", version="1", skills=[]))
