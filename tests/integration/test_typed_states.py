"""States of custom types survive the process; an unreadable checkpoint fails its task with a reason."""

from __future__ import annotations

import contextlib
import sqlite3
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypedDict

import pytest
from langchain.agents import create_agent
from langchain.agents.structured_output import ProviderStrategy, ToolStrategy
from langchain_core.language_models import FakeListChatModel
from langchain_core.tools import tool
from langgraph.func import entrypoint, task
from langgraph.graph import START, StateGraph
from langgraph.types import Command, interrupt
from pydantic import BaseModel

from tailrace.agent.checkpoints.state_types import types_of
from tests.sample_agents import typed_state
from tests.support.events import message, said, state_of
from tests.support.fork_server import start_forked
from tests.support.hostile_checkpoints import crafted
from tests.support.in_process import agent
from tests.support.models import calls, says
from tests.support.processes import start_agent
from tests.support.restarting_agent import restarting_agent, watch


@pytest.mark.parametrize("langgraph_is_strict", ["true", "false"])
async def test_a_state_of_custom_types_survives_a_kill(langgraph_is_strict: str, tmp_path: Path) -> None:
    (tmp_path / "die at tell:start").write_text("late")
    # LangGraph reads the variable when it is imported, which a forked process does not do again. It is false otherwise.
    start = start_agent if langgraph_is_strict == "true" else start_forked
    strict = {"LANGGRAPH_STRICT_MSGPACK": langgraph_is_strict}
    async with restarting_agent(tmp_path, "typed_state", start=start, **strict) as dying:
        seen = await watch(dying, "go")
        assert dying.deaths == 1
    assert seen.state == "TASK_STATE_COMPLETED", seen.said
    assert seen.response.splitlines() == [
        "findings: [Finding(title='slow', severity=<Severity.HIGH: 'high'>, tags=[]), "
        "LogFinding(title='lost', severity=<Severity.HIGH: 'high'>, tags=['a'], line=7)]",
        "spans: {'window': Span(start=1, end=2)}",
        "severities: [<Severity.HIGH: 'high'>]",
        "box: {'inside': Measured(span=Span(start=3, end=4), value=0.5)}",
        "mode: 'fast'",
        "anything: [InAny(text='anything'), InHelper(text='of a helper')]",
    ]


class StructuredAnswer(BaseModel):
    text: str


class Noted(BaseModel):
    text: str


@task
async def note() -> Noted:
    return Noted(text="noted")


def named(found: set[type], module: str) -> set[type]:
    return {each for each in found if each.__module__ == module}


def test_types_of_structured_answers_tasks_and_subgraphs_are_found() -> None:
    @entrypoint()
    async def work(_: Any) -> str:
        return (await note()).text

    outer = StateGraph(typed_state.State).add_node("inner", typed_state.builder.compile()).add_edge(START, "inner")
    expected = {
        *(
            typed_state.Severity,
            typed_state.Span,
            typed_state.Finding,
            typed_state.LogFinding,
            typed_state.Measured,
            typed_state.InAny,
            typed_state.InHelper,
        )
    }
    assert named(types_of(outer.compile()), typed_state.__name__) == expected
    assert named(types_of(work), __name__) == {Noted}
    for response_format in (StructuredAnswer, ToolStrategy(StructuredAnswer), ProviderStrategy(StructuredAnswer)):
        assert named(types_of(answers_as(response_format)), __name__) == {StructuredAnswer}
    for either in (StructuredAnswer | Noted, ToolStrategy(StructuredAnswer | Noted)):
        assert named(types_of(answers_as(either)), __name__) == {StructuredAnswer, Noted}


class Made(BaseModel):
    text: str = ""


class Counter:
    """A node that is an object, and one that is its method."""

    def __call__(self, _: Any) -> dict[str, Any]:
        return self._made()

    def node(self, _: Any) -> dict[str, Any]:
        return self._made()

    def _made(self) -> dict[str, Any]:
        return {"messages": [Made()]}


DEFAULTS = Made(text="as usual")


def of_a_value(_: Any) -> dict[str, Any]:
    return {"messages": [DEFAULTS]}


def of_a_module(_: Any) -> dict[str, Any]:
    return {"messages": [typed_state.InAny(text="")]}


