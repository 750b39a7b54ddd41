"""An agent slow enough to be interrupted. Its request says how slow: "300 events, 5 ms apart".

"300 events, 5 ms apart, 20 before NAME" waits after 20 events until its data folder has a file `go on NAME`.
"""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any, TypedDict

from langgraph.graph import START, StateGraph

from tailrace import AgentApp, AgentCard, progress, request, write
from tailrace.config import Settings

FOLDER = Path(Settings.load().data_dir)


class State(TypedDict, total=False):
    messages: list[Any]


async def work(state: State) -> State:
    events, pause_ms = (int(number) for number in re.findall(r"\d+", request().text)[:2])
    gate = re.search(r"(\d+) before (\w+)", request().text)
    write("## Working\n\n")
    for number in range(1, events + 1):
        progress(f"step {number}", done=number, total=events)
        write(f"- step {number}\n")
        await asyncio.sleep(pause_ms / 1000)
        while gate and number == int(gate[1]) and not (FOLDER / f"go on {gate[2]}").exists():
            await asyncio.sleep(0.01)
    return {}


builder = StateGraph(State).add_node("work", work).add_edge(START, "work")
app = AgentApp(builder, AgentCard(name="orchestrator", description="Takes its time.", version="1", skills=[]))
