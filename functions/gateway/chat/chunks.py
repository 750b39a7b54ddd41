"""The chunks of the AI SDK's UI message stream, version 1, that we send.

Source: `uiMessageChunkSchema` in the package `ai` 7.0.173 (npm), `src/ui-message-stream/ui-message-chunks.ts`. A tool
is `dynamic`, because the page does not know it, and `providerExecuted`, because the page does not run it. What is ours
has the types `data-…`; docs/FRONTENDS.md describes their data.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from tailrace.events.metadata import Cost

# The header that says which protocol a stream has (`src/ui-message-stream/ui-message-stream-headers.ts`).
HEADER = {"x-vercel-ai-ui-message-stream": "v1"}

State = Literal[
    "submitted", "working", "input-required", "auth-required", "completed", "failed", "canceled", "rejected"
]
StepState = Literal["running", "waiting", "done", "failed", "superseded"]


class Tokens(msgspec.Struct, rename="camel", frozen=True):
    """The tokens of all models, under the names that the AI SDK has for them."""

    input_tokens: int
    output_tokens: int
    total_tokens: int


class MessageMetadata(msgspec.Struct, rename="camel", omit_defaults=True):
    """The `metadata` of an assistant's message. The page merges what comes later into what it has.

    `error` says why the task failed or was rejected: `useChat` itself forgets its error when the page is loaded again.
    """

    task: str = ""
    agent: str = ""
    context_id: str = ""
    state: State | None = None
    usage: Tokens | None = None
    cost: Cost | None = None
    error: str | None = None


class Ours(msgspec.Struct, omit_defaults=True):
    """What we say of a text or a file beside its content: the artifact, or who says it, or the file's name."""

    artifact: str = ""
    name: str = ""
    filename: str = ""


class ProviderMetadata(msgspec.Struct):
    tailrace: Ours


class Chunk(msgspec.Struct, rename="camel", omit_defaults=True, tag_field="type"):
    """One chunk. Its class has its `type`."""


class Start(Chunk, tag="start"):
    message_id: str
    message_metadata: MessageMetadata


class Finish(Chunk, tag="finish"):
    finish_reason: Literal["stop", "tool-calls", "error", "other"]


class Metadata(Chunk, tag="message-metadata"):
    message_metadata: MessageMetadata


class Abort(Chunk, tag="abort"):
    reason: str


class Failure(Chunk, tag="error"):
    error_text: str


class StartStep(Chunk, tag="start-step"):
    pass


class FinishStep(Chunk, tag="finish-step"):
    pass


class ResetStep(Chunk, tag="reset-step"):
    """It takes back all parts that came since the last `start-step`."""


class TextStart(Chunk, tag="text-start"):
    id: str
    provider_metadata: ProviderMetadata | None = None


class TextDelta(Chunk, tag="text-delta"):
    id: str
    delta: str


class TextEnd(Chunk, tag="text-end"):
    id: str


class ReasoningStart(Chunk, tag="reasoning-start"):
    id: str
    provider_metadata: ProviderMetadata | None = None


class ReasoningDelta(Chunk, tag="reasoning-delta"):
    id: str
    delta: str


class ReasoningEnd(Chunk, tag="reasoning-end"):
    id: str


class ToolInputStart(Chunk, tag="tool-input-start", kw_only=True):
    tool_call_id: str
    tool_name: str
    dynamic: bool | None = None
    provider_executed: bool | None = None


class ToolInputDelta(Chunk, tag="tool-input-delta"):
    tool_call_id: str
    input_text_delta: str


class ToolInput(Chunk, tag="tool-input-available", kw_only=True):
    tool_call_id: str
    tool_name: str
    input: Any
    dynamic: bool | None = None
    provider_executed: bool | None = None


class ToolApproval(Chunk, tag="tool-approval-request"):
    approval_id: str
    tool_call_id: str
    reason: str | None = None


class ToolDecision(Chunk, tag="tool-approval-response"):
    approval_id: str
    approved: bool
    reason: str | None = None


class ToolOutput(Chunk, tag="tool-output-available"):
    tool_call_id: str
    output: Any
    preliminary: bool | None = None


class ToolFailure(Chunk, tag="tool-output-error"):
    tool_call_id: str
    error_text: str


class ToolDenied(Chunk, tag="tool-output-denied"):
    tool_call_id: str


class File(Chunk, tag="file"):
    """A file. `filename` is for a user's: the SDK does not take it from a stream."""

    url: str
    media_type: str
    provider_metadata: ProviderMetadata | None = None
    filename: str | None = None


class SourceUrl(Chunk, tag="source-url"):
    source_id: str
    url: str
    title: str | None = None


class SourceDocument(Chunk, tag="source-document"):
    source_id: str
    media_type: str
    title: str
    filename: str | None = None


class Report(msgspec.Struct, omit_defaults=True, kw_only=True):
    """What is known of a step: a node, a tool of another agent, or a tool that reports progress.

    `text` is what it reported or said last.
    """

    kind: Literal["node", "tool"]
    name: str
    agent: str
    state: StepState
    parent: str | None = None
    text: str | None = None
    done: float | None = None
    total: float | None = None
    error: str | None = None


class StepData(Chunk, tag="data-step"):
    id: str
    data: Report


class Question(msgspec.Struct, omit_defaults=True, kw_only=True):
    """A question that is no approval. `value` is what the graph asks, `schema` the JSON Schema of an answer."""

    question: str
    state: Literal["open", "answered"]
    value: Any
    node: str = ""
    agent: str = ""
    schema: dict[str, Any] | None = None
    answer: Any = msgspec.UNSET


class QuestionData(Chunk, tag="data-question"):
    id: str
    data: Question


class Artifact(msgspec.Struct):
    """The data of an artifact."""

    name: str
    data: Any


class ArtifactData(Chunk, tag="data-artifact"):
    id: str
    data: Artifact


class Gap(msgspec.Struct, rename={"first": "from", "last": "to"}):
    """The events from `first` to `last` are gone for good."""

    first: int
    last: int


class GapData(Chunk, tag="data-gap"):
    data: Gap
