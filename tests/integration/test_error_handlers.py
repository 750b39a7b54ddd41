"""Error handlers of nodes: a node that has failed does not run again, and its handler is a step like any other."""

from __future__ import annotations

import asyncio
import operator
from collections import Counter
from typing import Annotated, Any, TypedDict

import pytest
from langgraph.errors import GraphDrained, NodeError
from langgraph.func import task
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command, RetryPolicy, Send, interrupt

from tailrace import write
from tests.support.events import artifact_text, message, metadata, of_kind, state_of
from tests.support.graphs import Events, failure, model, named, run
from tests.support.in_process import agent

pytestmark = pytest.mark.asyncio

DONE, ASKED = "TASK_STATE_COMPLETED", "TASK_STATE_INPUT_REQUIRED"
HANDLER = "__error_handler__fails"


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


def graph(fails: Any, handler: Any, **options: Any) -> StateGraph[MessagesState]:
    built = StateGraph(MessagesState).add_node("fails", fails, error_handler=handler, **options)
    return built.add_edge(START, "fails")


def pairs(events: Events) -> list[tuple[str, str]]:
    """The starts and ends of nodes, in order."""
    steps = [metadata(event) for event in events]
    return [(each["kind"], each["name"]) for each in steps if each["kind"] in ("node_start", "node_end")]


@pytest.mark.parametrize("threads", [False, True])
async def test_an_error_handler_is_a_step_with_a_start_and_an_end(threads: bool) -> None:
    def fails(_: MessagesState) -> None:
        raise ConnectionError("no line")

    def handler(_: MessagesState, error: NodeError) -> Command[str]:
        write(f"{error.node}: {error.error}. ")
        return Command(goto="after")

    async def fails_async(state: MessagesState) -> None:
        fails(state)

    async def handler_async(state: MessagesState, error: NodeError) -> Command[str]:
        return handler(state, error)

    async def after(_: MessagesState) -> None:
        write("After.")

    built = graph(fails, handler) if threads else graph(fails_async, handler_async)
    events = await run(built.add_node(after))
    assert state_of(events[-1]) == DONE
    assert pairs(events) == [
        (kind, name) for name in ("fails", HANDLER, "after") for kind in ("node_start", "node_end")
    ]
    assert artifact_text(events) == "fails: no line. After."
    assert named(events, "node_end")["fails"]["error"] == "no line"
    (handled,) = {metadata(event)["step"] for event in of_kind(events, "token")[:1]}
    assert handled == named(events, "node_start")[HANDLER]["step"]


async def test_an_error_handler_is_a_step_inside_the_step_that_failed() -> None:
    async def fails(_: MessagesState) -> None:
        raise ConnectionError

    async def handler(_: MessagesState) -> None:
        write("handled")

    events = await run(
        StateGraph(MessagesState).add_node("sub", graph(fails, handler).compile()).add_edge(START, "sub")
    )
    assert state_of(events[-1]) == DONE
    begun = named(events, "node_start")
    assert begun["fails"]["parent"] == begun["sub"]["step"]
    assert begun[HANDLER]["parent"] == named(events, "node_end")[HANDLER]["parent"] == begun["fails"]["step"]
    assert {metadata(event)["parent"] for event in of_kind(events, "token")} == {begun["fails"]["step"]}


async def test_what_a_handled_node_has_written_and_said_is_not_in_the_response() -> None:
    tries = [0]

    async def fails(state: MessagesState) -> None:
        tries[0] += 1
        write(f"Try {tries[0]}. ")
        await model("half an answer").ainvoke(state["messages"])
        raise ConnectionError

    async def handler(_: MessagesState) -> None:
        write("Handled.")

    retry = RetryPolicy(initial_interval=0.001, max_attempts=2)
    events = await run(graph(fails, handler, retry_policy=retry))
    assert (tries, artifact_text(events)) == ([2], "Handled.")


