"""`tailrace.testing` runs an agent without a server, and gives what an A2A client would get."""

from __future__ import annotations

import asyncio
import inspect
import os
import re
import textwrap
from pathlib import Path
from typing import Any

import pytest
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import interrupt

import tailrace
from tailrace import AgentApp, AgentCard, testing
from tailrace.a2a.errors import RpcError
from tailrace.errors import ConfigError
from tests.support.processes import ROOT

CARD = AgentCard(name="tested", description="For tests.", version="1", skills=[])


def graph_of(node: Any) -> StateGraph[Any, Any, Any, Any]:
    return StateGraph(MessagesState).add_node("node", node).add_edge(START, "node")


async def echo(state: MessagesState) -> None:
    tailrace.write(tailrace.request().text)


def app_of_example(name: str) -> AgentApp:
    names: dict[str, Any] = {}
    exec(compile((ROOT / "examples" / name / "handler.py").read_text(), name, "exec"), names)
    app: AgentApp = names["app"]
    return app


@pytest.mark.parametrize("name", ["run", "conversation", "request"])
async def test_the_example_in_a_docstring_is_a_test_that_passes(name: str) -> None:
    docstring = inspect.getdoc(getattr(testing, name)) or ""
    block = re.search(r"^Example:\n((?: {4}.*\n|\n)+)", docstring + "\n", re.MULTILINE)
    assert block is not None
    names: dict[str, Any] = {
        "START": START,
        "MessagesState": MessagesState,
        "StateGraph": StateGraph,
        "interrupt": interrupt,
        "tailrace": tailrace,
        "write": tailrace.write,
        **{each: getattr(testing, each) for each in testing.__all__},
    }
    exec(compile(textwrap.dedent(block[1]), name, "exec"), names)
    (test,) = [value for key, value in names.items() if key.startswith("test_")]
    await test()


async def test_the_examples_are_tested_without_a_server() -> None:
    counted = await testing.run(app_of_example("1_progress"), "to be")
    assert counted.response == "Your text has 2 words."
    kinds = [event.metadata.kind for event in counted.events]
    assert kinds.index("tool_start") < kinds.index("progress") < kinds.index("tool_complete")
    booked = await testing.run(app_of_example("3_question"), "I am hungry.", answers=["4"])
    assert booked.response == "A table for 4 is booked."


async def test_an_agent_leaves_no_file_and_is_new_in_each_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAILRACE_DATA_DIR", str(tmp_path))

    async def count(state: MessagesState) -> None:
        tailrace.write(str(len(state["messages"])))

    app = AgentApp(graph_of(count), CARD)
    assert [(await testing.run(app, "hello")).response for _ in range(2)] == ["1", "1"]
    assert os.listdir(tmp_path) == []


def test_a_test_without_an_event_loop_uses_asyncio_run() -> None:
    assert asyncio.run(testing.run(graph_of(echo), "Ada")).response == "Ada"


async def test_what_is_sent_arrives(tmp_path: Path) -> None:
    async def look(state: MessagesState) -> None:
        request = tailrace.request()
        shown = {each.filename: [each.media_type, each.bytes().decode(errors="replace")] for each in request.files}
        tailrace.result("sent", [request.text, request.data, request.metadata, request.owner, shown])

    (tmp_path / "a.log").write_text("one\n")
    app = AgentApp(graph_of(look), AgentCard(name="t", description="", version="1", skills=[], input_modes=("*/*",)))
    sent: dict[str, Any] = {"data": [{"a": 1}], "metadata": {"k": "v"}, "owner": "ada"}
    by_path = await testing.run(app, "Hi", files=[tmp_path / "a.log"], **sent)
    assert by_path.data == {
        "sent": ["Hi", [{"a": 1}], {"k": "v"}, "ada", {"a.log": ["application/octet-stream", "one\n"]}]
    }
    by_name = await testing.run(app, files={"b.txt": "two", "c.png": b"\x89PNG"}, **sent)
    files = {"b.txt": ["text/plain", "two"], "c.png": ["image/png", "\ufffdPNG"]}
    assert by_name.data == {"sent": ["", [{"a": 1}], {"k": "v"}, "ada", files]}


