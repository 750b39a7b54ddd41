"""The graph in one attempt: what it starts with, how LangGraph is called, and what becomes of LangGraph's stream."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import merge_configs
from langgraph.constants import START
from langgraph.errors import is_invalid_resume
from langgraph.runtime import RunControl
from langgraph.types import Command
from pydantic import ValidationError

from tailrace.agent.answers import answers_in
from tailrace.agent.breakpoints import open_breakpoint
from tailrace.agent.checkpoints.attempt_saver import AttemptSaver, is_lasting
from tailrace.agent.graph import AgentGraph
from tailrace.agent.langgraph_events import Translator
from tailrace.agent.questions import AnswerUnfit, questions_in
from tailrace.agent.recovery.takeover import Takeover
from tailrace.authoring import run_context
from tailrace.authoring.emit import set_request
from tailrace.config import Settings
from tailrace.events import Details, Message
from tailrace.inputs.request import Request
from tailrace.stream.writer import Writer
from tailrace.uploads import open_uploads


class GraphRun:
    """Runs the graph of one attempt from its checkpoints, and writes its stream as events.

    The graph's stream goes to `translator.parts`. `calls` is told of the graph's calls too. No node starts before
    `begun` is done. `traced` says whether somebody sees its spans. `completed` is what the task's COMPLETED event says
    of the run, when the graph has ended.
    """

    def __init__(
        self,
        agent: AgentGraph,
        takeover: Takeover,
        writer: Writer,
        translator: Translator,
        settings: Settings,
        calls: BaseCallbackHandler,
        begun: asyncio.Task[None],
        *,
        traced: bool = False,
    ) -> None:
        self._agent = agent
        self._head = takeover.head
        self._history = takeover.history
        self._before = takeover.fence.seq - 1
        self._plan = takeover.plan
        self._writer = writer
        self._translator = translator
        self._parts = translator.parts
        self._settings = settings
        self._callbacks = [translator.callbacks, calls]
        self._begun = begun
        self._traced = traced
        self.completed = Details()

    def stream(self, run: run_context.RunContext, control: RunControl) -> Coroutine[Any, Any, None]:
        """As `_stream`, with spans if the run is traced. If not, no event is passed through another coroutine."""
        return (self._stream_with_spans if self._traced else self._stream)(run, control)

    async def _stream_with_spans(self, run: run_context.RunContext, control: RunControl) -> None:
        from tailrace.agent.run_spans import RunSpans

        spans = RunSpans()
        self._callbacks.insert(0, spans)
        try:
            await self._stream(run, control)
        finally:
            spans.close()

    async def _stream(self, run: run_context.RunContext, control: RunControl) -> None:
        """Run the graph until it ends, stops at a question, or is drained by `control`.

        Raises:
            AnswerUnfit: the graph refused the user's answer.
            BaseException: what the graph raises, and what `begun` does.
        """
        agent, plan, translator = self._agent, self._plan, self._translator
        request = await self._request(self._history.messages)
        set_request(request)
        if task := asyncio.current_task():
            task.add_done_callback(lambda _: request.close())
        run_context.current.set(run)
        graph_input: Any = None
        if plan.answers:
            graph_input = Command(resume=plan.answers)
        elif not plan.resumes:
            graph_input = await self._input(request)
        # LangGraph saves a checkpoint before the first node of a new run of a `StateGraph`: that waits for `begun`.
        # With a `Command` it goes on at once from a checkpoint of the conversation.
        waits = graph_input is not None and not isinstance(graph_input, Command) and START in agent.graph.nodes
        if not waits:
            await self._begun
        saver = AttemptSaver(
            agent.checkpointer,
            self._head.attempt,
            plan.pins,
            self._flush,
            task=self._head.thread,
            begun=self._begun if waits else None,
        )
        graph = agent.running(saver, self._head.owner)
        config, answered = self._config(), answers_in(self._history.exchanges)
        resumes = graph_input is None and agent.has_breakpoints
        if resumes and (question := await open_breakpoint(graph, config, answered)):
            translator.ask(question)  # LangGraph would pass the breakpoint
            return
        context = await agent.context_for(request)
        try:
            with self._parts:
                # What a model says comes to the stream before what our callbacks say of it.
                streaming = self._merged(self._parts.config(graph.store), config)
                async for _ in graph.astream(
                    graph_input, streaming, context=context, stream_mode=[], durability="sync", control=control
                ):
                    pass  # `self._parts` takes them all
                await saver.settle()
        except ValidationError as error:
            if not is_invalid_resume(error):
                raise
            waiting = {each.id for each in (await graph.aget_state(config)).interrupts}
            raise AnswerUnfit(error, questions_in(self._history.exchanges[-1].message), waiting) from None
        stopped = translator.callbacks.at_breakpoint
        if stopped and (question := await open_breakpoint(graph, config, answered, stopped=True)):
            translator.ask(question)
        self.completed = Details(checkpoints=saver.lasting, thread=plan.thread)

    async def _flush(self, namespace: str, node: str | None, ran: bool) -> int:
        """Flush what a namespace has emitted; see `attempt_saver.Flush`."""
        if not ran and not self._begun.done():
            return self._before  # The graph has emitted nothing. The fence may be on its way still.
        barrier = self._translator.barrier
        if node is not None and node not in self._translator.callbacks.ran:
            self._translator.cached(node)
        elif node is not None:
            await barrier.node(node)
            self._translator.saves(node)
        elif ran and namespace and not is_lasting(namespace):  # else a node in it may be that of another call
            await barrier.nodes_in(namespace)
        await self._writer.flush()
        # Before the first checkpoint of an entrypoint is saved, the entrypoint runs already.
        return self._writer.last if ran else self._before

    async def _input(self, request: Request) -> Any:
        """The graph's input. It is made of the message that began the task, so no reply changes it.

        Raises:
            Rejected: the message does not fit the graph's input.
        """
        messages = self._history.messages
        first = request if len(messages) == 1 else await self._request(messages[:1])
        try:
            return await self._agent.input_for(first, self._head.task_id, fresh="" not in self._plan.pins)
        finally:
            if first is not request:
                first.close()

    async def _request(self, messages: list[Message]) -> Request:
        return await self._agent.decode(messages, self._head.owner, open_uploads(self._settings))

    def _config(self) -> RunnableConfig:
        """The graph's config: the author's, and what belongs to this run. Nodes and tools may read `configurable`."""
        ours: RunnableConfig = {
            "configurable": {
                "thread_id": self._plan.thread,
                "task_id": self._head.task_id,
                "owner": self._head.owner,
                "agent": self._head.agent,
            },
            "callbacks": self._callbacks,
        }
        return self._merged(self._agent.config, ours)

    def _merged(self, *configs: RunnableConfig | None) -> RunnableConfig:
        """The configs as one. `merge_configs` takes a limit of 25 for LangChain's default, and leaves it out."""
        return {**merge_configs(*configs), "recursion_limit": self._agent.recursion_limit}