@tool
def makes(_: str) -> Any:
    """Make something."""
    return Command(update={"messages": [Made()]})


def asks_an_agent() -> Any:
    inner = answers_as(StructuredAnswer)

    @tool
    async def asks(question: str) -> Any:
        """Ask another agent."""
        return await inner.ainvoke({"messages": [("user", question)]})

    return create_agent(FakeListChatModel(responses=[]), [asks])


@pytest.mark.parametrize(
    ("graph", "expected"),
    [
        (lambda: single(Counter()), {Made}),
        (lambda: single(Counter().node), {Made}),
        (lambda: single(of_a_value), {Made}),
        (lambda: single(of_a_module), {typed_state.InAny}),
        (lambda: create_agent(FakeListChatModel(responses=[]), [makes]), {Made}),
        (asks_an_agent, {StructuredAnswer}),
    ],
    ids=["an object", "a method", "a value", "a module's attribute", "a tool", "an agent in a tool"],
)
def test_types_are_found_however_a_node_names_them(graph: Callable[[], Any], expected: set[type]) -> None:
    found = types_of(graph())
    assert named(found, __name__) | named(found, typed_state.__name__) == expected


def test_a_function_of_another_package_names_types_in_its_annotations() -> None:
    from_elsewhere = types.FunctionType(makes_a_note.__code__, globals(), "makes_a_note")
    from_elsewhere.__module__, from_elsewhere.__annotations__ = "elsewhere", {"return": list[Noted]}

    def node(_: Any) -> dict[str, Any]:
        return {"messages": from_elsewhere()}

    assert named(types_of(single(node)), __name__) == {Noted}


def makes_a_note() -> Any:
    return []


def test_types_are_found_behind_any_number_of_calls() -> None:
    source = "".join(f"def call_{each}():\n    return call_{each + 1}()\n" for each in range(3_000))
    names: dict[str, Any] = {"__name__": __name__, "Made": Made}
    exec(source + "def call_3000():\n    return Made()\ndef node(state):\n    return call_0()\n", names)
    assert named(types_of(single(names["node"])), __name__) == {Made}


def answers_as(response_format: Any) -> Any:
    return create_agent(FakeListChatModel(responses=[]), response_format=response_format)


def single(node: Any) -> Any:
    return StateGraph(State).add_node("node", node).add_edge(START, "node").compile()


async def test_the_next_task_of_a_conversation_reads_an_answer_of_one_of_several_types() -> None:
    model = says(calls("Noted", {"text": "one"}), calls("Noted", {"text": "two"}))
    async with agent(create_agent(model, [], response_format=StructuredAnswer | Noted)) as served:
        for _ in range(2):
            task = (await served.result("SendMessage", {"message": message("go", contextId="talk")}))["task"]
            assert task["status"]["state"] == "TASK_STATE_COMPLETED", task["status"]


class State(TypedDict, total=False):
    messages: list[Any]


def asking() -> StateGraph[State]:
    async def ask(state: State) -> State:
        interrupt("Go on?")
        return {}

    return StateGraph(State).add_node("ask", ask).add_edge(START, "ask")


@pytest.mark.parametrize("kind", ["a function of one argument", "a pickle"])
async def test_a_crafted_checkpoint_fails_the_task_and_runs_no_code(kind: str, tmp_path: Path) -> None:
    made = tmp_path / "made"
    async with agent(asking(), store="sqlite", data_dir=str(tmp_path)) as served:
        waiting = (await served.result("SendMessage", {"message": message("go")}))["task"]
        assert waiting["status"]["state"] == "TASK_STATE_INPUT_REQUIRED"
        with contextlib.closing(sqlite3.connect(tmp_path / "checkpoints-hello_world.sqlite3")) as database, database:
            database.execute("UPDATE checkpoints SET type = ?, checkpoint = ?", crafted(made)[kind])
        refused = await served.error("SendMessage", {"message": message("yes", taskId=waiting["id"])})
        events = await served.events(waiting["id"])
    assert "takes no message: its state is TASK_STATE_FAILED" in refused["message"]
    assert state_of(events[-1]) == "TASK_STATE_FAILED"
    assert said(events[-1]).startswith("The run cannot go on from its checkpoint: ")
    assert not made.exists()