async def test_every_kind_of_artifact_is_typed() -> None:
    async def give(state: MessagesState) -> None:
        tailrace.write("Hello, ")
        tailrace.write("Ada")
        tailrace.result("numbers", [1, 2])
        tailrace.file("plot", b"<svg/>", filename="plot.svg", media_type="image/svg+xml")
        tailrace.file("archive", url="https://example.com/a.zip", media_type="application/zip")

    given = await testing.run(graph_of(give), "x")
    assert given.texts == {"response": "Hello, Ada"}
    assert given.data == {"numbers": [1, 2]}
    assert given.files["plot"] == testing.File("plot.svg", "image/svg+xml", b"<svg/>")
    assert given.files["archive"].url == "https://example.com/a.zip"
    assert [event.metadata.seq for event in given.events] == list(range(1, len(given.events) + 1))


async def test_questions_are_answered_in_turn_or_by_a_function() -> None:
    async def ask(state: MessagesState) -> None:
        tailrace.write(f"{interrupt('First?')} {interrupt('Second?')['n']}")

    in_turn = await testing.run(graph_of(ask), "x", answers=["one", {"n": 2}])
    assert in_turn.response == "one 2"
    assert [question.value for question in in_turn.questions] == ["First?", "Second?"]

    by_function = await testing.run(
        graph_of(ask), "x", answers=lambda question: "one" if question.value == "First?" else {"n": 2}
    )
    assert by_function.response == "one 2"

    waiting = await testing.run(graph_of(ask), "x", answers=["one"])
    assert [question.node for question in waiting.questions] == ["node", "node"]
    assert (waiting.state, waiting.message) == ("TASK_STATE_INPUT_REQUIRED", "Second?")


async def test_several_questions_at_once_are_answered_one_by_one() -> None:
    async def first(state: MessagesState) -> None:
        tailrace.result("first", interrupt("First?"))

    async def second(state: MessagesState) -> None:
        tailrace.result("second", interrupt("Second?"))

    graph: StateGraph[Any, Any, Any, Any] = StateGraph(MessagesState).add_node(first).add_node(second)
    graph.add_edge(START, "first").add_edge(START, "second")
    answered = await testing.run(graph, "x", answers=lambda question: question.value.lower())
    assert answered.data == {"first": "first?", "second": "second?"}
    half = await testing.run(graph, "x", answers=lambda question: "1" if question.value == "First?" else None)
    assert half.state == "TASK_STATE_INPUT_REQUIRED"
    assert half.message == "Second?"
    assert [question.value for question in half.questions] == ["First?", "Second?"]


async def test_a_failure_a_rejection_and_a_refusal_are_reported() -> None:
    async def fail(state: MessagesState) -> None:
        raise ValueError("no disk")

    async def reject(state: MessagesState) -> None:
        raise tailrace.Rejected("Send a log.")

    failed, rejected = await testing.run(graph_of(fail), "x"), await testing.run(graph_of(reject), "x")
    assert (failed.state, rejected.state) == ("TASK_STATE_FAILED", "TASK_STATE_REJECTED")
    assert "no disk" in failed.message
    assert rejected.message == "Send a log."
    with pytest.raises(RpcError, match="image/png"):
        await testing.run(AgentApp(graph_of(echo), CARD), files={"a.png": b"\x89PNG"})


async def test_a_graph_that_cannot_be_served_is_refused() -> None:
    with pytest.raises(ConfigError, match="graph"):
        await testing.run(lambda: "no graph", "x")


async def test_the_options_of_the_app_hold() -> None:
    async def answer(request: Any) -> str | None:
        return "pong" if request.text == "ping" else None

    app = AgentApp(graph_of(echo), CARD, answer=answer, output=lambda state: {"size": len(state["messages"])})
    assert (await testing.run(app, "ping")).message == "pong"
    assert (await testing.run(app, "Ada")).data == {"size": 1}


async def test_a_request_ends_with_its_block() -> None:
    with testing.request("Ada", data=[1]) as request:
        assert tailrace.request() is request
        with testing.request("inner"):
            assert tailrace.request().text == "inner"
        assert tailrace.request().text == "Ada"
    with pytest.raises(LookupError):
        tailrace.request()
