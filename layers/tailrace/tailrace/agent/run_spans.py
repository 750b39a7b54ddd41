"""The spans of a run's nodes, tools and models, made where their events are made: in LangChain's callbacks.

A callback that runs inline changes the context of the code that it is called for. So what an author's code does in a
node or a tool, like spans of its own, a model's HTTP request or `delegate`, is below the node's or the tool's span.
"""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

from langchain_core.callbacks import AsyncCallbackHandler
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, LLMResult
from langgraph.constants import START
from langgraph.errors import GraphBubbleUp
from opentelemetry.context import attach
from opentelemetry.trace import Span, SpanKind, get_current_span, set_span_in_context

from tailrace.agent.stops import stop_in
from tailrace.authoring.emit import step_of
from tailrace.tracing import names
from tailrace.tracing.spans import begin, end, fail, note

# The conventions' names of providers that LangChain calls otherwise.
_PROVIDERS = {
    "amazon_bedrock": "aws.bedrock",
    "azure": "azure.ai.openai",
    "google_genai": "gcp.gemini",
    "google_vertexai": "gcp.vertex_ai",
    "mistral": "mistral_ai",
    "mistralai": "mistral_ai",
    "xai": "x_ai",
}


class RunSpans(AsyncCallbackHandler):
    """Begins and ends the spans of one run, below the span that is current when this is made."""

    run_inline = True

    def __init__(self) -> None:
        self._attempt = get_current_span()
        self._open: dict[UUID, Span] = {}
        self._around: dict[UUID, Span] = {}  # by LangChain's run, the innermost span that it is part of
        self._callers: dict[UUID, Span] = {}  # by tool call, the span that was current
        self._steps: dict[UUID, str] = {}  # the steps of the nodes that run now

    def close(self) -> None:
        """End what is still open: the attempt is over."""
        for run_id, span in list(self._open.items()):
            note(span, names.CANCELED, True)
            self._end(run_id)

    async def on_chain_start(
        self,
        serialized: dict[str, Any] | None,
        inputs: Any,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        metadata: dict[str, Any] | None = None,
        **_: Any,
    ) -> None:
        metadata = metadata or {}
        step, name = step_of(metadata.get("langgraph_checkpoint_ns", "")), str(metadata.get("langgraph_node", ""))
        # A runnable inside a node has the node's step. START is LangGraph's own, and its step is in no event.
        if step is None or name == START or step in self._steps.values():
            self._around[run_id] = self._parent(parent_run_id)
            return
        self._steps[run_id] = step
        attributes = {names.NODE_NAME: name, names.STEP: step}
        attach(set_span_in_context(self._begin(f"{names.NODE} {name}", attributes, run_id, parent_run_id)))

    async def on_chain_end(self, outputs: Any, *, run_id: UUID, **_: Any) -> None:
        self._end(run_id)

    async def on_chain_error(self, error: BaseException, *, run_id: UUID, **_: Any) -> None:
        self._end(run_id, error)

    async def on_tool_start(
        self,
        serialized: dict[str, Any] | None,
        input_str: str,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tool_call_id: str | None = None,
        **_: Any,
    ) -> None:
        name = (serialized or {}).get("name") or "tool"
        attributes = {names.OPERATION: names.EXECUTE_TOOL, names.TOOL: name, names.STEP: str(run_id)}
        if tool_call_id is not None:
            attributes[names.TOOL_CALL] = tool_call_id
        self._callers[run_id] = self._parent(parent_run_id)
        attach(set_span_in_context(self._begin(f"{names.EXECUTE_TOOL} {name}", attributes, run_id, parent_run_id)))

    async def on_tool_end(self, output: Any, *, run_id: UUID, **_: Any) -> None:
        if getattr(output, "status", None) == "error" and run_id in self._open:
            fail(self._open[run_id], "ToolError")  # The tool's node has caught it, and tells the model.
        self._leave_tool(run_id)

    async def on_tool_error(self, error: BaseException, *, run_id: UUID, **_: Any) -> None:
        self._leave_tool(run_id, error)

    async def on_chat_model_start(
        self,
        serialized: dict[str, Any] | None,
        messages: Any,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        metadata: dict[str, Any] | None = None,
        **_: Any,
    ) -> None:
        self._model(names.CHAT, run_id, parent_run_id, metadata or {})

    async def on_llm_start(
        self,
        serialized: dict[str, Any] | None,
        prompts: list[str],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        metadata: dict[str, Any] | None = None,
        **_: Any,
    ) -> None:
        self._model(names.TEXT_COMPLETION, run_id, parent_run_id, metadata or {})

    async def on_llm_end(self, response: LLMResult, *, run_id: UUID, **_: Any) -> None:
        span = self._open.get(run_id)
        generation = response.generations[0][0] if response.generations and response.generations[0] else None
        message = generation.message if isinstance(generation, ChatGeneration) else None
        if span is not None and isinstance(message, AIMessage):
            if model := message.response_metadata.get("model_name"):
                note(span, names.RESPONSE_MODEL, str(model))
            if tokens := message.usage_metadata:
                note(span, names.INPUT_TOKENS, tokens["input_tokens"])
                note(span, names.OUTPUT_TOKENS, tokens["output_tokens"])
        self._end(run_id)

    async def on_llm_error(self, error: BaseException, *, run_id: UUID, **_: Any) -> None:
        self._end(run_id, error)

    def _leave_tool(self, run_id: UUID, error: BaseException | None = None) -> None:
        """End a tool's span. A node that has called the tool itself, and not in a task, goes on below its own."""
        self._end(run_id, error)
        if (around := self._callers.pop(run_id, None)) is not None:
            attach(set_span_in_context(around))

    def _model(self, operation: str, run_id: UUID, parent: UUID | None, metadata: dict[str, Any]) -> None:
        attributes = {names.OPERATION: operation}
        provider, model = metadata.get("ls_provider"), metadata.get("ls_model_name")
        if provider:
            attributes[names.PROVIDER] = _PROVIDERS.get(str(provider), str(provider))
        if model:
            attributes[names.REQUEST_MODEL] = str(model)
        self._begin(f"{operation} {model}" if model else operation, attributes, run_id, parent, SpanKind.CLIENT)

    def _begin(
        self,
        name: str,
        attributes: dict[str, str],
        run_id: UUID,
        parent: UUID | None,
        kind: SpanKind = SpanKind.INTERNAL,
    ) -> Span:
        context = set_span_in_context(self._parent(parent))
        span = begin(name, context=context, kind=kind, attributes=attributes)
        self._open[run_id] = self._around[run_id] = span
        return span

    def _parent(self, parent: UUID | None) -> Span:
        """The span that is around what begins now: one of the author's own, or that of the LangChain run `parent`."""
        current = get_current_span()
        if current.is_recording() and current is not self._attempt and current not in self._open.values():
            return current
        return self._around.get(parent, self._attempt) if parent is not None else self._attempt

    def _end(self, run_id: UUID, error: BaseException | None = None) -> None:
        self._around.pop(run_id, None)
        self._steps.pop(run_id, None)
        span = self._open.pop(run_id, None)
        if span is None:
            return
        if error is not None and isinstance(stop_in(error), GraphBubbleUp):
            note(span, names.INTERRUPTED, True)
        elif isinstance(error, asyncio.CancelledError):
            note(span, names.CANCELED, True)
        elif error is not None:
            fail(span, type(error).__name__)
        end(span)
