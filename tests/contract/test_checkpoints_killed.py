"""A process may die between any two writes to the store of checkpoints, and the run still ends the same.

Other savers fail this test: they save the writes of a node one by one, and LangGraph treats a node with one saved write
as finished.
"""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Annotated, Any, TypedDict

import pytest
from langgraph.graph import START, StateGraph
from langgraph.types import Command, Send, interrupt

from tailrace.agent.checkpoints import dynamodb as checkpoints_dynamodb
from tailrace.agent.checkpoints import open_checkpointer
from tailrace.config import Settings
from tests.contract.checkpoint_stores import BUCKET, Deaths, share_clients, table_with, use_stores
from tests.support.fast_moto import moto_server

pytestmark = pytest.mark.slow


class State(TypedDict, total=False):
    said: Annotated[list[str], operator.add]
    last: str
    total: Annotated[int, operator.add]


RAN: Counter[str] = Counter()


def say(name: str) -> Any:
    async def node(_: State) -> State:
        RAN[name] += 1
        return {"said": [name], "last": name, "total": 1}

    return node


async def fan_out(_: State) -> Command[Any]:
    RAN["fan_out"] += 1
    return Command(update={"said": ["fan_out"], "total": 1}, goto=[Send("one_of", n) for n in range(3)])


async def one_of(n: int) -> State:
    RAN[f"one_of {n}"] += 1
    return {"said": [f"one_of {n}"], "total": 1}


async def ask(_: State) -> State:
    return {"said": [interrupt("first?"), interrupt("second?")], "last": "asked"}


def asking() -> StateGraph[State]:
    """Return a graph with a plain node and a node with two questions."""
    return StateGraph(State).add_sequence([("first", say("first")), ("ask", ask)]).add_edge(START, "first")


def everything() -> StateGraph[State]:
    """Return a graph with every kind of write: a chain, parallel tasks, a subgraph, and two questions."""
    inner = StateGraph(State).add_sequence([("deep", say("deep")), ("deeper", say("deeper"))]).add_edge(START, "deep")
    builder = StateGraph(State)
    builder.add_node("first", say("first"))
    builder.add_node("fan_out", fan_out)
    builder.add_node("one_of", one_of)
    builder.add_node("inner", inner.compile())
    builder.add_node("ask", ask)
    builder.add_edge(START, "first")
    builder.add_edge("first", "fan_out")
    builder.add_edge("one_of", "inner")
    builder.add_edge("inner", "ask")
    return builder


async def run(graph: StateGraph[State], settings: Settings) -> dict[str, Any]:
    """Continue the run to its end with a new checkpointer, as a new process would."""
    config: Any = {"configurable": {"thread_id": "t"}}
    async with AsyncExitStack() as stack:
        compiled = graph.compile(checkpointer=await open_checkpointer(settings, "agent", stack))
        state = await compiled.aget_state(config)
        while True:
            graph_input: Any = None
            if state.interrupts:
                graph_input = Command(resume={each.id: f"answer to {each.value}" for each in state.interrupts})
            elif not state.created_at:
                graph_input = {"said": ["begun"], "total": 0}
            values = await compiled.ainvoke(graph_input, config, durability="sync")
            state = await compiled.aget_state(config)
            if not state.tasks:
                return values


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with moto_server() as endpoint:
        yield endpoint


@pytest.mark.parametrize(
    ("graph", "inline_bytes"), [(everything(), 100_000), (asking(), 0)], ids=["in items", "in objects"]
)
async def test_a_run_killed_before_any_write_ends_the_same(
    endpoint: str, monkeypatch: pytest.MonkeyPatch, graph: StateGraph[State], inline_bytes: int
) -> None:
    table = use_stores(endpoint, endpoint, monkeypatch)
    settings = Settings(log="dynamodb", checkpoint_table=table, bucket=BUCKET)
    monkeypatch.setattr(checkpoints_dynamodb, "INLINE_BYTES", inline_bytes)
    share_clients(monkeypatch)
    with monkeypatch.context() as watched:
        deaths = Deaths(table, watched)
        expected = await run(graph, settings)
    assert expected["said"][-2:] == ["answer to first?", "answer to second?"]
    assert len(deaths.left) > 15
    for number, left in enumerate(deaths.left):
        RAN.clear()
        # A new table each time, because moto scans the whole table for each request.
        assert await run(graph, replace(settings, checkpoint_table=table_with(left))) == expected, f"before {number}"
        assert max(RAN.values(), default=1) == 1, f"killed before write {number}, and then ran a node twice: {RAN}"
