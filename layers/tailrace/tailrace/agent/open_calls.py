"""Which calls of nodes, tools and models are open, to know whether a run only waits for other agents.

A node or a tool that has caught the `GraphDrained` with which `delegate` left it must not end well: its result would be
taken, and the other agent's answer never asked for again. So the exception is raised once more. One that comes in a
group of errors is raised alone, as a question is.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from langchain_core.callbacks import AsyncCallbackHandler
from langgraph.errors import GraphDrained, GraphInterrupt

from tailrace.agent.stops import stop_in
from tailrace.authoring.emit import step_of


class OpenCalls(AsyncCallbackHandler):
    """LangChain's runs that have begun and not ended: nodes, tools, models, and what is between them.

    `left` has the runs in which `delegate` was left because the attempt must end.
    """

    raise_error = True  # for `_refuse_left` and `stop_in`; see `_is_an_error`
    run_inline = True  # as `RunCallbacks`

    def __init__(self, left: Mapping[str, Any]) -> None:
        self._left = left
        # Runs inside which another one has ended with GraphDrained.
        self._drained: set[Any] = set()
        self._around: dict[Any, Any] = {}  # by run, the run around it
        self._steps: dict[Any, str | None] = {}
        # Open runs inside which a model, a tool or a retriever has answered.
        self._answered: set[Any] = set()
        # Whether a node that has asked the user would repeat such a call. The graph ends when the others have ended.
        self._asked_after_answers = False

    def are_all_in(self, callers: Collection[Any]) -> bool:
        """Whether nothing runs but `callers`, and no node that would run again would repeat a model's or a tool's call.

        These nodes are theirs, and those that have asked the user.
        """
        if self._asked_after_answers:
            return False
        inmost = self._around.keys() - set(self._around.values())
        return inmost <= set(callers) and not any(self._answered & {*self._in_node(caller)} for caller in callers)

    async def on_chain_start(self, serialized: Any, inputs: Any, **about: Any) -> None:
        self._begin(**about)

    async def on_chain_end(self, outputs: Any, *, run_id: Any, **_: Any) -> None:
        self._end(run_id)
        self._refuse_left(run_id)

    async def on_chain_error(self, error: BaseException, *, run_id: Any, **_: Any) -> None:
        stop = stop_in(error)
        if isinstance(stop, GraphInterrupt) and run_id in self._answered:
            self._asked_after_answers = True
        self._note_drained(stop, run_id)
        self._end(run_id)
        if stop is not error:
            raise stop

    async def on_tool_start(self, serialized: Any, input_str: str, **about: Any) -> None:
        self._begin(**about)

    async def on_tool_end(self, output: Any, *, run_id: Any, **_: Any) -> None:
        self._answer(run_id)
        self._refuse_left(run_id)

    async def on_tool_error(self, error: BaseException, *, run_id: Any, **_: Any) -> None:
        stop = stop_in(error)
        if isinstance(stop, GraphInterrupt):
            self._end(run_id)  # It asks the user, and has not answered.
        else:
            self._note_drained(stop, run_id)
            self._answer(run_id)
        if stop is not error:
            raise stop  # LangGraph's ToolNode may tell a model of an error instead.

    async def on_chat_model_start(self, serialized: Any, messages: Any, **about: Any) -> None:
        self._begin(**about)

    async def on_llm_start(self, serialized: Any, prompts: Any, **about: Any) -> None:
        self._begin(**about)

    async def on_llm_end(self, response: Any, *, run_id: Any, **_: Any) -> None:
        self._answer(run_id)

    async def on_llm_error(self, error: BaseException, *, run_id: Any, **_: Any) -> None:
        self._answer(run_id)

    async def on_retriever_start(self, serialized: Any, query: str, **about: Any) -> None:
        self._begin(**about)

    async def on_retriever_end(self, documents: Any, *, run_id: Any, **_: Any) -> None:
        self._answer(run_id)

    async def on_retriever_error(self, error: BaseException, *, run_id: Any, **_: Any) -> None:
        self._answer(run_id)

    def _begin(
        self, *, run_id: Any, parent_run_id: Any = None, metadata: dict[str, Any] | None = None, **_: Any
    ) -> None:
        self._around[run_id] = parent_run_id
        self._steps[run_id] = step_of((metadata or {}).get("langgraph_checkpoint_ns", ""))

    def _refuse_left(self, run_id: Any) -> None:
        if run_id in self._drained or run_id in self._left.values():
            raise GraphDrained("A node or a tool has caught GraphDrained. Its result is dropped, and it runs again.")

    def _note_drained(self, error: BaseException, run_id: Any) -> None:
        if isinstance(error, GraphDrained):
            self._drained.add(self._around.get(run_id))

    def _answer(self, run_id: Any) -> None:
        self._answered.update(self._in_node(self._around.get(run_id)))
        self._end(run_id)

    def _end(self, run_id: Any) -> None:
        self._around.pop(run_id, None)
        self._steps.pop(run_id, None)
        self._answered.discard(run_id)

    def _in_node(self, run_id: Any) -> Iterator[Any]:
        """The run and those around it, up to the innermost node."""
        step = self._steps.get(run_id)
        while run_id in self._around and self._steps[run_id] == step:
            yield run_id
            run_id = self._around[run_id]


def _is_an_error(record: logging.LogRecord) -> bool:
    """Whether LangChain logs a callback's error: what `OpenCalls` raises is for LangGraph, and no error."""
    return not (isinstance(record.args, tuple) and OpenCalls.__name__ in record.args)


logging.getLogger("langchain_core.callbacks.manager").addFilter(_is_an_error)
