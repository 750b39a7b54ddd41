"""What a graph's structure says about its result, before it runs."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from langgraph.channels import UntrackedValue
from langgraph.constants import END
from langgraph.pregel import Pregel

# A compiled graph of any kind.
Graph = Pregel[Any, Any, Any, Any]


def subgraphs_of(graph: Graph) -> dict[str, Graph]:
    """The subgraphs that LangGraph can find, at any depth, by the path of their nodes' names.

    A graph elsewhere (`RemoteGraph`) is none: its state and its breakpoints are there.
    """
    return {path: each for path, each in graph.get_subgraphs(recurse=True) if isinstance(each, Pregel)}


def keeps_messages(graph: Graph) -> bool:
    """Whether the state has `messages`. Then a message that does not come into the state is not the answer."""
    return "messages" in graph.channels


def may_end_at(graph: Graph, node: str) -> bool:
    """Whether the graph may end when `node` has ended, as far as its edges say."""
    builder = getattr(graph, "builder", None)
    if builder is None:  # An entrypoint has no edges.
        return True
    targets = {end for start, end in builder.edges if start == node}
    targets |= {end for starts, end in builder.waiting_edges if node in starts}
    if targets:
        return END in targets
    branches = builder.branches.get(node, {}).values()
    return not branches or any(branch.ends is None or END in branch.ends.values() for branch in branches)


def result_keys(graph: Graph) -> Collection[str] | None:
    """The keys of the state that are the graph's result; None if the result has no keys.

    What the state only lends to its nodes, like a connection, is no result unless an output schema names it.
    """
    if isinstance(keys := graph.output_channels, str):
        return None
    if has_output_schema(graph):
        return keys
    return [key for key in keys if not isinstance(graph.channels[key], UntrackedValue)]


def has_output_schema(graph: Graph) -> bool:
    """Whether the author has named which part of the state is the graph's result.

    `create_agent` always names some: the messages, and what its middleware keeps between two steps.
    """
    builder = getattr(graph, "builder", None)
    if builder is None or builder.output_schema is builder.state_schema:
        return False
    return bool(builder.output_schema.__module__ != "langchain.agents.factory")
