"""The example in the docstring of each public name of `tailrace` runs in a graph and does what it shows."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import inspect
import re
import textwrap
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from langgraph.errors import GraphDrained
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import Command

import tailrace
from tailrace.log.memory import MemoryLog
from tests.support.events import artifact_text, message, metadata, of_kind, said, state_of
from tests.support.http import serve
from tests.support.in_process import CARD, agent
from tests.support.jsonrpc import Agent

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
    """Execute the example in the docstring of a public name. Return the names that it defines."""
    docstring = inspect.getdoc(getattr(tailrace, name)) or ""
    block = re.search(r"^Example:\n((?: {4}.*\n|\n)+)", docstring + "\n", re.MULTILINE)
    assert block is not None, f"the docstring of {name} has no example"
    names: dict[str, Any] = {**NAMES, **{each: getattr(tailrace, each) for each in tailrace.__all__}}
    before = set(names)
    exec(compile(textwrap.dedent(block[1]), f"<example of {name}>", "exec"), names)
    return {key: value for key, value in names.items() if key not in before}


def graph_of(example: dict[str, Any]) -> StateGraph[Any, Any, Any, Any]:
    """A graph whose nodes are the functions of an example; without functions its node does nothing."""
    nodes = [value for value in example.values() if inspect.iscoroutinefunction(value)] or [_nothing]
    return StateGraph(example.get("State", MessagesState)).add_sequence(nodes).add_edge(START, nodes[0].__name__)


async def _nothing(state: MessagesState) -> None:
    pass


async def begin(served: Agent, *parts: dict[str, Any]) -> str:
    """Send a message with a text and these parts. Return the id of its task."""
    params = {"message": message("", parts=[{"text": "Ada"}, *parts]), "configuration": {"returnImmediately": True}}
    return str((await served.result("SendMessage", params))["task"]["id"])


async def events_of(name: str, *parts: dict[str, Any], **settings: Any) -> Events:
    """Run the example of a public name as a task. Return all events."""
    async with agent(graph_of(example_of(name)), **settings) as served:
        return await served.finished(await begin(served, *parts))


async def card_of(**fields: Any) -> dict[str, Any]:
    """Serve an agent with these options of `rpc.agent`. Return its card."""
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


async def see_progress() -> None:
    updates = of_kind(await events_of("progress"), "progress")
    assert {said(event) for event in updates} == {"comparing with the day before"}
    assert [(metadata(event)["done"], metadata(event)["total"]) for event in updates] == [(1, 3), (2, 3), (3, 3)]


async def see_write() -> None:
    events = await events_of("write")
    assert artifact_text(events) == "Nothing changed. The details are in the appendix."
    assert artifact_text(events, "appendix") == "3 files were compared."


async def see_result() -> None:
    (part,) = artifacts_of(await events_of("result"))["findings"]
    assert part == {"data": {"findings": [{"subject": "latency", "confidence": 0.9}]}}


async def see_file() -> None:
    artifacts = artifacts_of(await events_of("file"))
    (plot,), (archive,) = artifacts["plot"], artifacts["archive"]
    assert (base64.b64decode(plot["raw"]), plot["filename"], plot["mediaType"]) == (
        b"<svg/>",
        "latency.svg",
        "image/svg+xml",
    )
    assert archive["url"] == "https://example.com/logs.zip"


async def see_request() -> None:
    assert artifact_text(await events_of("request", LOG)) == "app.log has 2 lines."


async def see_made_input() -> None:
    example = example_of("Request")
    async with agent(graph_of(example), options={"input": example["given"]}) as served:
        assert artifact_text(await served.finished(await begin(served))) == "The user is local. Ada"


@contextlib.asynccontextmanager
async def translator() -> AsyncIterator[dict[str, Any]]:
    """Serve an agent that translates; yield the settings of an agent that asks it."""

    async def translate(state: MessagesState) -> None:
        tailrace.write(f"« {state['messages'][-1].text} »")

    graph = StateGraph(MessagesState).add_node(translate).add_edge(START, "translate")
    card = tailrace.AgentCard(name="translator", description="Translates.", version="1", skills=[])
    async with agent(graph, card=card) as served:
        yield {"specialist_urls": served.url, "agent_urls": served.url}


async def see_delegate() -> None:
    async with translator() as settings:
        events = await events_of("delegate", **settings)
    assert artifact_text(events) == "« Translate this into French:\nAda »"
    assert {metadata(event)["agent"] for event in events if "origin" in metadata(event)} == {"translator"}


async def see_answer() -> None:
    async with translator() as settings:
        assert artifact_text(await events_of("Answer", **settings)) == "translator says « yes » and « no ». "


async def see_delegation_failed() -> None:
    async with translator() as settings:
        assert artifact_text(await events_of("DelegationFailed", **settings)) == "« Ada »"
    failed = artifact_text(await events_of("DelegationFailed"))
    assert failed.startswith("There is no translation: no agent of this bundle")


async def see_time_left() -> None:
    """Without a deadline one execution of the node reads all pages; with little time left it reads one."""
    for settings, executions in (({}, 1), ({"attempt_s": 8, "handoff_s": 1}, 3)):
        events = await events_of("time_left", **settings)
        assert [metadata(event)["done"] for event in of_kind(events, "progress")] == [1, 2, 3]
        assert len(of_kind(events, "node_start")) == executions


async def see_draining() -> None:
    async with agent(graph_of(example_of("draining")), attempt_s=0.4, handoff_s=0.2) as served:
        task_id = await begin(served)
        await served.until(task_id, lambda frame: metadata(frame.result)["kind"] == "handoff")
        await served.result("CancelTask", {"id": task_id})


async def see_ask() -> None:
    async with agent(graph_of(example_of("ask"))) as served:
        task_id = await begin(served)
        for reply in ("4", "inside"):
            await served.until(task_id, lambda frame: state_of(frame.result) == "TASK_STATE_INPUT_REQUIRED")
            refused = await served.error("SendMessage", {"message": message("none", taskId=task_id)})
            assert "'none' is not" in refused["message"]
            sent = await served.result("SendMessage", {"message": message(reply, taskId=task_id)})
    assert sent["task"]["artifacts"][0]["parts"] == [{"text": "A table for 4 is booked inside."}]


async def see_question() -> None:
    fits = example_of("Question")["fits"]
    question = tailrace.Question(id="1", value="For how many people?", node="book")
    assert fits(question, "0") == "A table is for one person at least."
    assert fits(question, "4") is None


SEE = {
    "AgentApp": see_agent_app,
    "AgentCard": see_agent_card,
    "Answer": see_answer,
    "DelegationFailed": see_delegation_failed,
    "Extension": see_extension,
    "Question": see_question,
    "Rejected": see_rejected,
    "Request": see_made_input,
    "Skill": see_skill,
    "ask": see_ask,
    "delegate": see_delegate,
    "draining": see_draining,
    "file": see_file,
    "progress": see_progress,
    "request": see_request,
    "result": see_result,
    "time_left": see_time_left,
    "write": see_write,
}


@pytest.mark.parametrize("name", tailrace.__all__)
async def test_the_example_of_a_public_name_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAILRACE_DATA_DIR", str(tmp_path))
    await SEE[name]()
