"""Breakpoints: the places where a graph stops before or after a node, as its author said with `interrupt_before` and
`interrupt_after`.

LangGraph passes the breakpoint at a checkpoint when it goes on from that checkpoint. So a takeover has to see first
whether the user has let the run go on: the id of a breakpoint's question is the id of its checkpoint.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.types import StateSnapshot

from tailrace.agent.structure import Graph, subgraphs_of
from tailrace.authoring.ask import Question
from tailrace.authoring.emit import names_of


async def open_breakpoint(
    graph: Graph, config: RunnableConfig, answered: Collection[str], *, stopped: bool = False
) -> Question | None:
    """The breakpoint at which the saved run has to wait; None if there is none, or the user has replied to it.

    `graph` has the run's checkpointer, `config` its thread. `answered` has the ids of the questions with a reply.
    `stopped` says that LangGraph has stopped at a breakpoint, so that it is one although nobody knows in which graph.
    """
    graphs = {"": graph, **subgraphs_of(graph)}
    state = await graph.aget_state(config)
    fallback = _question(state, "before", list(state.next)) if stopped and state.next else None
    states = [state]
    while states:
        state = states.pop()
        place = graphs.get(names_of(state.config["configurable"].get("checkpoint_ns", "")))
        where, nodes = await _hit(graph, place, state) if place is not None else ("before", [])
        if nodes and _id(state) not in answered:
            return _question(state, where, nodes)
        inner = [task.state for task in state.tasks if isinstance(task.state, dict)]
        states += [await graph.aget_state(config) for config in inner]
    return fallback


async def _hit(graph: Graph, place: Graph, state: StateSnapshot) -> tuple[str, list[str]]:
    """Which nodes of `place` with a breakpoint come next, or have just run although others come next."""
    if before := _among(state.next, place.interrupt_before_nodes):
        return "before", before
    if place.interrupt_after_nodes and state.next and state.parent_config is not None:
        earlier = await graph.aget_state(state.parent_config)
        return "after", _among([task.name for task in earlier.tasks], place.interrupt_after_nodes)
    return "after", []


def _id(state: StateSnapshot) -> str:
    return str(state.config["configurable"].get("checkpoint_id"))


def _question(state: StateSnapshot, where: str, nodes: list[str]) -> Question:
    text = f"The run waits {where} {' and '.join(nodes)}. Any reply lets it go on, also an empty one."
    return Question(_id(state), {"question": text, "breakpoint": where, "nodes": nodes}, nodes[0])


def _among(nodes: Sequence[str], chosen: Any) -> list[str]:
    hidden = ("__start__", "__end__")
    return sorted({name for name in nodes if name not in hidden and (chosen == "*" or name in chosen)})
