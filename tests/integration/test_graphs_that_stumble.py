"""Retries, caches, threads, odd values and large ones: what LangGraph allows ends well here, or is refused in words."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any

import pytest
from langchain.agents import create_agent
from langchain_core.tools import tool
from langgraph.cache.memory import InMemoryCache
from langgraph.channels import UntrackedValue
from langgraph.config import get_stream_writer
from langgraph.errors import GraphDrained
from langgraph.func import entrypoint, task
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import CachePolicy, RetryPolicy, interrupt
from typing_extensions import TypedDict

from tailrace import progress, result, write
from tests.support.events import artifact_text, message, metadata, of_kind, said, state_of
from tests.support.in_process import agent
from tests.support.jsonrpc import Agent
from tests.support.models import calls, says

DONE, FAILED, ASKED = "TASK_STATE_COMPLETED", "TASK_STATE_FAILED", "TASK_STATE_INPUT_REQUIRED"
Events = list[dict[str, Any]]


class State(TypedDict, total=False):
    x: Any


async def ask(served: Agent, **parts: Any) -> Events:
    created = await served.result("SendMessage", {"message": message("hello"), **parts})
    return await served.events(created["task"]["id"])


async def run(graph: Any, state: str = DONE, **options: Any) -> Events:
    async with agent(graph, options=options) as served:
        events = await ask(served)
    assert state_of(events[-1]) == state, events[-1]
    return events


def single(node: Any, **options: Any) -> StateGraph[Any]:
    return StateGraph(State).add_node("node", node, **options).add_edge(START, "node")


def artifacts(events: Events) -> dict[str, Any]:
    updates = [event["artifactUpdate"]["artifact"] for event in of_kind(events, "result")]
    return {update["name"]: update["parts"][0]["data"] for update in updates}


# Retries


@pytest.mark.parametrize("writes_at_last", [True, False])
async def test_the_text_of_a_failed_try_is_taken_back(writes_at_last: bool) -> None:
    tries, other = [0], asyncio.Event()

    async def flaky(_: State) -> State:
        tries[0] += 1
        if tries[0] < 3 or writes_at_last:
            write(f"try {tries[0]}. ")
            write(f"Note {tries[0]}.", artifact="notes")
        await other.wait()
        if tries[0] < 3:
            raise ConnectionError("flaky")
        return {}

    async def steady(_: State) -> State:
        write("steady. ")
        other.set()
        return {}

    retry = RetryPolicy(initial_interval=0.01, max_attempts=5)
    graph = StateGraph(State).add_node("flaky", flaky, retry_policy=retry).add_node("steady", steady)
    events = await run(graph.add_edge(START, "flaky").add_edge(START, "steady"))
    left = ("try 3. ", "Note 3.") if writes_at_last else ("", "")
    assert sorted(artifact_text(events).split(". ")) == sorted(f"steady. {left[0]}".split(". "))
    assert artifact_text(events, "notes") == left[1]


@pytest.mark.parametrize("called", [True, False], ids=["called by the node", "is the node"])
@pytest.mark.parametrize("deeper", [True, False])
async def test_what_the_steps_inside_a_failed_try_wrote_is_taken_back(called: bool, deeper: bool) -> None:
    tries = [0]

    async def flaky(_: State) -> State:
        tries[0] += 1
        write(f"try {tries[0]}. ")
        return {"x": tries[0]}

    async def fails(state: State) -> None:
        write("last. ")
        if state["x"] < 3:
            raise ConnectionError("flaky")

    inner = StateGraph(State).add_sequence([flaky, fails]).add_edge(START, "flaky").compile()
    outer = single(inner).compile()

    async def node(state: State) -> None:
        write("node. ")
        await outer.ainvoke(state)

    retry = RetryPolicy(initial_interval=0.01, max_attempts=5)
    graph = single(node if called else outer, retry_policy=retry)
    events = await run(single(graph.compile()) if deeper else graph)
    assert artifact_text(events) == ("node. " if called else "") + "try 3. last. "


@pytest.mark.parametrize("lasting", [None, True])
async def test_what_a_failed_try_wrote_before_a_hand_off_is_taken_back(lasting: bool | None) -> None:
    stumbles: list[Exception] = [GraphDrained("deadline"), ConnectionError("flaky")]

    async def first(_: State) -> None:
        write("first. ")

    async def second(_: State) -> None:
        write("second. ")
        if stumbles:
            raise stumbles.pop(0)

    inner = StateGraph(State).add_sequence([first, second]).add_edge(START, "first").compile(checkpointer=lasting)
    events = await run(single(inner, retry_policy=RetryPolicy(initial_interval=0.01)))
    assert not stumbles
    assert artifact_text(events) == "first. second. "


@pytest.mark.parametrize("deeper", [True, False])
async def test_what_the_tasks_that_a_failed_try_has_called_wrote_is_taken_back(deeper: bool) -> None:
    tries = [0]

    @task
    async def inner() -> None:
        write(f"inner {tries[0]}. ")

    @task
    async def outer() -> None:
        write(f"outer {tries[0]}. ")
        await inner()

    @entrypoint(retry_policy=RetryPolicy(initial_interval=0.01, max_attempts=5))
    async def workflow(_: Any) -> None:
        tries[0] += 1
        await outer()
        if tries[0] < 3:
            raise ConnectionError("flaky")

    events = await run(single(workflow) if deeper else workflow)
    assert artifact_text(events) == "outer 3. inner 3. "


# Caches


async def test_a_node_that_is_answered_from_the_cache_ends_as_cached() -> None:
    async def node(_: State) -> State:
        return {"x": 1}

    async def inner(_: State) -> State:
        return {"x": 2}

    once = CachePolicy(key_func=lambda _: "key")
    subgraph = single(inner, cache_policy=once).compile()
    graph = StateGraph(State).add_node("first", node, cache_policy=once).add_node("second", subgraph)
    graph.add_edge(START, "first").add_edge("first", "second")
    async with agent(graph.compile(cache=InMemoryCache())) as served:
        for cached in (None, True):
            events = await ask(served)
            assert state_of(events[-1]) == DONE
            starts = [metadata(event)["step"] for event in of_kind(events, "node_start")]
            assert sorted(metadata(event)["step"] for event in of_kind(events, "node_end")) == sorted(starts)
            ends = {metadata(event)["name"]: metadata(event) for event in of_kind(events, "node_end")}
            assert ends["first"].get("cached") == cached


async def test_a_task_that_is_answered_from_the_cache_gives_its_result() -> None:
    @task(cache_policy=CachePolicy())
    async def square(number: int) -> int:
        return number * number

    @entrypoint(cache=InMemoryCache())
    async def flow(text: str) -> int:
        return await square(3)

    async with agent(flow) as served:
        for cached in (None, True):
            events = await ask(served)
            ends = {metadata(event)["name"]: metadata(event) for event in of_kind(events, "node_end")}
            assert (ends["square"].get("cached"), artifacts(events)) == (cached, {"output": 9})


# Threads


async def test_what_a_node_and_its_threads_write_one_after_the_other_is_in_that_order() -> None:
    async def node(_: State) -> State:
        await asyncio.to_thread(write, "context ")
        thread = threading.Thread(target=write, args=("thread ",))
        thread.start()
        thread.join()
        with ThreadPoolExecutor(1) as pool:
            pool.submit(write, "pool ").result()
        await asyncio.get_running_loop().run_in_executor(None, write, "executor ")
        thread = threading.Thread(target=write, args=("last ",))
        thread.start()
        thread.join()  # the event loop has had no turn since
        write("node")
        return {}

    events = await run(single(node))
    assert artifact_text(events) == "context thread pool executor last node"
    step = metadata(of_kind(events, "node_start")[0])["step"]
    assert {metadata(event)["step"] for event in of_kind(events, "token")} == {step}


# Tools


async def test_a_tool_that_asks_or_is_long_or_odd_is_no_failure() -> None:
    @tool
    async def buy(place: str) -> str:
        """Buy."""
        return f"bought {interrupt('Really?')}"

    async with agent(create_agent(says(calls("buy", {"place": "x"}), "Done."), [buy])) as served:
        events = await ask(served)
    (end,) = of_kind(events, "tool_complete")
    assert (metadata(end).get("error"), metadata(end)["interrupted"], state_of(events[-1])) == (None, True, ASKED)

    @tool(response_format="content_and_artifact")
    async def look(place: str) -> tuple[str, dict[str, Any]]:
        """Look."""
        return f"caf\udce9 {'x' * 100_000}", {"rows": [1, 2]}

    events = await run(create_agent(says(calls("look", {"place": "x"}), "Done."), [look]))
    (end,) = of_kind(events, "tool_complete")
    assert (metadata(end)["output"][:6], len(metadata(end)["output"])) == ("caf? x", 16_384)
    assert metadata(end)["output_size"] == 100_005
    assert artifacts(events) == {"look call-1": {"rows": [1, 2]}}


# Values


async def test_an_event_of_the_graph_s_own_is_data_as_a_whole() -> None:
    async def node(_: State) -> State:
        writer = get_stream_writer()
        for each in ({"rows": list(range(1_000))}, [1, 2], None, {"t": "half \ud83c"}, "a text \ud83c"):
            writer(each)
        writer({"o": [object()]})
        writer({"t": "".join(str(number) for number in range(300_000))})
        progress("still here \ud83c")
        result("found \ud83c", {"t": "half \ud83c"})
        return {"x": "half \ud83c"}

    events = await run(single(node))
    parts = [event["statusUpdate"]["status"]["message"]["parts"][0] for event in of_kind(events, "progress")]
    assert parts[:5] == [
        {"data": {"rows": list(range(1_000))}},
        {"data": [1, 2]},
        {"data": None},
        {"data": {"t": "half ?"}},
        {"text": "a text ?"},
    ]
    assert "a value of type object at o[0]" in parts[5]["text"]
    assert "the limit is 390,000 bytes" in parts[6]["text"]
    assert parts[7] == {"text": "still here ?"}
    assert artifacts(events) == {"found ?": {"t": "half ?"}}


async def test_a_state_that_cannot_be_saved_fails_with_the_value_s_path() -> None:
    async def node(_: State) -> State:
        return {"x": {"locks": [threading.Lock()]}}

    events = await run(single(node), FAILED)
    assert "The graph's state has a value of type _thread.lock at " in said(events[-1])
    assert "locks[0], which cannot be saved" in said(events[-1])


async def test_an_integer_that_cannot_be_saved_is_called_too_large() -> None:
    async def node(_: State) -> State:
        return {"x": {"n": 2**64}}

    events = await run(single(node), FAILED)
    assert "a value of type int with more than 64 bits at n, which cannot be saved" in said(events[-1])


# Results


class Answer(TypedDict):
    answer: str
    score: float


async def test_a_graph_that_returns_state_gives_it_as_artifacts() -> None:
    async def node(_: State) -> State:
        return {"x": {"score": 0.9}}

    assert artifacts(await run(single(node))) == {"x": {"score": 0.9}}

    class Whole(MessagesState, Answer):
        pass

    async def answers(_: Whole) -> dict[str, Any]:
        write("Thinking. ")
        return {"answer": "42", "score": 1.0}

    graph = StateGraph(Whole, output_schema=Answer).add_node("answers", answers).add_edge(START, "answers")
    events = await run(graph)
    assert (artifacts(events), artifact_text(events, "answer")) == ({"score": 1.0}, "42")
    assert artifact_text(events) == "Thinking. "


async def test_what_a_state_only_lends_to_its_nodes_is_no_result() -> None:
    class Lending(State, total=False):
        connection: Annotated[object, UntrackedValue]

    async def connect(_: Lending) -> Lending:
        return {"connection": object()}

    async def use(state: Lending) -> Lending:
        return {"x": f"with {type(state['connection']).__name__}"}

    graph = StateGraph(Lending).add_sequence([connect, use]).add_edge(START, "connect")
    events = await run(graph)
    assert artifact_text(events, "x") == "with object"


async def test_an_author_s_output_function_makes_the_artifacts() -> None:
    def output(state: dict[str, Any]) -> dict[str, Any]:
        return {"response": state["messages"][-1].text.upper(), "count": len(state["messages"])}

    events = await run(create_agent(says("hello, ada"), []), output=output)
    assert (artifact_text(events), artifacts(events)) == ("HELLO, ADA", {"count": 2})

    def broken(_: dict[str, Any]) -> dict[str, Any]:
        raise KeyError("answer")

    events = await run(create_agent(says("hello"), []), FAILED, output=broken)
    assert said(events[-1]) == "The agent's output() failed: KeyError: 'answer'"


@pytest.mark.parametrize(
    ("modes", "code"),
    [
        ([], None),
        (["text/plain"], None),
        (["image/*", "*/*"], None),
        (["application/json"], None),
        (["image/png"], -32005),
    ],
)
async def test_a_caller_that_takes_nothing_of_what_the_agent_gives_is_refused(modes: list[str], code: Any) -> None:
    async with agent(create_agent(says("hello"), [])) as served:
        params = {"message": message("hello"), "configuration": {"acceptedOutputModes": modes}}
        answer = await served.call("SendMessage", params)
    assert answer.get("error", {}).get("code") == code
