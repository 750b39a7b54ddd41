"""A graph that was compiled with `interrupt_before` or `interrupt_after` waits there."""

from __future__ import annotations

from typing import Any

import pytest
from langgraph.graph import START, StateGraph

from tailrace import write
from tests.support.events import said
from tests.support.in_process import agent
from tests.support.questions import DONE, State, answer, questions, send, state, text

ASKED = "TASK_STATE_INPUT_REQUIRED"


def say(name: str, ran: list[str]) -> Any:
    async def node(_: State) -> State:
        ran.append(name)
        return {"answers": [name]}

    return node


def chain(ran: list[str], **breakpoints: Any) -> Any:
    """Return a graph that runs a, b and then tells, with these breakpoints."""

    async def tell(each: State) -> State:
        write(" ".join(each["answers"]))
        return {}

    steps = [("a", say("a", ran)), ("b", say("b", ran)), ("tell", tell)]
    return StateGraph(State).add_sequence(steps).add_edge(START, "a").compile(**breakpoints)


@pytest.mark.parametrize(
    ("breakpoints", "value", "before"),
    [
        ({"interrupt_before": ["b"]}, {"breakpoint": "before", "nodes": ["b"]}, ["a"]),
        ({"interrupt_after": ["a"]}, {"breakpoint": "after", "nodes": ["a"]}, ["a"]),
        ({"interrupt_before": ["a"]}, {"breakpoint": "before", "nodes": ["a"]}, []),
    ],
)
@pytest.mark.parametrize("reply", [{"text": ""}, {"text": "continue"}, {"data": {"ok": True}}])
async def test_a_breakpoint_waits_and_any_reply_goes_on(
    breakpoints: Any, value: dict[str, Any], before: list[str], reply: dict[str, Any]
) -> None:
    ran: list[str] = []
    async with agent(chain(ran, **breakpoints)) as served:
        task = await send(served)
        assert (state(task), ran) == (ASKED, before)
        (question,) = questions(task)
        assert value.items() <= question["value"].items()
        where = f"{value['breakpoint']} {value['nodes'][0]}"
        assert said({"task": task}) == f"The run waits {where}. Any reply lets it go on, also an empty one."
        task = await answer(served, task, reply)
    assert (state(task), text(task), ran) == (DONE, "a b", ["a", "b"])


async def test_each_breakpoint_waits() -> None:
    ran: list[str] = []
    async with agent(chain(ran, interrupt_before="*")) as served:
        task = await send(served)
        for expected in (["a"], ["a", "b"], ["a", "b"]):
            assert state(task) == ASKED
            task = await answer(served, task, {"text": ""})
            assert ran == expected
    assert state(task) == DONE


async def test_a_breakpoint_after_the_last_node_does_not_wait() -> None:
    ran: list[str] = []
    async with agent(chain(ran, interrupt_after=["tell"])) as served:
        assert state(await send(served)) == DONE


async def test_a_breakpoint_in_a_subgraph_waits() -> None:
    ran: list[str] = []
    outer = StateGraph(State).add_node("inner", chain(ran, interrupt_before=["b"])).add_edge(START, "inner")
    async with agent(outer) as served:
        task = await send(served)
        assert (state(task), ran, questions(task)[0]["node"]) == (ASKED, ["a"], "b")
        task = await answer(served, task, {"text": ""})
    assert (state(task), text(task), ran) == (DONE, "a b", ["a", "b"])
