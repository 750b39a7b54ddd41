"""LangGraph's stream without its queue: each part is taken at the moment when the graph emits it.

`astream` puts every part into a queue, wakes the event loop through a pipe, and waits with a new task for the queue or
a node. That takes longer than all that we do with a part. A subgraph needs no such queue: it gives its parts to the
stream that its parent has put into its config. So we give LangGraph our stream as a parent's.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Self

from langchain_core.runnables import RunnableConfig
from langgraph._internal._constants import CONFIG_KEY_CHECKPOINT_NS, CONFIG_KEY_RUNTIME, CONFIG_KEY_STREAM, NS_SEP, PUSH
from langgraph.config import get_config
from langgraph.pregel._messages import StreamMessagesHandler
from langgraph.pregel.protocol import StreamChunk, StreamProtocol
from langgraph.runtime import Runtime
from langgraph.store.base import BaseStore
from langgraph.types import Interrupt

from tailrace.agent.checkpoints.attempt_saver import is_lasting
from tailrace.agent.containment import ProcessExit
from tailrace.authoring.emit import step_of

# The kinds of parts that do not come from LangGraph's stream.
OUTSIDE, ERROR_HANDLER, CALL_ASKS = "outside", "error_handler", "call_asks"
# Added to the parts `tasks` of a subgraph with `checkpointer=True`, of a `@task` and of a `Send`: the namespace of the
# node whose code, or whose graph, has begun it.
CALLED_IN = "called_in"


class GraphStream:
    """Calls `take` with the namespace, the kind and the data of each part, on the event loop and in order.

    The kinds are LangGraph's stream modes `custom`, `messages` and `tasks`, of the graph and all its subgraphs,
    `ERROR_HANDLER`, `CALL_ASKS` and `OUTSIDE`. A part of another thread is taken in the loop's next turn, or before the
    next part of the loop's own.

    The graph runs in a `with` block. If `take` raises, no part is taken any more, `error` is what it has raised, and
    `failed` is set. The block's task is cancelled, and the block raises `error`. Nothing is taken after the block.
    """

    def __init__(self, take: Callable[[tuple[str, ...], str, Any], None]) -> None:
        self._take = take
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._parts: deque[StreamChunk] = deque()
        self._task: asyncio.Task[Any] | None = None
        self._called = self._taking = self._closed = False
        self.error: Exception | None = None
        self.failed = asyncio.Event()

    def __enter__(self) -> Self:
        self._task = asyncio.current_task()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        if self.error is not None:
            assert self._task is not None
            self._task.uncancel()
            raise self.error from self.error.__cause__

    def close(self) -> None:
        """Take nothing any more: what a graph emits while it is being cancelled says that its nodes have failed."""
        self._closed = True

    def receive(self, emission: Any) -> None:
        """Take what a thread emits that is not part of LangGraph's context. It may be called from any thread."""
        self._put(((), OUTSIDE, emission))

    def error_handler_began(self, namespace: str, name: str) -> None:
        """Take the start of a node's error handler, of which LangGraph emits only the end. Any thread may call it.

        The namespace of an error handler is inside that of the step that has failed.
        """
        *graph, failed = _graph_of(namespace)
        self._put((tuple(graph), ERROR_HANDLER, (step_of(namespace), name, step_of(failed))))

    def call_asks(self, step: str, interrupts: Sequence[Interrupt]) -> None:
        """Take the end of a `@task` that asks the user. LangGraph emits only that of the node that has called it.

        Any thread may call it.
        """
        self._put(((), CALL_ASKS, (step, interrupts)))

    def config(self, store: BaseStore | None) -> RunnableConfig:
        """What the graph's config needs. `store` is the graph's: LangGraph looks for it here."""
        configurable = {
            CONFIG_KEY_STREAM: StreamProtocol(self._put, {"custom", "messages", "tasks"}),
            CONFIG_KEY_RUNTIME: Runtime(store=store, stream_writer=self._write),
        }
        return {"configurable": configurable, "callbacks": [StreamMessagesHandler(self._put, subgraphs=True)]}

    def _write(self, data: Any) -> None:
        """What the graph's nodes and tools get as LangGraph's stream writer."""
        self._put((_graph_of(get_config()["configurable"][CONFIG_KEY_CHECKPOINT_NS]), "custom", data))

    def _put(self, part: StreamChunk) -> None:
        self._parts.append(_with_caller(part))
        if threading.get_ident() == self._thread:
            self._take_all()  # A part that a thread has put before this one is taken before it.
        elif not self._called:  # One call takes all that comes until then.
            self._called = True
            self._loop.call_soon_threadsafe(self._take_all)

    def _take_all(self) -> None:
        self._called = False  # before a part is taken: a later one needs a new call
        if self._taking or self._closed:
            return
        self._taking = True
        try:
            while self._parts:
                self._take(*self._parts.popleft())
        except BaseException as error:  # It must not reach the node that emits.
            self.error, self._closed = error if isinstance(error, Exception) else ProcessExit(error), True
            self.failed.set()
            if self._task is not None:
                self._task.cancel()
        finally:
            self._taking = False


def _with_caller(part: StreamChunk) -> StreamChunk:
    """The part. If it does not name the step that has called the graph, or the `@task`, it gets `CALLED_IN`."""
    namespace, kind, data = part
    if kind != "tasks" or not (PUSH in data.get("triggers", ()) or is_lasting("|".join(namespace))):
        return part
    try:
        return namespace, kind, {**data, CALLED_IN: get_config()["metadata"]["langgraph_checkpoint_ns"]}
    except (RuntimeError, KeyError):  # a thread without LangGraph's context
        return part


def caller_in(called_in: str | None, namespace: tuple[str, ...]) -> str | None:
    """The step that has called the `@task` of a part. `called_in` is its `CALLED_IN`, `namespace` that of its graph.

    None if it is no `@task`: what a `Send` begins does so in the context of the step around the graph.
    """
    if called_in is None:
        return None
    places = called_in.split(NS_SEP)
    inside = len(places) > len(namespace) and tuple(places[: len(namespace)]) == namespace
    return step_of(called_in) if inside else None


@lru_cache(maxsize=1_000)
def _graph_of(namespace: str) -> tuple[str, ...]:
    """The namespace of the graph in which the node of `namespace` runs."""
    return tuple(namespace.split(NS_SEP)[:-1])
