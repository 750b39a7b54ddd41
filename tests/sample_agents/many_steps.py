"""An agent with many steps, for hand-offs. Its request says how many: "40 steps, 20 ms each".

With "in one node" it is one node that takes all the time, with "deaf" one that does not look at the time left.
"""

from __future__ import annotations

import asyncio
import re
from typing import Any, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.types import Command

from tailrace import AgentApp, AgentCard, progress, request, time_left, write


class State(TypedDict, total=False):
    messages: list[Any]
    done: int


def asked() -> tuple[int, float]:
    steps, pause_ms = (int(number) for number in re.findall(r"\d+", request().text)[:2])
    return steps, pause_ms / 1000


async def step(state: State) -> Command[Any]:
    """Do one step, or as many as there is time for."""
    steps, pause_s = asked()
    done = state.get("done", 0)
    while True:
        done += 1
        progress(f"step {done}", done=done, total=steps)
        await asyncio.sleep(pause_s)
        write(f"{done} ")
        left = time_left()
        if done == steps or "in one node" not in request().text:
            break
        if "deaf" not in request().text and left is not None and left < 2 * pause_s:
            break
    return Command(update={"done": done}, goto=END if done == steps else "step")


builder = StateGraph(State)
builder.add_node("step", step, destinations=("step", END))
builder.add_edge(START, "step")
app = AgentApp(builder, AgentCard(name="many_steps", description="Takes long.", version="1", skills=[]))