async def test_what_the_nodes_in_a_handled_node_have_written_is_not_in_the_response() -> None:
    @task
    async def called() -> None:
        write("A task. ")

    async def first(_: MessagesState) -> None:
        write("First. ")
        await called()

    async def second(_: MessagesState) -> None:
        write("Second. ")
        raise ConnectionError

    async def handler(_: MessagesState) -> None:
        write("Handled.")

    sub = StateGraph(MessagesState).add_sequence([first, second]).add_edge(START, "first").compile()
    events = await run(graph(sub, handler))
    assert (state_of(events[-1]), artifact_text(events)) == (DONE, "Handled.")


async def test_a_failure_names_the_error_handler_that_failed() -> None:
    async def fails(_: MessagesState) -> None:
        raise ConnectionError

    async def handler(_: MessagesState) -> None:
        raise KeyError("in the handler")

    failed = failure(await run(graph(fails, handler)))
    assert failed == "The agent failed in error handler of fails: KeyError: 'in the handler'"


async def test_a_node_that_fails_at_every_send_is_handled_at_each() -> None:
    async def fails(state: Any) -> None:
        if state["number"] % 2:
            raise ConnectionError(f"number {state['number']}")
        write("fine ")

    async def handler(_: Any, error: NodeError) -> None:
        write("handled ")

    built = StateGraph(MessagesState).add_node("fails", fails, error_handler=handler)
    built.add_conditional_edges(START, lambda _: [Send("fails", {"number": each}) for each in range(6)], ["fails"])
    events = await run(built)
    assert sorted(artifact_text(events).split()) == ["fine"] * 3 + ["handled"] * 3
    kinds = [kind for kind, _ in pairs(events)]
    assert (kinds.count("node_start"), kinds.count("node_end")) == (9, 9)


@pytest.mark.parametrize("error", [ConnectionError("no line"), Unprintable()])
async def test_the_question_of_an_error_handler_does_not_run_the_node_again(error: Exception) -> None:
    runs = {"fails": 0, "handler": 0}

    async def fails(_: MessagesState) -> None:
        runs["fails"] += 1
        raise error

    async def handler(_: MessagesState, error: NodeError) -> None:
        runs["handler"] += 1
        answer = interrupt("What now?")
        write(f"{error.node} failed ({error.error}): {answer}.")

    async with agent(graph(fails, handler)) as served:
        task = (await served.result("SendMessage", {"message": message("hello")}))["task"]
        assert task["status"]["state"] == ASKED
        await served.result("SendMessage", {"message": message("skip it", taskId=task["id"])})
        events = await served.events(task["id"])
    assert state_of(events[-1]) == DONE
    assert runs == {"fails": 1, "handler": 2}
    assert artifact_text(events) in (
        "fails failed (ConnectionError: no line): skip it.",
        "fails failed (Unprintable: (its text cannot be read: RuntimeError)): skip it.",
    )
    asked, answered = [metadata(event) for event in of_kind(events, "node_start") if metadata(event)["name"] == HANDLER]
    assert asked["step"] == answered["step"]


async def test_another_attempt_goes_on_with_the_error_handler() -> None:
    runs = {"fails": 0, "handler": 0}

    async def fails(_: MessagesState) -> None:
        runs["fails"] += 1
        write("The node. ")
        raise ConnectionError

    async def handler(_: MessagesState) -> None:
        runs["handler"] += 1
        write("The handler.")
        if runs["handler"] == 1:
            raise GraphDrained("deadline")

    async with agent(graph(fails, handler)) as served:
        task = (await served.result("SendMessage", {"message": message("hello")}))["task"]
        events = await served.events(task["id"])
    assert state_of(events[-1]) == DONE
    assert runs == {"fails": 1, "handler": 2}
    assert artifact_text(events) == "The handler."


class Notes(TypedDict):
    notes: Annotated[list[str], operator.add]


def beside(other: Any, ran: list[str]) -> StateGraph[Notes]:
    """A graph with a node that fails and is handled while `other` runs, and a node behind the error handler."""

    async def fails(_: Notes) -> None:
        raise ConnectionError

    async def handler(_: Notes) -> Command[str]:
        ran.append("handler")
        write("The handler. ")
        return Command(update={"notes": ["handled"]}, goto="after")

    async def after(state: Notes) -> None:
        write(f"After {state['notes']}.")

    built = StateGraph(Notes).add_node("fails", fails, error_handler=handler).add_node("other", other).add_node(after)
    return built.add_edge(START, "fails").add_edge(START, "other")


