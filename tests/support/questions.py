"""Graphs that ask, and a user who replies: for the tests of questions, approvals and breakpoints."""

from __future__ import annotations

import operator
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypedDict

from langgraph.graph import START, StateGraph
from langgraph.types import interrupt

from tailrace import write
from tests.support.events import message
from tests.support.jsonrpc import Agent

DONE, FAILED, ASKED = "TASK_STATE_COMPLETED", "TASK_STATE_FAILED", "TASK_STATE_INPUT_REQUIRED"


class State(TypedDict, total=False):
    messages: list[Any]
    answers: Annotated[list[str], operator.add]


Task = dict[str, Any]


def asks(name: str, *values: Any) -> Callable[[State], Awaitable[State]]:
    """A node that asks these questions, one after the other."""

    async def node(_: State) -> State:
        return {"answers": [f"{name}: {[interrupt(value) for value in values]!r}"]}

    return node


async def tell(state: State) -> State:
    write("\n".join(sorted(state.get("answers", []))))
    return {}


def graph(**nodes: Any) -> StateGraph[State]:
    """The nodes side by side, and one that writes all answers."""
    builder = StateGraph(State).add_node("tell", tell)
    for name, node in nodes.items():
        builder.add_node(name, node).add_edge(START, name)
    return builder.add_edge(list(nodes), "tell")


async def send(served: Agent, text: str = "go") -> Task:
    return dict((await served.result("SendMessage", {"message": message(text)}))["task"])


async def answer(served: Agent, task: Task, *parts: dict[str, Any]) -> Task:
    """Reply with these parts; return the task when it waits again or is finished."""
    reply = message("", taskId=task["id"], parts=list(parts))
    return dict((await served.result("SendMessage", {"message": reply}))["task"])


async def refusal(served: Agent, task: Task, *parts: dict[str, Any]) -> str:
    """Reply with these parts; check that nothing was consumed, and return why."""
    before = await served.log.last(task["id"])
    reply = message("", taskId=task["id"], parts=list(parts))
    error = await served.error("SendMessage", {"message": reply})
    assert error["code"] == -32602
    assert await served.log.last(task["id"]) == before
    assert (await served.result("GetTask", {"id": task["id"]}))["status"] == task["status"]
    return str(error["message"])


def state(task: Task) -> str:
    return str(task["status"]["state"])


def questions(task: Task) -> list[dict[str, Any]]:
    return list(task["status"]["message"]["parts"][1]["data"]["interrupts"])


def ids(task: Task) -> dict[str, str]:
    """The ids of the open questions by node."""
    return {each["node"]: each["id"] for each in questions(task)}


def text(task: Task) -> str:
    return "".join(part["text"] for each in task["artifacts"] for part in each["parts"])


def answers(**values: Any) -> dict[str, Any]:
    return {"data": {"answers": values}}
