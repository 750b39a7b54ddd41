"""An agent that writes the input, the runtime context and the request that its graph got, as JSON.

A file `die at context` in its data folder kills it once, when the input is made and no checkpoint is saved.
"""

from __future__ import annotations

import json
import os
import signal
from dataclasses import asdict, dataclass
from pathlib import Path

from langgraph.graph import START, MessagesState, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import interrupt

from tailrace import AgentApp, AgentCard, request, write
from tailrace.config import Settings
from tailrace.inputs.request import Request


@dataclass
class Context:
    owner: str
    tenant: str


class State(MessagesState):
    city: str


def context(received: Request) -> Context:
    death = Path(Settings.load().data_dir) / "die at context"
    if death.exists():
        death.unlink()
        os.kill(os.getpid(), signal.SIGKILL)
    return Context(owner=received.owner, tenant=received.metadata.get("tenant", ""))


async def tell(state: State, runtime: Runtime[Context]) -> None:
    if request().text.startswith("ask"):
        interrupt("Which?")
    received = request()
    seen = {
        "city": state.get("city"),
        "messages": [[each.id, each.content] for each in state["messages"]],
        "context": asdict(runtime.context),
        "request": {
            "text": received.text,
            "context_id": received.context_id,
            "metadata": received.metadata,
            "reference_tasks": received.reference_tasks,
            "owner": received.owner,
        },
    }
    write(json.dumps(seen))


builder = StateGraph(State, context_schema=Context).add_node("tell", tell).add_edge(START, "tell")
card = AgentCard(
    name="input_echo",
    description="Writes what it got.",
    version="1",
    skills=[],
    input_modes=("text/plain", "image/*", "application/pdf"),
)
app = AgentApp(builder, card, context=context)
