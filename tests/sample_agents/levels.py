"""An agent that delegates to itself, as deep as the request says. The innermost asks two questions.

Its first data part is `{"level": n, "pause_s": s}`. The innermost waits for so long before it asks. One process runs
the tasks of all levels, so if it dies, all of them do; it dies at one of its writes (`dies_at_a_write`).
"""

from __future__ import annotations

import asyncio

from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import interrupt

from tailrace import AgentApp, AgentCard, delegate, progress, request, write
from tailrace.config import Settings
from tests.sample_agents.dies_at_a_write import die_at_a_write

_MYSELF = Settings.load().dispatch_places["levels"]


async def level(state: MessagesState) -> None:
    asked = request().data[0]
    if asked["level"]:
        await delegate(_MYSELF, {**asked, "level": asked["level"] - 1}, name="below", write_to="response")
        return
    await asyncio.sleep(request().data[0].get("pause_s", 0))
    progress("thinking")
    write("A table for ")
    people, where = interrupt({"question": "How many?"}), interrupt({"question": "Where?"})
    write(f"{people}, {where}.")


die_at_a_write()
graph = StateGraph(MessagesState).add_node(level).add_edge(START, "level")
app = AgentApp(graph, AgentCard(name="levels", description="Delegates.", version="1", skills=[]))
