"""A question of another agent is a question of the task that has asked it, and the answer goes back to that agent."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Send, interrupt
from starlette.responses import Response

from tailrace import AgentCard, ask, delegate, write
from tests.support.events import message, metadata, of_kind, state_of
from tests.support.foreign_agents import TASK, WORKING, Peer, result, stream
from tests.support.http import serve
from tests.support.in_process import agent
from tests.support.jsonrpc import Agent

DONE, ASKED = "TASK_STATE_COMPLETED", "TASK_STATE_INPUT_REQUIRED"
Task = dict[str, Any]


@contextlib.asynccontextmanager
async def served(name: str, *nodes: Any, below: str = "", **settings: Any) -> AsyncIterator[Agent]:
    """Serve an agent with these nodes in a row, which knows the agents at the URLs `below`."""
    graph = StateGraph(MessagesState).add_sequence(list(nodes)).add_edge(START, nodes[0].__name__)
    card = AgentCard(name=name, description="", version="1", skills=[])
    async with agent(graph, card=card, specialist_urls=below, agent_urls=below, **settings) as running:
        yield running


async def size(state: MessagesState) -> None:
    people = ask("For how many?", schema={"type": "integer", "minimum": 1})
    where = interrupt({"question": "Where?", "options": ["in", "out"]})
    write(f"A table for {people}, {where}.")


def asks(*names: str) -> Any:
    """A node that asks these agents one after the other and writes their answers."""

    async def node(state: MessagesState) -> None:
        for name in names:
            write((await delegate(name, "a table")).text + "\n")

    return node


async def send(running: Agent, *parts: Any, task: Task | None = None) -> Task:
    sent = message("a table" if not parts else "", **({"parts": list(parts)} if parts else {}))
    if task is not None:
        sent["taskId"] = task["id"]
    return dict((await running.result("SendMessage", {"message": sent}))["task"])


def questions(task: Task) -> list[dict[str, Any]]:
    assert task["status"]["state"] == ASKED, task["status"]
    return list(next(part["data"] for part in task["status"]["message"]["parts"] if "data" in part)["interrupts"])


def answer_of(task: Task) -> str:
    assert task["status"]["state"] == DONE, task["status"]
    return str(task["artifacts"][0]["parts"][0]["text"])


async def test_another_agents_question_is_asked_with_its_name_and_answered_there() -> None:
    async with served("tables", size) as tables, served("front", asks("tables"), below=tables.url) as front:
        task = await send(front)
        [question] = questions(task)
        assert question["value"]["question"] == "For how many?"
        assert question["value"]["agent"] == "tables"
        assert question["schema"] == {"type": "integer", "minimum": 1}
        assert task["status"]["message"]["parts"][0]["text"] == "tables asks: For how many?"

        params = {"message": message("", taskId=task["id"], parts=[{"data": 0}])}
        assert "minimum" in (await front.error("SendMessage", params))["message"], "the schema is checked here"
        task = await send(front, {"text": "4"}, task=task)
        assert questions(task)[0]["value"]["options"] == ["in", "out"]
        task = await send(front, {"text": "in"}, task=task)
        assert answer_of(task) == "A table for 4, in.\n"

        events = await front.events(task["id"])
        [delegated] = {json.dumps(metadata(event)["asked"]["task"]) for event in events if "asked" in metadata(event)}
        origins = [metadata(event)["origin"]["seq"] for event in events if "origin" in metadata(event)]
        assert origins == sorted(set(origins)), "no event is forwarded twice"
        theirs = await tables.events(json.loads(delegated))
        assert len([event for event in theirs if state_of(event) == ASKED]) == 2


async def test_a_question_goes_through_three_levels() -> None:
    async with (
        served("tables", size) as tables,
        served("middle", asks("tables"), below=tables.url) as middle,
        served("front", asks("middle"), below=middle.url) as front,
    ):
        task = await send(front)
        assert questions(task)[0]["value"]["agent"] == "tables"
        task = await send(front, {"text": "2"}, task=task)
        task = await send(front, {"text": "out"}, task=task)
        assert answer_of(task) == "A table for 2, out.\n"


async def test_several_agents_ask_at_once_and_each_is_answered_by_its_id() -> None:
    async def one(state: dict[str, str]) -> None:
        write((await delegate(state["agent"], "a table")).text, artifact=state["agent"])

    graph = StateGraph(MessagesState).add_node("one", one)
    graph.add_conditional_edges(START, lambda _: [Send("one", {"agent": name}) for name in ("a", "b")], ["one"])
    card = AgentCard(name="front", description="", version="1", skills=[])
    async with served("a", size) as first, served("b", size) as second:
        urls = f"{first.url},{second.url}"
        async with agent(graph, card=card, specialist_urls=urls, agent_urls=urls) as front:
            task = await send(front)
            ids = {each["value"]["agent"]: each["id"] for each in questions(task)}
            assert set(ids) == {"a", "b"}
            task = await send(front, {"data": {"answers": {ids["b"]: 7}}}, task=task)
            asked = {each["value"]["agent"]: each for each in questions(task)}
            assert (asked["a"]["id"], asked["b"]["value"]["question"]) == (ids["a"], "Where?")
            answers = {asked["a"]["id"]: 1, asked["b"]["id"]: "out"}
            task = await send(front, {"data": {"answers": answers}}, task=task)
            task = await send(front, {"text": "in"}, task=task)
    assert task["status"]["state"] == DONE
    texts = {each["name"]: each["parts"][0]["text"] for each in task["artifacts"]}
    assert texts == {"a": "A table for 1, in.", "b": "A table for 7, out."}


async def test_an_answer_that_the_other_agent_refuses_is_asked_for_again() -> None:
    async def name(state: MessagesState) -> None:
        write(f"Hello, {interrupt('Who are you?')}!")

    def short(_: Any, answer: Any) -> str | None:
        return "It is too long." if len(answer) > 3 else None

    async with (
        served("greeter", name, options={"check_answer": short}) as greeter,
        served("front", asks("greeter"), below=greeter.url) as front,
    ):
        task = await send(front)
        task = await send(front, {"text": "Margaret"}, task=task)
        assert "It is too long." in questions(task)[0]["value"]["refused"]
        task = await send(front, {"text": "Ada"}, task=task)
        assert answer_of(task) == "Hello, Ada!\n"


async def test_a_cancel_of_a_task_that_passes_on_a_question_reaches_the_agent_that_asks() -> None:
    async with served("tables", size) as tables, served("front", asks("tables"), below=tables.url) as front:
        task = await send(front)
        [start] = of_kind(await front.events(task["id"]), "tool_start")
        await front.result("CancelTask", {"id": task["id"]})
        events = await tables.events(metadata(start)["asked"]["task"])
    assert state_of(events[-1]) == "TASK_STATE_CANCELED"


class AsksOnce:
    """Another make's agent: it asks a question, and its task is done with the reply."""

    def __init__(self) -> None:
        self.replies: list[Any] = []
        self.peer = Peer(SendStreamingMessage=self.send, GetTask=lambda call: result(self.task())(call))

    def task(self) -> dict[str, Any]:
        if self.replies:
            parts = [{"text": f"You said {self.replies[0][0]['text']}."}]
            return {**TASK, "status": {"state": DONE}, "artifacts": [{"artifactId": "a", "parts": parts}]}
        question = {"messageId": "q", "role": "ROLE_AGENT", "parts": [{"text": "May I?"}]}
        return {**TASK, "status": {"state": ASKED, "message": question}}

    def send(self, call: dict[str, Any]) -> Response:
        if call["params"]["message"].get("taskId"):
            self.replies.append(call["params"]["message"]["parts"])
        return stream({"task": WORKING}, {"task": self.task()})(call)


async def test_a_foreign_agents_question_is_answered_in_text() -> None:
    foreign = AsksOnce()
    async with serve(foreign.peer.app) as url, served("front", asks(url), below=url) as front:
        foreign.peer.url = url
        task = await send(front)
        [question] = questions(task)
        assert (question["value"]["question"], question["value"]["agent"]) == ("May I?", "peer")
        task = await send(front, {"text": "yes"}, task=task)
        assert answer_of(task) == "You said yes.\n"
    assert foreign.replies == [[{"text": "yes"}]]
