"""Our agent, as an author would write it: a graph of one node that reports progress.

Its message is one data part: `events` of them as fast as they go (one a turn of the event loop), or one every
`interval_s` seconds; it begins when the load client has opened `gate` (`POST /gate/<name>`).
"""

from __future__ import annotations

import asyncio
import time
from typing import Any, TypedDict

from langgraph.graph import START, StateGraph
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from tailrace import AgentApp, AgentCard, progress, request
from tests.bench.servers.pace import gate, open_gate, times


class State(TypedDict, total=False):
    messages: list[Any]


async def work(state: State) -> State:
    asked = request().data[0]
    await gate(asked.get("gate", ""))
    if interval_s := asked.get("interval_s"):
        async for due in times(asked["events"], interval_s, asked.get("phase", 0.0)):
            progress("tick", done=time.monotonic_ns(), total=due)  # in `sinks` these are when it was sent, and was due
        return {}
    for number in range(asked["events"]):
        progress("tick", done=number)
        await asyncio.sleep(0)
    return {}


_builder = StateGraph(State).add_node("work", work).add_edge(START, "work")
_agent = AgentApp(_builder, AgentCard(name="orchestrator", description="Emits events.", version="1", skills=[]))


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http" and scope["path"].startswith("/gate/"):
        open_gate(scope["path"].removeprefix("/gate/"))
        return await PlainTextResponse("open")(scope, receive, send)
    return await _agent(scope, receive, send)
