"""The messages of a chat as a page stores them (`UIMessage` in the package `ai`, `src/ui/ui-messages.ts`)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import msgspec

from gateway.chat import chunks
from gateway.chat.chunks import Chunk, MessageMetadata, ProviderMetadata
from gateway.chat.files import artifact_chunks
from gateway.chat.parts import DataPart, OtherPart, Part, TextPart, ToolPart
from gateway.chat.values import arguments
from tailrace.events import Message
from tailrace.events import Part as EventPart

ToolState = Literal[
    "input-streaming",
    "input-available",
    "approval-requested",
    "approval-responded",
    "output-available",
    "output-error",
    "output-denied",
]


class StepStart(Chunk, tag="step-start"):
    pass


class Text(Chunk, tag="text"):
    text: str
    state: Literal["streaming", "done"] | None = None
    provider_metadata: ProviderMetadata | None = None


class Reasoning(Chunk, tag="reasoning"):
    id: str
    text: str
    state: Literal["streaming", "done"] | None = None
    provider_metadata: ProviderMetadata | None = None


class Approval(msgspec.Struct, rename="camel", omit_defaults=True):
    id: str
    approved: bool | None = None
    reason: str | None = None
    request_reason: str | None = None


class Tool(Chunk, tag="dynamic-tool", kw_only=True):
    tool_name: str
    tool_call_id: str
    state: ToolState
    input: Any = msgspec.UNSET
    output: Any = msgspec.UNSET
    error_text: str | None = None
    approval: Approval | None = None
    provider_executed: bool | None = None


class Answers(Chunk, tag="data-answers"):
    data: Any


class Value(Chunk, tag="data-value"):
    """Other data that a user has sent: the log has no name for it."""

    data: Any


StoredPart = (
    StepStart
    | Text
    | Reasoning
    | Tool
    | chunks.File
    | chunks.SourceUrl
    | chunks.SourceDocument
    | chunks.StepData
    | chunks.QuestionData
    | chunks.ArtifactData
    | chunks.GapData
    | Answers
    | Value
)


class StoredMessage(msgspec.Struct, omit_defaults=True, kw_only=True):
    id: str
    role: Literal["user", "assistant"]
    parts: list[StoredPart]
    metadata: MessageMetadata | None = None


class ChatMessages(msgspec.Struct, rename="camel"):
    """A page of a chat's messages. `next_page_token` is that of older ones, "" if there are none."""

    messages: list[StoredMessage]
    next_page_token: str


def of_user(message: Message) -> StoredMessage:
    """A user's message in a task."""
    return StoredMessage(id=message.message_id, role="user", parts=list(_users_parts(message)))


def stored_parts(parts: Iterable[Part | None]) -> list[StoredPart]:
    """The parts of a message of the assistant; None stands for the beginning of a step."""
    stored: list[StoredPart] = []
    places: dict[tuple[type, str], int] = {}
    for part in parts:
        match part:
            case None:
                stored.append(StepStart())
            case TextPart():
                stored.append(_text(part))
            case ToolPart():
                stored.append(_tool(part))
            case DataPart():  # its data may have changed after its step
                place = places.setdefault((type(part.chunk), part.chunk.id), len(stored))
                stored[place : place + 1] = [part.chunk]
            case OtherPart():
                stored.append(part.chunk)
    return stored


def _users_parts(message: Message) -> Iterable[StoredPart]:
    for part in message.parts:
        is_file = part.filename or part.raw is not None or part.url is not None
        if part.text is not None and not is_file:
            yield Text(part.text)
        elif part.data is msgspec.UNSET or is_file:
            yield from (_named(each, part) for each in artifact_chunks("", [part]) if isinstance(each, chunks.File))
        elif isinstance(part.data, dict) and part.data.keys() == {"answers"}:
            yield Answers(part.data["answers"])
        else:
            yield Value(part.data)


def _named(file: chunks.File, part: EventPart) -> chunks.File:
    return chunks.File(file.url, file.media_type, filename=part.filename)


def _text(part: TextPart) -> Text | Reasoning:
    state: Literal["streaming", "done"] = "streaming" if part.is_open else "done"
    if part.reasoning:
        return Reasoning(part.id, part.text, state, part.metadata)
    return Text(part.text, state, part.metadata)


def _tool(part: ToolPart) -> Tool:
    stored = Tool(tool_name=part.name, tool_call_id=part.id, state="input-streaming", provider_executed=True)
    if part.is_whole:
        stored.state, stored.input = "input-available", part.input
    elif part.written:
        stored.input = arguments("".join(part.written))
    if part.approval is not None:
        stored.state = "approval-requested"
        stored.approval = Approval(part.approval.approval_id, request_reason=part.approval.reason)
        if part.decision is not None:
            stored.state = "approval-responded"
            stored.approval.approved, stored.approval.reason = part.decision.approved, part.decision.reason
    match part.ending:
        case chunks.ToolOutput():
            stored.state, stored.output = "output-available", part.ending.output
        case chunks.ToolFailure():
            stored.state, stored.error_text = "output-error", part.ending.error_text
        case chunks.ToolDenied():
            stored.state = "output-denied"
    return stored
