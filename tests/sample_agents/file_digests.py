"""An agent that writes the name of each file, the SHA-256 of its content and the number of its lines.

If the text begins with "ask", it asks a question first.
"""

from __future__ import annotations

import hashlib
from typing import Any, TypedDict

from langgraph.graph import START, StateGraph
from langgraph.types import interrupt

from tailrace import AgentApp, AgentCard, Skill, request, write


class State(TypedDict, total=False):
    messages: list[Any]


async def recite(state: State) -> State:
    if request().text.startswith("ask"):
        interrupt({"question": "What else?"})
    for file in request().files:
        digest = hashlib.sha256()
        for chunk in file.chunks():
            digest.update(chunk)
        write(f"{file.filename} {digest.hexdigest()} {sum(1 for _ in file.lines())}\n")
    return {}


builder = StateGraph(State).add_node("recite", recite).add_edge(START, "recite")
skill = Skill(id="recite", name="Recite", description="Recites logs.", tags=["logs"])
app = AgentApp(builder, AgentCard(name="file_digests", description="Recites.", version="1", skills=[skill]))
