"""Functions with LangGraph's `@task`, which an entrypoint, a node or another task calls: they may ask the user."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest
from langgraph.errors import GraphDrained
from langgraph.func import entrypoint, task
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import interrupt

from tailrace import progress, write
from tests.support.events import artifact_text, message, metadata, of_kind, state_of
from tests.support.graphs import Events
from tests.support.in_process import agent
from tests.support.jsonrpc import Agent

pytestmark = pytest.mark.asyncio

DONE, ASKED = "TASK_STATE_COMPLETED", "TASK_STATE_INPUT_REQUIRED"
ran: Counter[str] = Counter()


@pytest.fixture(autouse=True)
def counted() -> None:
    ran.clear()


@task
async def asks(name: str) -> str:
    ran[name] += 1
    write(f"{name}? ")
    return f"{name}: {interrupt(f'{name}?')}"


@task
def asks_in_a_thread(name: str) -> str:
    ran[name] += 1
    write(f"{name}? ")
    return f"{name}: {interrupt(f'{name}?')}"


@task
async def passes_on(name: str) -> str:
    ran["outer"] += 1
    return str(await asks(name))


@task
async def works(name: str) -> str:
    ran[name] += 1
    write(f"{name}. ")
    return name


@entrypoint()
async def workflow(_: str) -> None:
    await works("before")
    write(await asks("colour"))


async def of_a_node(_: MessagesState) -> None:
    await works("before")
    write(await asks("colour"))


def of_a_thread(_: MessagesState) -> None:
    works_in_a_thread("before").result()
    write(asks_in_a_thread("colour").result())


@task
def works_in_a_thread(name: str) -> str:
    ran[name] += 1
    write(f"{name}. ")
    return name


async def of_a_task(_: MessagesState) -> None:
    await works("before")
    write(await passes_on("colour"))


def single(node: Any) -> StateGraph[MessagesState]:
    return StateGraph(MessagesState).add_node("node", node).add_edge(START, "node")


async def begun(served: Agent) -> dict[str, Any]:
    result: dict[str, Any] = (await served.result("SendMessage", {"message": message("hello")}))["task"]
    return result


def questions(asked: dict[str, Any]) -> list[tuple[str, str]]:
    """The open questions, with the names of what asks."""
    (data,) = [part["data"] for part in asked["status"]["message"]["parts"] if "data" in part]
    return [(each["node"], each["value"]) for each in data["interrupts"]]


def assert_steps_are_whole(events: Events) -> None:
    kinds = Counter((metadata(event)["kind"], metadata(event).get("step")) for event in events)
    for (kind, step), count in kinds.items():
        if kind == "node_start":
            assert kinds["node_end", step] == count


@pytest.mark.parametrize(
    "graph",
    [
        lambda: workflow,
        lambda: single(of_a_node),
        lambda: single(of_a_thread),
        lambda: single(of_a_task),
        lambda: single(single(of_a_node).compile()),
    ],
    ids=["an entrypoint", "a node", "a node in a thread", "another task", "a subgraph"],
)
async def test_a_task_asks_and_what_ended_before_does_not_run_again(graph: Any) -> None:
    async with agent(graph()) as served:
        asked = await begun(served)
        assert asked["status"]["state"] == ASKED
        ((node, value),) = questions(asked)
        assert (node.startswith("asks"), value) == (True, "colour?")
        await served.result("SendMessage", {"message": message("blue", taskId=asked["id"])})
        events = await served.events(asked["id"])
    assert state_of(events[-1]) == DONE
    assert (ran["before"], ran["colour"]) == (1, 2)
    assert artifact_text(events) == "before. colour? colour: blue"
    assert_steps_are_whole(events)


async def test_tasks_that_ask_at_once_are_answered_by_their_ids() -> None:
    async def node(_: MessagesState) -> None:
        write("; ".join(await asyncio.gather(asks("colour"), asks("size"))))

    async with agent(single(node)) as served:
        asked = await begun(served)
        assert questions(asked) == [("asks", "colour?"), ("asks", "size?")]
        (data,) = [part["data"] for part in asked["status"]["message"]["parts"] if "data" in part]
        answers = {each["id"]: answer for each, answer in zip(data["interrupts"], ["blue", "small"], strict=True)}
        reply = message("", taskId=asked["id"], parts=[{"data": {"answers": answers}}])
        await served.result("SendMessage", {"message": reply})
        events = await served.events(asked["id"])
    assert state_of(events[-1]) == DONE
    assert artifact_text(events).endswith("colour: blue; size: small")
    assert_steps_are_whole(events)


async def test_another_attempt_goes_on_behind_the_tasks_that_have_ended() -> None:
    @task
    async def stops() -> None:
        ran["stops"] += 1
        write("stops ")
        if ran["stops"] == 1:
            raise GraphDrained("deadline")

    async def node(_: MessagesState) -> None:
        await works("before")
        await stops()
        write(await asks("colour"))

    async with agent(single(node)) as served:
        asked = await begun(served)
        assert asked["status"]["state"] == ASKED
        await served.result("SendMessage", {"message": message("blue", taskId=asked["id"])})
        events = await served.events(asked["id"])
    assert (ran["before"], ran["stops"]) == (1, 2)
    assert artifact_text(events) == "before. stops colour? colour: blue"
    assert [metadata(event)["name"] for event in of_kind(events, "node_start")].count("works") == 1


def ends_with(outcome: str) -> Any:
    """An entrypoint that writes before its first task, and is handed on or asks in it."""

    @task
    async def stops() -> None:
        ran["stops"] += 1
        if ran["stops"] == 1 and outcome == "hands on":
            raise GraphDrained("deadline")
        if outcome == "asks":
            interrupt("Go on?")

    @entrypoint()
    async def first(_: str) -> None:
        progress("begins")
        write("Before. ")
        await stops()
        write("After.")

    return first


def called_in_a_node(inner: Any) -> Any:
    async def node(_: MessagesState) -> None:
        await inner.ainvoke("")

    return single(node)


@pytest.mark.parametrize("outcome", ["hands on", "asks"])
@pytest.mark.parametrize("of", [lambda inner: inner, called_in_a_node], ids=["the agent", "in a node"])
async def test_what_an_entrypoint_writes_before_its_first_task_is_never_doubled(of: Any, outcome: str) -> None:
    async with agent(of(ends_with(outcome))) as served:
        first = await begun(served)
        if outcome == "asks":
            await served.result("SendMessage", {"message": message("yes", taskId=first["id"])})
        events = await served.events(first["id"])
    assert state_of(events[-1]) == DONE
    assert artifact_text(events) == "Before. After."
    if outcome == "hands on":
        (fence,) = [metadata(event) for event in of_kind(events, "attempt")]
        assert metadata(of_kind(events, "progress")[0])["step"] in fence["supersedes"]


async def test_what_an_entrypoint_that_has_ended_wrote_is_kept() -> None:
    @entrypoint()
    async def inner(name: str) -> None:
        ran[name] += 1
        write(f"{name} begins. ")
        await works(f"in {name}")
        if name == "second" and ran[name] == 1:
            raise GraphDrained("deadline")

    @entrypoint()
    async def outer(_: str) -> None:
        await inner.ainvoke("first")
        await inner.ainvoke("second")

    async with agent(outer) as served:
        events = await served.events((await begun(served))["id"])
    assert state_of(events[-1]) == DONE
    assert ran == {"first": 1, "second": 2, "in first": 1, "in second": 1}
    assert sorted(artifact_text(events).split(". ")) == ["", "first begins", "in first", "in second", "second begins"]