async def test_an_error_handler_that_has_ended_does_not_run_again_when_a_node_beside_it_does() -> None:
    ran: list[str] = []

    async def other(_: Notes) -> None:
        while not ran:
            await asyncio.sleep(0)
        ran.append("other")
        if ran.count("other") == 1:
            raise GraphDrained("deadline")

    async with agent(beside(other, ran)) as served:
        begun = (await served.result("SendMessage", {"message": message("hello")}))["task"]
        events = await served.events(begun["id"])
    assert state_of(events[-1]) == DONE
    assert ran == ["handler", "other", "other"]
    assert artifact_text(events) == "The handler. After ['handled']."
    assert [name for _, name in pairs(events)].count(HANDLER) == 2


async def test_error_handlers_that_ask_at_once_are_answered_one_by_one_and_none_runs_again_after_its_end() -> None:
    ran: Counter[int] = Counter()

    async def fails(_: Any) -> None:
        raise ConnectionError

    async def handler(state: Any) -> Command[str]:
        ran[state["number"]] += 1
        answer = interrupt(state["number"])
        write(f"{state['number']} {answer}. ")
        return Command(update={"notes": [answer]}, goto="after")

    async def after(state: Notes) -> None:
        write(f"{len(state['notes'])} notes.")

    built = StateGraph(Notes).add_node("fails", fails, error_handler=handler).add_node(after)
    built.add_conditional_edges(START, lambda _: [Send("fails", {"number": each}) for each in range(3)], ["fails"])
    async with agent(built) as served:
        task = (await served.result("SendMessage", {"message": message("hello")}))["task"]
        while task["status"]["state"] == ASKED:
            (data,) = [part["data"] for part in task["status"]["message"]["parts"] if "data" in part]
            first = min(data["interrupts"], key=lambda each: int(each["value"]))
            reply = message("", taskId=task["id"], parts=[{"data": {"answers": {first["id"]: "yes"}}}])
            task = (await served.result("SendMessage", {"message": reply}))["task"]
        events = await served.events(task["id"])
    assert state_of(events[-1]) == DONE
    assert artifact_text(events) == "0 yes. 1 yes. 2 yes. 3 notes."
    assert ran == {0: 2, 1: 3, 2: 4}


async def test_another_attempt_goes_on_in_a_graph_that_an_error_handler_calls() -> None:
    runs: list[str] = []

    async def first(_: MessagesState) -> None:
        runs.append("first")
        write("First. ")

    async def second(_: MessagesState) -> None:
        runs.append("second")
        write("Second.")
        if runs.count("second") == 1:
            raise GraphDrained("deadline")

    called = StateGraph(MessagesState).add_sequence([first, second]).add_edge(START, "first").compile()

    async def fails(_: MessagesState) -> None:
        runs.append("fails")
        raise ConnectionError

    async def handler(state: MessagesState) -> None:
        await called.ainvoke(state)

    sub = graph(fails, handler).compile()
    async with agent(StateGraph(MessagesState).add_node("sub", sub).add_edge(START, "sub")) as served:
        task = (await served.result("SendMessage", {"message": message("hello")}))["task"]
        events = await served.events(task["id"])
    assert state_of(events[-1]) == DONE
    assert runs == ["fails", "first", "second", "second"]
    assert artifact_text(events) == "First. Second."


async def test_one_error_handler_may_be_for_all_nodes_and_be_tried_again() -> None:
    tries = [0]

    async def fails(_: MessagesState) -> None:
        raise ConnectionError

    async def handler(_: MessagesState, error: NodeError) -> None:
        tries[0] += 1
        write(f"{error.node} failed, try {tries[0]}")
        if tries[0] == 1:
            raise ConnectionError

    built = StateGraph(MessagesState).add_node(fails).add_edge(START, "fails")
    built.set_node_defaults(error_handler=handler, retry_policy=RetryPolicy(initial_interval=0.001, max_attempts=2))
    events = await run(built)
    assert artifact_text(events) == "fails failed, try 2"
    assert [name for _, name in pairs(events)] == ["fails"] * 2 + ["__default_error_handler__"] * 2
