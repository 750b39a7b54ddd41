"""An agent with every kind of wait: questions side by side, one after the other, in a subgraph, and a breakpoint.

It dies at its nth write to the log or the checkpoints, counted over all its processes, if the variable DIES_AT is n:
before the write, or after it if DIES_LATE is set.
"""

from __future__ import annotations

import operator
import os
import signal
from pathlib import Path
from typing import Annotated, Any, TypedDict

from langgraph.graph import START, StateGraph
from langgraph.types import interrupt

from tailrace import AgentApp, AgentCard, ask, write
from tailrace.agent.checkpoints.attempt_saver import AttemptSaver
from tailrace.config import Settings
from tailrace.log.sqlite import SQLiteLog

FOLDER = Path(Settings.load().data_dir)
WRITES = FOLDER / "writes"


class State(TypedDict, total=False):
    messages: list[Any]
    answers: Annotated[list[str], operator.add]


async def red(_: State) -> State:
    write("red. ", artifact="notes")
    return {"answers": [f"{interrupt('Red?')} {ask('Sure?', options=['yes', 'no'])}"]}


async def blue(_: State) -> State:
    write("blue. ", artifact="notes")
    return {"answers": [interrupt({"question": "Blue?"})]}


async def publish(state: State) -> State:
    (FOLDER / "published").touch()
    write(", ".join(sorted(state["answers"])))
    return {}


def deadly(kind: type, name: str) -> None:
    """Make a method count its calls, and kill the process at one of them."""
    method = getattr(kind, name)

    async def call(*args: Any, **named: Any) -> Any:
        with WRITES.open("a") as writes:
            writes.write(".")
        dies = WRITES.stat().st_size == int(os.environ.get("DIES_AT", "0"))
        if dies and "DIES_LATE" not in os.environ:
            os.kill(os.getpid(), signal.SIGKILL)
        result = await method(*args, **named)
        if dies:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(kind, name, call)


for each in ("create", "claim", "append", "update_state"):
    deadly(SQLiteLog, each)
for each in ("aput", "aput_writes"):
    deadly(AttemptSaver, each)

inner = StateGraph(State).add_node("blue", blue).add_edge(START, "blue").compile()
builder = StateGraph(State).add_node("red", red).add_node("inner", inner).add_node("publish", publish)
builder.add_edge(START, "red").add_edge(START, "inner").add_edge(["red", "inner"], "publish")
graph = builder.compile(interrupt_before=["publish"])
app = AgentApp(graph, AgentCard(name="approvals", description="Asks.", version="1", skills=[]))
