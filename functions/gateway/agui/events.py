"""The events and messages of AG-UI 1.0 that we send, as JSON.

Source: https://docs.ag-ui.com/spec and `schema.json` there. The tests compare them with the package `ag-ui-protocol`,
which takes 200 ms to import. What is ours is in CUSTOM events and under `tailrace` in `metadata`
(docs/FRONTENDS.md has their forms).
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

VERSION = "1.0"


class Wire(msgspec.Struct, rename="camel", omit_defaults=True):
    """Part of an event: camelCase names, and no field without a value."""


class Event(Wire, tag_field="type"):
    """One event. Its class has its `type`."""


class OfRun(msgspec.Struct):
    """Which task of which agent a run is."""

    task: str
    agent: str


class RunMetadata(msgspec.Struct):
    tailrace: OfRun


class RunStarted(Event, tag="RUN_STARTED"):
    thread_id: str
    run_id: str
    protocol_version: str
    metadata: RunMetadata


class Interrupt(Wire):
    """A question. `metadata` has its value, whole, and the node that asks."""

    id: str
    reason: str
    message: str = ""
    response_schema: dict[str, Any] | None = None
    metadata: dict[str, Any] = {}


class Success(Wire, tag="success", tag_field="type"):
    pass


class Interrupted(Wire, tag="interrupt", tag_field="type"):
    interrupts: list[Interrupt]


class Cancelled(Wire, tag="cancelled", tag_field="type"):
    pass


class TokenUsage(Wire):
    """The tokens of one model in one run."""

    input_tokens: int
    output_tokens: int
    total_tokens: int
    model: str | None = None


class RunFinished(Event, tag="RUN_FINISHED"):
    thread_id: str
    run_id: str
    outcome: Success | Interrupted | Cancelled
    usage: list[TokenUsage] = []


class RunError(Event, tag="RUN_ERROR"):
    message: str
    code: str
    usage: list[TokenUsage] = []


class StepStarted(Event, tag="STEP_STARTED"):
    step_name: str


class StepFinished(Event, tag="STEP_FINISHED"):
    step_name: str


class TextStart(Event, tag="TEXT_MESSAGE_START"):
    message_id: str
    role: Literal["assistant"]
    name: str = ""


class TextContent(Event, tag="TEXT_MESSAGE_CONTENT"):
    message_id: str
    delta: str


class TextEnd(Event, tag="TEXT_MESSAGE_END"):
    message_id: str


class ReasoningStart(Event, tag="REASONING_START"):
    message_id: str


class ReasoningMessageStart(Event, tag="REASONING_MESSAGE_START"):
    message_id: str
    role: Literal["reasoning"]


class ReasoningContent(Event, tag="REASONING_MESSAGE_CONTENT"):
    message_id: str
    delta: str


class ReasoningMessageEnd(Event, tag="REASONING_MESSAGE_END"):
    message_id: str


class ReasoningEnd(Event, tag="REASONING_END"):
    message_id: str


class CallStart(Event, tag="TOOL_CALL_START"):
    tool_call_id: str
    tool_call_name: str
    parent_message_id: str


class CallArguments(Event, tag="TOOL_CALL_ARGS"):
    tool_call_id: str
    delta: str


class CallEnd(Event, tag="TOOL_CALL_END"):
    tool_call_id: str


class CallResult(Event, tag="TOOL_CALL_RESULT"):
    message_id: str
    tool_call_id: str
    content: str


class StateSnapshot(Event, tag="STATE_SNAPSHOT"):
    snapshot: Any


class Add(Wire, tag="add", tag_field="op"):
    """An operation of JSON Patch (RFC 6902) that sets a member, whether it is there or not."""

    path: str
    value: Any


class StateDelta(Event, tag="STATE_DELTA"):
    delta: list[Add]


class MessagesSnapshot(Event, tag="MESSAGES_SNAPSHOT"):
    messages: list[Any]


class Custom(Event, tag="CUSTOM"):
    name: str
    value: Any


class FunctionCall(Wire):
    name: str
    arguments: str


class ToolCall(Wire):
    id: str
    type: Literal["function"]
    function: FunctionCall


class UserMessage(Wire):
    id: str
    role: Literal["user"]
    content: str | list[Any]


class AssistantMessage(Wire):
    id: str
    role: Literal["assistant"]
    content: str = ""
    name: str = ""
    tool_calls: list[ToolCall] = []


class ReasoningMessage(Wire):
    id: str
    role: Literal["reasoning"]
    content: str


class ToolMessage(Wire):
    id: str
    role: Literal["tool"]
    content: str
    tool_call_id: str
    error: str = ""
