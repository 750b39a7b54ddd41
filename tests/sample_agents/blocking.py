"""An agent whose async node blocks its event loop while a file `block` is in its data folder, and then one more node.

Each time the first node begins, it adds a line to the file `began`.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from langgraph.graph import START, MessagesState, StateGraph

from tailrace import AgentApp, AgentCard, write
from tailrace.config import Settings

FOLDER = Path(Settings.load().data_dir)


async def blocks(_: MessagesState) -> dict[str, Any]:
    write("before ")
    with (FOLDER / "began").open("a") as began:
        began.write("began\n")
    while (FOLDER / "block").exists():
        time.sleep(0.01)  # noqa: ASYNC251
    write("after")
    return {}


async def ends(_: MessagesState) -> dict[str, Any]:
    write(".")
    return {}


builder = StateGraph(MessagesState).add_sequence([blocks, ends]).add_edge(START, "blocks")
app = AgentApp(builder, AgentCard(name="blocking", description="Blocks its loop.", version="1", skills=[]))
