"""The example in the docstring of each public name of `tailrace` runs in a graph and does what it shows."""

from __future__ import annotations

import asyncio
import base64
import inspect
import re
import textwrap
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from langgraph.errors import GraphDrained
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import Command
from rpc import CARD, Agent, agent, message, said, state_of
from serving import serve

import tailrace
from tailrace.log.memory import MemoryLog

Events = list[dict[str, Any]]

# What the examples may use, as the docstring of `tailrace` says.
NAMES = {
    "asyncio": asyncio,
    "Command": Command,
    "END": END,
    "GraphDrained": GraphDrained,
    "MessagesState": MessagesState,
    "START": START,
    "StateGraph": StateGraph,
}
LOG = {"raw": base64.b64encode(b"one\ntwo\n").decode(), "filename": "app.log", "mediaType": "text/plain"}


def example_of(name: str) -> dict[str, Any]:
    """Execute the example of a public name. Its global names afterwards."""
    docstring = inspect.getdoc(getattr(tailrace, name)) or ""
    block = re.search(r"^Example:\n((?: {4}.*\n|\n)+)", docstring + "\n", re.MULTILINE)
    assert block is not None, f"the docstring of {name} has no example"
    names: dict[str, Any] = {**NAMES, **{each: getattr(tailrace, each) for each in tailrace.__all__}}
    before = set(names)
    exec(compile(textwrap.dedent(block[1]), f"<example of {name}>", "exec"), names)
    return {key: value for key, value in names.items() if key not in before}


def graph_of(example: dict[str, Any]) -> StateGraph[Any, Any, Any, Any]:
    """The functions of an example as the nodes of a graph; a node that does nothing where there are none."""
    nodes = [value for value in example.values() if inspect.iscoroutinefunction(value)] or [_nothing]
    return StateGraph(example.get("State", MessagesState)).add_sequence(nodes).add_edge(START, nodes[0].__name__)


async def _nothing(state: MessagesState) -> None:
    pass


async def begin(served: Agent, *parts: dict[str, Any]) -> str:
    """Send a message with a text and these parts; the id of its task."""
    params = {"message": message("", parts=[{"text": "Ada"}, *parts]), "configuration": {"returnImmediately": True}}
    return str((await served.result("SendMessage", params))["task"]["id"])


async def events_of(name: str, *parts: dict[str, Any], **settings: Any) -> Events:
    """All events of a task that runs an example."""
    async with agent(graph_of(example_of(name)), **settings) as served:
        return await served.finished(await begin(served, *parts))


async def card_of(**fields: Any) -> dict[str, Any]:
    """The card as an agent serves it."""
    async with agent(graph_of({}), **fields) as served:
        card: dict[str, Any] = (await served.http.get(f"{served.url}/.well-known/agent-card.json")).json()
    return card


def artifacts_of(events: Events) -> dict[str, list[dict[str, Any]]]:
    return {
        event["artifactUpdate"]["artifact"]["name"]: event["artifactUpdate"]["artifact"]["parts"]
        for event in events
        if "artifactUpdate" in event
    }


async def see_agent_app() -> None:
    async with serve(example_of("AgentApp")["app"]) as url, httpx.AsyncClient() as http:
        served = Agent(http, url, MemoryLog())
        task = (await served.result("SendMessage", {"message": message("Ada")}))["task"]
    assert task["artifacts"][0]["parts"] == [{"text": "Hello, Ada!"}]


async def see_agent_card() -> None:
    card = await card_of(card=example_of("AgentCard")["card"])
    assert (card["name"], card["version"]) == ("translator", "1.0.0")
    assert [skill["id"] for skill in card["skills"]] == ["translate"]


async def see_skill() -> None:
    skill = example_of("Skill")["skill"]
    card = await card_of(card=msgspec.structs.replace(CARD, skills=[skill]))
    assert card["skills"] == [msgspec.to_builtins(skill)]
    assert card["skills"][0]["examples"] == ["Translate into French: good morning"]


async def see_extension() -> None:
    extension = example_of("Extension")["extension"]
    card = await card_of(card=msgspec.structs.replace(CARD, extensions=[extension]))
    assert msgspec.to_builtins(extension) in card["capabilities"]["extensions"]


async def see_rejected() -> None:
    last = (await events_of("Rejected"))[-1]
    assert state_of(last) == "TASK_STATE_REJECTED"
    assert said(last) == "There is no log to read. Send it as a file."
    assert state_of((await events_of("Rejected", LOG))[-1]) == "TASK_STATE_COMPLETED"


SEE = {
    "AgentApp": see_agent_app,
    "AgentCard": see_agent_card,
    "Extension": see_extension,
    "Rejected": see_rejected,
    "Skill": see_skill,
}


@pytest.mark.parametrize("name", SEE)
async def test_the_example_of_a_public_name_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAILRACE_DATA_DIR", str(tmp_path))
    await SEE[name]()
