"""Agents of one bundle, with one log, each of which knows where the others can be woken."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Send

from tailrace import AgentCard, delegate, write
from tailrace.config import Settings
from tailrace.log import EventLog, Head
from tailrace.log.memory import MemoryLog
from tests.support.events import metadata
from tests.support.http import bound, url_of
from tests.support.in_process import agent
from tests.support.jsonrpc import Agent

# After how long a silence its runs sleep.
SILENCE: dict[str, Any] = {"sleep_after_s": 0.1}


class Bundle:
    """Agents of one bundle with one log, by name."""

    def __init__(self, log: EventLog, agents: dict[str, Agent], settings: Settings) -> None:
        self.log = log
        self.agents = agents
        self.settings = settings

    @property
    def front(self) -> Agent:
        return self.agents["front"]

    async def asleep(self, task_id: str, attempt: int = 0) -> Head:
        """Wait until the task sleeps after an attempt of a higher number."""
        async with asyncio.timeout(60):
            while not (head := await self.log.head(task_id)).asleep(self.log.now()) or head.attempt <= attempt:
                await asyncio.sleep(0.01)
        return head

    async def delegated(self, task_id: str, owner: str = "local") -> list[Head]:
        return (await self.log.list(f"{owner}/{task_id}")).heads

    async def events(self, task_id: str) -> list[dict[str, Any]]:
        return await self.front.finished(task_id)


@contextlib.asynccontextmanager
async def bundle(log: EventLog | None = None, *, dispatched: bool = True, **graphs: Any) -> AsyncIterator[Bundle]:
    """Serve these graphs as agents. With `dispatched`, each knows where the others can be woken."""
    log, listeners = log or MemoryLog(), {name: bound() for name in graphs}
    urls = {name: url_of(listener) for name, listener in listeners.items()}
    places = ",".join(f"{name}={url}" for name, url in urls.items())
    settings = {"specialist_urls": ",".join(urls.values()), "agent_urls": ",".join(urls.values()), **SILENCE}
    settings |= {"lease_s": 2.0, "renew_s": 0.1}
    if dispatched:
        settings["dispatch"] = places
    async with contextlib.AsyncExitStack() as serving:
        agents = {}
        for name, graph in graphs.items():
            card = AgentCard(name=name, description="", version="1", skills=[])
            served = agent(graph, log=log, card=card, listener=listeners[name], **settings)
            agents[name] = await serving.enter_async_context(served)
        yield Bundle(log, agents, Settings(log="memory", **{**settings, "dispatch": places}))


def graph(*nodes: Any) -> StateGraph[Any, Any, Any, Any]:
    return StateGraph(MessagesState).add_sequence(list(nodes)).add_edge(START, nodes[0].__name__)


def asking(*names: str) -> StateGraph[Any, Any, Any, Any]:
    """An agent that asks these agents at once, in a node for each."""

    async def one(state: Any) -> None:
        write((await delegate(state["agent"], "go")).text, artifact=state["agent"])

    builder = StateGraph(MessagesState).add_node("one", one)
    return builder.add_conditional_edges(START, lambda _: [Send("one", {"agent": name}) for name in names], ["one"])


def origins(events: list[dict[str, Any]]) -> list[tuple[str, int]]:
    found = [metadata(event)["origin"] for event in events if "origin" in metadata(event)]
    return [(origin["task"], origin["seq"]) for origin in found]


def assert_each_came_once(events: list[dict[str, Any]]) -> None:
    for task in {task for task, _ in origins(events)}:
        seqs = [seq for each, seq in origins(events) if each == task]
        assert seqs == sorted(set(seqs)), "a specialist's event came twice, or out of order"
