"""A node that is tried again, and cut in a later try by a hand-off or a question: the next attempt goes on well."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from langgraph.errors import GraphDrained
from langgraph.func import entrypoint, task
from langgraph.graph import START, StateGraph
from langgraph.types import RetryPolicy, interrupt
from typing_extensions import TypedDict

from tailrace import write
from tests.support.events import artifact_text, message, state_of
from tests.support.graphs import Events
from tests.support.in_process import agent

pytestmark = pytest.mark.asyncio

RETRY = RetryPolicy(initial_interval=0.01, max_attempts=5)


class State(TypedDict, total=False):
    x: Any


def stumble(over: list[str]) -> None:
    """Fail, hand the run on, or ask, as the list says next."""
    if over:
        match over.pop(0):
            case "fails":
                raise ConnectionError("flaky")
            case "hands on":
                raise GraphDrained("deadline")
            case "asks":
                over.insert(0, "asked")
                interrupt("Go on?")
            case "asked":
                interrupt("Go on?")


async def run(graph: Any) -> Events:
    async with agent(graph) as served:
        task_id = (await served.result("SendMessage", {"message": message("hello")}))["task"]["id"]
        events: Events = await served.events(task_id)
        answers = 0
        while state_of(events[-1]) == "TASK_STATE_INPUT_REQUIRED":
            answers += 1
            assert answers < 20, "It asks without end."
            await served.result("SendMessage", {"message": message("yes", taskId=task_id)})
            events = await served.events(task_id)
    assert state_of(events[-1]) == "TASK_STATE_COMPLETED"
    return events


CUTS = [
    ["fails", "hands on"],
    ["hands on", "fails", "hands on"],
    ["fails", "hands on", "fails", "hands on"],
    ["fails", "asks"],
    ["fails", "asks", "fails"],
]


@pytest.mark.parametrize("cuts", CUTS, ids=", ".join)
@pytest.mark.parametrize("called", [True, False], ids=["called by the node", "is the node"])
@pytest.mark.parametrize("lasting", [None, True])
async def test_what_a_graph_in_a_retried_node_wrote_is_told_once(
    cuts: list[str], called: bool, lasting: bool | None
) -> None:
    over = list(cuts)

    async def first(_: State) -> None:
        write("first. ")

    async def second(_: State) -> None:
        write("second. ")
        stumble(over)

    inner = StateGraph(State).add_sequence([first, second]).add_edge(START, "first").compile(checkpointer=lasting)

    async def node(state: State) -> None:
        await inner.ainvoke(state)

    graph = StateGraph(State).add_node("node", node if called else inner, retry_policy=RETRY).add_edge(START, "node")
    assert artifact_text(await run(graph)) == "first. second. "


@pytest.mark.parametrize("cuts", CUTS, ids=", ".join)
async def test_two_graphs_in_a_retried_node_each_have_their_own_result(cuts: list[str]) -> None:
    over = [*cuts]

    def doubles(name: str) -> Any:
        async def node(state: State) -> State:
            stumble(over)
            write(f"{name} of {state['x']}. ")
            return {"x": 2 * state["x"]}

        return StateGraph(State).add_node(name, node).add_edge(START, name).compile()

    one, two = doubles("one"), doubles("two")

    async def node(_: State) -> State:
        return {"x": (await one.ainvoke({"x": 1}))["x"] + 10 * (await two.ainvoke({"x": 3}))["x"]}

    graph = StateGraph(State).add_node("node", node, retry_policy=RETRY).add_edge(START, "node")
    events = await run(graph)
    assert sorted(artifact_text(events).split(". ")) == ["", "one of 1", "two of 3"]


@pytest.mark.parametrize("cuts", CUTS, ids=", ".join)
@pytest.mark.parametrize("called_by", ["an entrypoint", "a node"])
async def test_each_task_that_a_retried_step_calls_has_its_own_result(cuts: list[str], called_by: str) -> None:
    over = [*cuts]

    @task
    async def inner(number: int) -> int:
        return 10 * number

    @task
    async def fetch(number: int) -> int:
        write(f"{number}. ")
        return await inner(number) + number

    async def collect(_: Any) -> None:
        results = []
        for number in range(3):
            results.append(await fetch(number))
            stumble(over)
        write(f"{results}")

    graph: Any = entrypoint(retry_policy=RETRY)(collect)
    if called_by == "a node":
        graph = StateGraph(State).add_node("node", collect, retry_policy=RETRY).add_edge(START, "node")
    assert artifact_text(await run(graph)) == "0. 1. 2. [0, 11, 22]"


async def test_what_is_void_since_a_reply_stays_void() -> None:
    """What a later try began before a question begins again with the reply, and is not taken up again after that."""
    script = [("all", "fails"), ("leaf 1", "fails"), ("leaf 0", "asks"), ("leaf 1", "hands on"), ("all", "fails")]
    asked = set[str]()

    def at(place: str) -> None:
        if place in asked:
            interrupt("Go on?")
        elif script and script[0][0] == place:
            what = script.pop(0)[1]
            asked.update([place] if what == "asks" else [])
            stumble([what])

    @task
    async def leaf(number: int) -> int:
        write(f"leaf {number}. ")
        at(f"leaf {number}")
        return 10 * number

    @task
    async def branch(number: int) -> int:
        return await leaf(number) + number

    async def node(_: State) -> None:
        results = []
        for number in range(2):
            results.append(await branch(number))
            at("all")
        write(f"{results}")

    inner = StateGraph(State).add_node("node", node, retry_policy=RETRY).add_edge(START, "node").compile()
    graph = StateGraph(State).add_node("graph", inner, retry_policy=RETRY).add_edge(START, "graph")
    assert artifact_text(await run(graph)) == "leaf 0. leaf 1. [0, 11]"
    assert not script


@pytest.mark.parametrize("inside", ["a graph that is the node", "a graph that the node calls", "a task"])
async def test_what_only_a_later_try_asks_is_asked_twice_at_most(inside: str) -> None:
    """Although the first try fails in every attempt."""
    tries = itertools.count(1)

    def ask() -> None:
        write(f"yes to {interrupt('Go on?')}")

    async def first(_: State) -> None:
        if next(tries) % 2:
            raise ConnectionError("flaky")

    async def second(_: State) -> None:
        ask()

    inner = StateGraph(State).add_sequence([first, second]).add_edge(START, "first").compile()

    @task
    async def call() -> None:
        ask()

    async def node(state: State) -> None:
        if inside == "a task":
            await first(state)
            await call()
        else:
            await inner.ainvoke(state)

    work: Any = inner if inside == "a graph that is the node" else node
    graph = StateGraph(State).add_node("node", work, retry_policy=RETRY).add_edge(START, "node")
    events = await run(graph)
    assert artifact_text(events) == "yes to yes"
    assert len([event for event in events if state_of(event) == "TASK_STATE_INPUT_REQUIRED"]) <= 2


@pytest.mark.parametrize("inside", ["a task of a retried node of a graph", "a graph in a graph"])
async def test_what_is_asked_deep_inside_a_later_try_is_asked_twice_at_most(inside: str) -> None:
    """Although no try fails in the next attempts."""
    over = ["fails"]

    @task
    async def call() -> None:
        stumble(over)

    async def asks(_: State) -> None:
        await call()
        write(f"yes to {interrupt('Go on?')}")

    retry = RETRY if inside.startswith("a task") else None
    graph = StateGraph(State).add_node("asks", asks, retry_policy=retry).add_edge(START, "asks")
    for _ in range(2):
        graph = StateGraph(State).add_node("node", graph.compile(), retry_policy=RETRY).add_edge(START, "node")
    if retry is None:
        deep = graph.compile()

        async def node(state: State) -> None:
            stumble(over)
            await deep.ainvoke(state)

        graph = StateGraph(State).add_node("node", node, retry_policy=RETRY).add_edge(START, "node")
    events = await run(graph)
    assert artifact_text(events) == "yes to yes"
    assert len([event for event in events if state_of(event) == "TASK_STATE_INPUT_REQUIRED"]) <= 2
