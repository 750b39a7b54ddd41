"""An agent's graph, with what its author has said about running it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, Literal

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from pydantic import ValidationError

from tailrace.a2a.card import INPUT_MODES
from tailrace.agent.answers import CheckAnswer
from tailrace.agent.graph_input import GraphInput, MakeInput, input_of, refusals_reject
from tailrace.agent.memory import Memory
from tailrace.agent.structure import Graph, subgraphs_of
from tailrace.errors import Rejected, ThreadUnknown
from tailrace.events import Message
from tailrace.inputs.decode import check, has_files, outline_of, request_of
from tailrace.inputs.request import Request
from tailrace.inputs.turns import in_turn
from tailrace.uploads import Uploads

# The most steps of a graph whose author names no limit. LangGraph's own default, 10,007, would let a loop run for days.
DEFAULT_RECURSION_LIMIT = 50

# Which tasks share a thread: those of a context, none, or those for which the author's function returns the same text.
Thread = Literal["context", "task"] | Callable[[Request], str]


# What the author makes of the graph's result: the artifacts, by name.
Output = Callable[[Any], Mapping[str, Any]]
# When a model's text is shown: as it comes, or when the graph has ended.
Stream = Literal["live", "final"]


@dataclass(frozen=True)
class AgentGraph:
    """The compiled graph of the agent `name`.

    - `config`: the author's. It wins over the config that is bound to the graph.
    - `input_modes`: the media types that the agent takes, as its card names them.
    - `make_input`: the author's function that makes the graph's input; None for the input that the graph's schema says.
    - `make_context`: the author's function that makes LangGraph's runtime context.
    - `thread`: which tasks share a thread of LangGraph; see `AgentApp`.
    - `output`, `stream`: as `AgentApp` explains them.
    - `max_tasks`: how many tasks one process works on at once; None for any number.
    - `check_answer`: the author's function that says why an answer to a question cannot be taken.
    - `memory`: the long-term memory of a graph that brings no store; None for one that does.
    """

    name: str
    graph: Graph
    config: RunnableConfig = field(default_factory=RunnableConfig)
    input_modes: Sequence[str] = INPUT_MODES
    make_input: MakeInput | None = None
    make_context: Callable[[Request], Any] | None = None
    thread: Thread = "context"
    output: Output | None = None
    stream: Stream = "live"
    check_answer: CheckAnswer | None = None
    memory: Memory | None = None
    max_tasks: int | None = None

    @cached_property
    def has_breakpoints(self) -> bool:
        """Whether the graph, or a graph in it, was compiled with `interrupt_before` or `interrupt_after`."""
        graphs = [self.graph, *subgraphs_of(self.graph).values()]
        return any(each.interrupt_before_nodes or each.interrupt_after_nodes for each in graphs)

    @property
    def checkpointer(self) -> Any:
        """The saver that keeps the graph's checkpoints."""
        return self.graph.checkpointer

    def running(self, saver: BaseCheckpointSaver[Any], owner: str) -> Graph:
        """The graph for one attempt: with this saver, and with the owner's part of the memory."""
        store = self.graph.store if self.memory is None else self.memory.of(owner)
        # LangGraph then runs each node in a task of its own: one that ignores its cancel does not keep the graph going.
        return self.graph.copy({"checkpointer": saver, "store": store, "stream_eager": True})

    @property
    def recursion_limit(self) -> int:
        """The most steps of one run: the author's limit, or `DEFAULT_RECURSION_LIMIT`."""
        for config in (self.config, self.graph.config or {}):
            if limit := config.get("recursion_limit"):
                return limit
        return DEFAULT_RECURSION_LIMIT

    def check(self, messages: list[Message], owner: str, *, begins: bool) -> None:
        """Check that the owner's messages can be used. This takes as long as decoding them.

        `begins` says whether they begin a task, so that their data also has to fit the graph's input. What an author's
        own function makes of them is not checked.

        Raises:
            RequestError: they cannot be used; the message says why.
        """
        check(messages, owner, self.input_modes)
        if begins and self.make_input is None:
            # A message that names a context may belong to a conversation whose state has the other fields.
            self._schema_input.of(outline_of(messages), "", fresh=messages[0].context_id is None)

    def lacks(self, messages: list[Message], error: BaseException) -> str:
        """What to add to a run's error for the user, if a field of the graph's input is missing; see `GraphInput`."""
        return "" if self.make_input is not None else self._schema_input.lacks(outline_of(messages), error)

    async def decode(self, messages: list[Message], owner: str, uploads: Uploads) -> Request:
        """Decode the owner's messages, and copy their uploads to this machine's disk.

        Raises:
            Rejected: they cannot be used.
            UploadUnknown, UploadDamaged, UploadsUnavailable
        """
        read = partial(request_of, owner=owner, uploads=uploads, modes=self.input_modes)
        with refusals_reject():
            # Texts and data were decoded with the message, so they need no thread.
            return await in_turn(read, messages) if any(map(has_files, messages)) else read(messages)

    async def input_for(self, request: Request, message_id: str, *, fresh: bool) -> Any:
        """The graph's input for the request that begins a task. `fresh` is as in `GraphInput.of`.

        Raises:
            Rejected: the request does not fit the graph's input.
        """
        if self.make_input is not None:
            return await asyncio.to_thread(self.make_input, request)
        with refusals_reject():
            make = partial(self._schema_input.of, request.parts, message_id, fresh=fresh)
            return await asyncio.to_thread(make) if request.files else make()

    async def thread_key(self, message: Message, owner: str, uploads: Uploads) -> str:
        """What the author's function `thread` returns for the message that begins a task.

        Raises:
            Rejected: the message cannot be used, or the function raised it.
            ThreadUnknown: the function failed, or did not return a text.
            UploadUnknown, UploadDamaged, UploadsUnavailable
        """
        assert callable(self.thread), "the two other values need no request"
        request = await self.decode([message], owner, uploads)
        try:
            key = await asyncio.to_thread(self.thread, request)
        except Rejected:
            raise
        except Exception as error:
            raise ThreadUnknown(f"it raised {type(error).__name__}: {error}") from error
        finally:
            request.close()
        if not isinstance(key, str) or not key:
            raise ThreadUnknown(f"it returned {key!r}, but must return a text that is not empty")
        return key

    async def context_for(self, request: Request) -> Any:
        """LangGraph's runtime context: what the author makes, or else, as on LangGraph's server, its schema's defaults.

        None if there is no schema, or it has a field without a default.
        """
        if self.make_context is not None:
            return await asyncio.to_thread(self.make_context, request)
        if self.graph.context_schema is None:
            return None
        try:
            return self.graph.context_schema()
        except (TypeError, ValidationError):
            return None

    @cached_property
    def _schema_input(self) -> GraphInput:
        return input_of(self.graph)
