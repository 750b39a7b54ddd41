"""An agent that has another task of its own do the work, which waits until the file `go` is in the data folder."""

from __future__ import annotations

import asyncio
from pathlib import Path

from langgraph.graph import START, MessagesState, StateGraph

from tailrace import AgentApp, AgentCard, delegate, progress, request, write
from tailrace.config import Settings

_SETTINGS = Settings.load()


async def work(state: MessagesState) -> None:
    if request().text != "work":
        (myself,) = _SETTINGS.agents
        write((await delegate(myself, "work")).text)
        return
    while not (Path(_SETTINGS.data_dir) / "go").exists():
        await asyncio.sleep(0.02)
    progress("it goes on")
    write("done")


graph = StateGraph(MessagesState).add_node(work).add_edge(START, "work")
app = AgentApp(graph, AgentCard(name="asks_itself", description="Delegates.", version="1", skills=[]))
