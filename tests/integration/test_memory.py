"""A graph without a store gets a durable one, in which each owner finds its own; an author's store stays as it is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import pytest
from langchain_core.tools import tool
from langgraph.config import get_store
from langgraph.func import entrypoint
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import InjectedStore, ToolNode
from langgraph.runtime import Runtime
from langgraph.store.base import BaseStore
from langgraph.store.memory import InMemoryStore

from tailrace import AgentApp, AgentCard, testing, write
from tailrace.config import Settings
from tailrace.errors import ConfigError
from tailrace.log.memory import MemoryLog
from tests.support.events import artifact_text
from tests.support.in_process import agent

CARD = AgentCard(name="remembers", description="For tests.", version="1", skills=[])


async def remember(state: MessagesState, runtime: Runtime) -> None:
    """Say what was remembered before, and remember the message."""
    assert runtime.store is not None
    earlier = await runtime.store.asearch(("memories",), limit=100)
    write(",".join(sorted(item.key for item in earlier)))
    await runtime.store.aput(("memories",), state["messages"][-1].text, {})


def graph_of(node: Any = remember) -> StateGraph[Any, Any, Any, Any]:
    return StateGraph(MessagesState).add_node("remember", node).add_edge(START, "remember")


async def ask(folder: Path, text: str, owner: str = "alice") -> str:
    """Ask a new process's agent, as far as a test can have one."""
    async with agent(graph_of(), card=CARD, store="sqlite", data_dir=str(folder)) as served:
        served.http.headers["x-tailrace-owner"] = owner
        message = {"messageId": text, "role": "ROLE_USER", "parts": [{"text": text}]}
        frames = await served.frames("SendStreamingMessage", {"message": message})
        return artifact_text([frame.result for frame in frames])


async def test_another_context_and_another_process_remember(tmp_path: Path) -> None:
    assert await ask(tmp_path, "tea") == ""
    assert await ask(tmp_path, "cake") == "tea"
    assert await ask(tmp_path, "secret", owner="bob") == ""
    assert await ask(tmp_path, "milk") == "cake,tea"


async def test_an_agent_that_remembers_nothing_opens_nothing(tmp_path: Path) -> None:
    async def nothing(state: MessagesState) -> None:
        write("done")

    async with agent(graph_of(nothing), card=CARD, store="sqlite", data_dir=str(tmp_path)) as served:
        message = {"messageId": "m", "role": "ROLE_USER", "parts": [{"text": "x"}]}
        await served.frames("SendStreamingMessage", {"message": message})
    assert [name for name in os.listdir(tmp_path) if name.startswith("memory")] == []


async def test_every_way_to_the_store_leads_to_it() -> None:
    @tool
    async def note(text: str, store: Annotated[BaseStore, InjectedStore()]) -> str:
        """Note a text."""
        await store.aput(("notes",), text, {})
        return "noted"

    def in_a_thread(state: MessagesState) -> None:
        get_store().put(("notes",), "from a thread", {})

    async def call(state: MessagesState) -> dict[str, Any]:
        calls = [{"name": "note", "args": {"text": "from a tool"}, "id": "1", "type": "tool_call"}]
        return {"messages": [{"role": "assistant", "content": "", "tool_calls": calls}]}

    async def inner(state: MessagesState) -> None:
        await get_store().aput(("notes",), "from a subgraph", {})

    async def tell(state: MessagesState) -> None:
        write(",".join(sorted(item.key for item in await get_store().asearch(("notes",)))))

    subgraph = StateGraph(MessagesState).add_node("inner", inner).add_edge(START, "inner").compile()
    graph: StateGraph[Any, Any, Any, Any] = StateGraph(MessagesState)
    graph.add_sequence([("thread", in_a_thread), ("call", call), ("tools", ToolNode([note])), ("sub", subgraph)])
    graph.add_node("tell", tell).add_edge(START, "thread").add_edge("sub", "tell")
    assert (await testing.run(graph, "x")).response == "from a subgraph,from a thread,from a tool"

    @entrypoint()
    async def functional(text: str, *, store: BaseStore) -> str:
        await store.aput(("notes",), text, {})
        return ",".join(item.key for item in await store.asearch(("notes",)))

    assert "from a function" in str((await testing.run(functional, "from a function")).texts)


@pytest.mark.parametrize("compiled", [True, False])
async def test_an_authors_store_is_used_with_the_namespaces_as_they_are(compiled: bool) -> None:
    store = InMemoryStore()
    if compiled:
        app = AgentApp(graph_of().compile(store=store), CARD, settings=Settings(log="memory"))
    else:
        app = AgentApp(graph_of(), CARD, store=store, settings=Settings(log="memory"))
    await testing.run(app, "tea", owner="alice")
    assert [item.key for item in store.search(("memories",))] == ["tea"]
    assert (await testing.run(app, "cake", owner="bob")).response == "tea"


def test_what_is_no_store_is_refused() -> None:
    with pytest.raises(ConfigError, match="store has value 'redis'"):
        AgentApp(graph_of(), CARD, store="redis", log=MemoryLog())  # type: ignore[arg-type]
