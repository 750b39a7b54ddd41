"""What an author passes to `AgentApp` as the graph: a graph, compiled or not, or a function that makes one.

Whatever cannot be served is refused when the agent starts, because a task that no attempt can run helps nobody.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from typing import Any

from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.utils import get_function_nonlocals
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import StateGraph
from langgraph.pregel import Pregel

from tailrace.agent.structure import Graph
from tailrace.errors import ConfigError, shorten

logger = logging.getLogger("tailrace.agent")

# As in langgraph.json: it may take LangGraph's config, and may be async or an async context manager.
MakeGraph = Callable[..., Any]
GraphSource = StateGraph[Any, Any, Any, Any] | Graph | MakeGraph

_RIGHT = (
    "a StateGraph, compiled or not, an @entrypoint, what create_agent returns, or a function that returns one of these"
)


def check_source(source: Any, agent: str) -> Graph | MakeGraph:
    """The source as a compiled graph, or as the function that will make the graph of `agent`.

    Raises:
        ConfigError: it is neither, the graph does not compile, or as `check_graph`.
    """
    if isinstance(source, StateGraph | Pregel):
        return _compiled(source, agent)
    if not callable(source):
        raise ConfigError("graph", source, _RIGHT)
    if len(_required(source)) > 1:
        raise ConfigError("graph", source, "a function without arguments, or with one, which gets LangGraph's config")
    make: MakeGraph = source
    return make


async def graph_of(source: Graph | MakeGraph, agent: str, config: RunnableConfig, stack: AsyncExitStack) -> Graph:
    """The compiled graph. A function is called once; a context manager that it returns is closed with `stack`.

    `config` is the author's, which the function gets if it has an argument.

    Raises:
        ConfigError: the function has not returned a graph, its graph does not compile, or as `check_graph`.
    """
    graph: Any = source
    if not isinstance(source, Pregel):
        base: RunnableConfig = {**config, "configurable": {**config.get("configurable", {})}}
        graph = source(base) if _takes_config(source) else source()
        if inspect.isawaitable(graph):
            graph = await graph
        if hasattr(graph, "__aenter__"):
            graph = await stack.enter_async_context(graph)
        elif hasattr(graph, "__enter__"):
            graph = stack.enter_context(graph)
        if not isinstance(graph, StateGraph | Pregel):
            raise ConfigError(f"what the graph function {_name(source)!r} returned", graph, _RIGHT)
    compiled = _compiled(graph, agent)
    if isinstance(compiled.checkpointer, BaseCheckpointSaver):
        await _check_async(compiled.checkpointer)
    return compiled


def check_graph(graph: Graph) -> None:
    """Refuse a graph that runs without checkpoints, itself or in a subgraph that can be found.

    Raises:
        ConfigError
    """
    if isinstance(graph.checkpointer, bool):
        right = "None, or a checkpointer: a run goes on from its checkpoints. Compile the graph without this argument"
        raise ConfigError("the graph's checkpointer", graph.checkpointer, right)
    for path, subgraph in _subgraphs(graph):
        if subgraph.checkpointer is False:
            right = "None or True: a run goes on from its checkpoints, also in a subgraph"
            raise ConfigError(f"the checkpointer of the subgraph {path!r}", False, right)


def _compiled(graph: StateGraph[Any, Any, Any, Any] | Graph, agent: str) -> Graph:
    if isinstance(graph, StateGraph):
        try:
            graph = graph.compile(name=agent)
        except ValueError as error:
            nodes = f"StateGraph with the nodes {sorted(graph.nodes)}"
            raise ConfigError("graph", nodes, f"a graph that compiles; LangGraph says: {error}") from error
    check_graph(graph)
    return graph


async def _check_async(saver: BaseCheckpointSaver[Any]) -> None:
    try:
        await saver.aget_tuple({"configurable": {"thread_id": "tailrace-start", "checkpoint_ns": ""}})
    except NotImplementedError as error:
        right = f"one with async methods, like AsyncSqliteSaver; it says: {shorten(str(error), 200)}"
        raise ConfigError("the graph's checkpointer", type(saver).__name__, right) from error
    except Exception as error:  # Its store is away for now, which is for the tasks to find out.
        logger.warning("the graph's checkpointer does not answer: %s: %s", type(error).__name__, error)


def _subgraphs(graph: Graph, path: str = "", seen: tuple[Graph, ...] = ()) -> Iterator[tuple[str, Graph]]:
    """By path, the graphs inside a graph. `seen` are those around it: a graph may call itself."""
    for name, node in graph.nodes.items():
        for subgraph in _graphs_in(node.bound):
            if not any(subgraph is each for each in (*seen, graph)):
                yield f"{path}{name}", subgraph
                yield from _subgraphs(subgraph, f"{path}{name}/", (*seen, graph))


def _graphs_in(runnable: Any) -> Iterator[Graph]:
    """The graphs that a node is, or that its function uses. LangGraph's own list leaves out `checkpointer=False`."""
    if isinstance(runnable, Pregel):
        yield runnable
    for step in getattr(runnable, "steps", ()):
        yield from _graphs_in(step)
    for function in (getattr(runnable, "func", None), getattr(runnable, "afunc", None)):
        for value in get_function_nonlocals(function) if callable(function) else ():
            if isinstance(owner := getattr(value, "__self__", value), Pregel):
                yield owner


def _takes_config(function: MakeGraph) -> bool:
    positional = _positional(function)
    return bool(_required(function)) or (bool(positional) and positional[0].name == "config")


def _required(function: MakeGraph) -> list[inspect.Parameter]:
    return [each for each in _positional(function) if each.default is inspect.Parameter.empty]


def _positional(function: MakeGraph) -> list[inspect.Parameter]:
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [each for each in inspect.signature(function).parameters.values() if each.kind in kinds]


def _name(function: MakeGraph) -> str:
    return getattr(function, "__name__", type(function).__name__)
