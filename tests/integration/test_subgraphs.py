"""Subgraphs: as nodes, called by a node, several of them, or elsewhere; with questions, and after a loss."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from langchain_core.runnables import Runnable, RunnableConfig
from langgraph.config import get_stream_writer
from langgraph.errors import GraphDrained
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.pregel.remote import RemoteGraph
from langgraph.types import interrupt
from langgraph_sdk.schema import StreamPart

from tailrace import progress, result, write
from tests.support.events import artifact_text, message, metadata, of_kind, said, state_of
from tests.support.graphs import failure, graph, model, named, run
from tests.support.in_process import agent

pytestmark = pytest.mark.asyncio

DONE, ASKED = "TASK_STATE_COMPLETED", "TASK_STATE_INPUT_REQUIRED"


async def test_events_of_a_nested_subgraph_name_their_step_and_parent() -> None:
    async def inmost(state: MessagesState) -> dict[str, Any]:
        progress("Deep down.")
        get_stream_writer()("LangGraph's own.")
        write("Written. ", artifact="notes")
        result("findings", {"findings": []})
        return {"messages": [await model("one two").ainvoke(state["messages"])]}

    middle = graph(inmost).compile()
    events = await run(graph(outer=graph(middle=middle).compile()))
    steps = {name: each["step"] for name, each in named(events, "node_start").items()}
    parents = {name: each.get("parent") for name, each in named(events, "node_start").items()}
    assert parents == {"outer": None, "middle": steps["outer"], "inmost": steps["middle"]}
    assert {name: each["step"] for name, each in named(events, "node_end").items()} == steps
    ours, theirs = of_kind(events, "progress")
    tokens = of_kind(events, "token")
    for event in (ours, *tokens, *of_kind(events, "result")):
        assert (metadata(event)["step"], metadata(event)["parent"]) == (steps["inmost"], steps["middle"])
    assert (said(theirs), metadata(theirs)["parent"]) == ("LangGraph's own.", steps["middle"])
    assert (artifact_text(events), artifact_text(events, "notes")) == (
        "one two",
        "Written. ",
    )  # once, not once per level


@pytest.mark.parametrize(("checkpointer", "at_once"), [(None, False), (None, True), (True, False)])
async def test_a_node_may_call_a_graph_several_times(checkpointer: bool | None, at_once: bool) -> None:
    async def inner(_: MessagesState) -> None:
        get_stream_writer()("LangGraph's own.")
        write("inner ")

    called = graph(inner=inner, then=inner).compile(checkpointer=checkpointer)

    async def outer(_: MessagesState) -> None:
        calls = [called.ainvoke({"messages": []}) for _ in range(3)]
        if at_once:
            await asyncio.gather(*calls)
            return
        for call in calls:
            await call

    events = await run(graph(outer))
    assert state_of(events[-1]) == DONE
    begun = [metadata(event) for event in of_kind(events, "node_start")]
    (step,) = [each["step"] for each in begun if each["name"] == "outer"]
    inside = [each for each in begun if each["name"] != "outer"]
    assert {each["parent"] for each in inside} == {step}
    assert Counter(each.get("graph") for each in inside) == {None: 2, 1: 2, 2: 2}
    assert {metadata(event)["parent"] for event in of_kind(events, "progress")} == {step}
    assert len(of_kind(events, "node_end")) == len(begun) == 7
    assert artifact_text(events) == "inner " * 6


async def test_a_node_in_a_thread_may_call_a_graph_without_await() -> None:
    def inner(_: MessagesState) -> dict[str, Any]:
        write("inner ")
        return {"messages": [("ai", f"It is {interrupt('Which?')}.")]}

    called = graph(inner).compile()

    def outer(state: MessagesState) -> Any:
        return called.invoke(state)

    async with agent(graph(outer)) as served:
        task = (await served.result("SendMessage", {"message": message("hello")}))["task"]
        assert task["status"]["message"]["parts"][0]["text"] == "Which?"
        reply = message("blue", taskId=task["id"])
        await served.result("SendMessage", {"message": reply})
        events = await served.events(task["id"])
    assert state_of(events[-1]) == DONE
    begun = named(events, "node_start")
    assert begun["inner"]["parent"] == begun["outer"]["step"]
    assert artifact_text(events).endswith("It is blue.")


async def test_an_async_node_that_calls_a_graph_without_await_is_told_so() -> None:
    called = graph(inner=lambda state: {}).compile()

    async def outer(state: MessagesState) -> Any:
        return called.invoke(state)

    assert "without await: use ainvoke or astream" in failure(await run(graph(outer)))


class GraphElsewhere:
    """The client of a LangGraph server whose graph has the node `far`."""

    def __init__(self) -> None:
        self.runs = self

    async def stream(self, **_: Any) -> AsyncIterator[StreamPart]:
        ending = {"error": None, "result": {}, "interrupts": []}
        yield StreamPart("tasks", {"id": "far-1", "name": "far", "input": {}, "triggers": ["branch:to:far"]})
        yield StreamPart("custom", {"done": 1})
        yield StreamPart("messages", [{"type": "AIMessageChunk", "content": "here", "id": "m"}, {}])
        yield StreamPart("tasks", {"id": "far-1", "name": "far", **ending})
        yield StreamPart("values", {"messages": [{"type": "ai", "content": "here", "id": "m"}]})


async def test_a_graph_elsewhere_may_be_a_node_or_be_called_in_one() -> None:
    """What LangGraph passes on of its stream is shown: its nodes and their own events, but no messages."""
    elsewhere: Any = RemoteGraph("far", client=GraphElsewhere(), name="far")  # type: ignore[arg-type]

    async def calls_it(state: MessagesState, config: RunnableConfig) -> Any:
        return await elsewhere.ainvoke({}, config)

    for node in (elsewhere, calls_it):
        events = await run(graph(outer=node))
        assert state_of(events[-1]) == DONE
        begun = named(events, "node_start")
        assert begun["far"]["parent"] == begun["outer"]["step"]
        (own,) = of_kind(events, "progress")
        assert own["statusUpdate"]["status"]["message"]["parts"] == [{"data": {"done": 1}}]
        assert artifact_text(events) == "here"


async def test_a_question_from_a_subgraph_is_asked_and_answered() -> None:
    async def ask(_: MessagesState) -> dict[str, Any]:
        return {"messages": [("ai", f"It is {interrupt({'question': 'Which?', 'choices': [1, 2]})}.")]}

    async with agent(graph(outer=graph(ask).compile())) as served:
        task = (await served.result("SendMessage", {"message": message("hello")}))["task"]
        text, data = task["status"]["message"]["parts"]
        assert (task["status"]["state"], text) == (ASKED, {"text": "Which?\nchoices: [1,2]"})
        (asked,) = data["data"]["interrupts"]
        assert (asked["value"], asked["node"]) == ({"question": "Which?", "choices": [1, 2]}, "ask")
        reply = message("two", taskId=task["id"])
        task = (await served.result("SendMessage", {"message": reply}))["task"]
        events = await served.events(task["id"])
    assert artifact_text(events) == "It is two."
    ends = [metadata(event) for event in of_kind(events, "node_end")]
    assert [(end["name"], end.get("interrupted")) for end in ends] == [
        ("ask", True),
        ("outer", True),
        ("ask", None),
        ("outer", None),
    ]


# Several that a node calls

Node = Callable[[MessagesState], Any]


def chain(*nodes: Node) -> Any:
    return StateGraph(MessagesState).add_sequence(list(nodes)).add_edge(START, nodes[0].__name__).compile()


def writes(name: str) -> Node:
    async def node(_: MessagesState) -> dict[str, Any]:
        write(f"{name} ")
        return {}

    node.__name__ = name
    return node


def caller(*subgraphs: Runnable[Any, Any], together: bool = False) -> StateGraph[Any]:
    async def calls(state: MessagesState) -> dict[str, Any]:
        if together:
            await asyncio.gather(*(each.ainvoke(state) for each in subgraphs))
        else:
            for each in subgraphs:
                await each.ainvoke(state)
        write("end")
        return {}

    return StateGraph(MessagesState).add_node(calls).add_edge(START, "calls")


def assert_steps_are_whole(events: list[dict[str, Any]], names: list[str]) -> None:
    """Every node of the subgraphs ran once, inside the node that calls them."""
    started = {metadata(event)["step"]: metadata(event) for event in of_kind(events, "node_start")}
    ended = [metadata(event)["step"] for event in of_kind(events, "node_end")]
    assert sorted(ended) == sorted(started)
    (outer,) = (step for step, each in started.items() if each["name"] == "calls")
    inner = [each for each in started.values() if each["name"] != "calls"]
    assert sorted(each["name"] for each in inner) == sorted(names)
    assert {each["parent"] for each in inner} == {outer}


async def test_subgraphs_that_a_node_calls_one_after_the_other() -> None:
    one, two = chain(writes("a"), writes("b")), chain(writes("c"))
    async with agent(caller(one, two, two)) as served:
        task = (await served.result("SendMessage", {"message": message("go")}))["task"]
        events = await served.events(task["id"])
    assert state_of(events[-1]) == "TASK_STATE_COMPLETED", said(events[-1])
    assert artifact_text(events) == "a b c c end"
    assert_steps_are_whole(events, ["a", "b", "c", "c"])


async def test_subgraphs_that_a_node_calls_together_do_not_wait_for_each_other() -> None:
    goes_on = asyncio.Event()

    async def waits(_: MessagesState) -> dict[str, Any]:
        await goes_on.wait()
        return {}

    async def wakes(_: MessagesState) -> dict[str, Any]:
        goes_on.set()
        return {}

    async with agent(caller(chain(waits), chain(writes("a"), wakes), together=True)) as served:
        task = (await served.result("SendMessage", {"message": message("go")}))["task"]
        events = await served.events(task["id"])
    assert state_of(events[-1]) == "TASK_STATE_COMPLETED", said(events[-1])
    assert_steps_are_whole(events, ["waits", "a", "wakes"])


async def test_a_question_of_the_second_subgraph_runs_no_node_of_either_again() -> None:
    async def asks(_: MessagesState) -> dict[str, Any]:
        write(f"{interrupt('Which?')} ")
        return {}

    async with agent(caller(chain(writes("a")), chain(writes("b"), asks), chain(writes("c")))) as served:
        task = (await served.result("SendMessage", {"message": message("go")}))["task"]
        assert task["status"]["state"] == "TASK_STATE_INPUT_REQUIRED", task["status"]
        await served.result("SendMessage", {"message": message("two", taskId=task["id"])})
        events = await served.events(task["id"])
    assert state_of(events[-1]) == "TASK_STATE_COMPLETED", said(events[-1])
    assert artifact_text(events) == "a b two c end"


async def test_an_attempt_goes_on_in_the_second_subgraph() -> None:
    attempts: list[int] = []

    async def stops(_: MessagesState) -> dict[str, Any]:
        attempts.append(len(attempts))
        write("stops ")
        if len(attempts) == 1:
            raise GraphDrained("deadline")
        return {}

    async with agent(caller(chain(writes("a")), chain(writes("b"), stops, writes("c")))) as served:
        task = (await served.result("SendMessage", {"message": message("go")}))["task"]
        events = await served.events(task["id"])
    assert state_of(events[-1]) == "TASK_STATE_COMPLETED", said(events[-1])
    assert attempts == [0, 1]
    assert artifact_text(events) == "a b stops c end"
