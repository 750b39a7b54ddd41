"""The parts of an assistant's message while it is streamed: what a page has been told, so that it can be told again.

`reset-step` takes all parts of the current step back, also those that still hold. Each part therefore knows the chunks
that bring it to where it was.
"""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.chat import chunks
from gateway.chat.chunks import Chunk, Ours, ProviderMetadata

DataChunk = chunks.StepData | chunks.QuestionData | chunks.ArtifactData


class Part(msgspec.Struct, kw_only=True, eq=False):
    """A part of a message. `step` is the step of the run that made it; what supersedes that step takes it back."""

    step: str | None = None

    def chunks(self) -> list[Chunk]:
        """The chunks that make this part as it is now."""
        raise NotImplementedError


class TextPart(Part, kw_only=True, eq=False):
    """A text, or with `reasoning` a model's reasoning. `of` is the artifact, or "" for what is in none."""

    id: str
    of: str = ""
    said_by: str = ""
    message: str | None = None
    reasoning: bool = False
    pieces: list[str] = []
    is_open: bool = True

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    @property
    def metadata(self) -> ProviderMetadata | None:
        ours = Ours(artifact=self.of, name=self.said_by)
        return ProviderMetadata(ours) if self.of or self.said_by else None

    def start(self) -> Chunk:
        return (chunks.ReasoningStart if self.reasoning else chunks.TextStart)(self.id, self.metadata)

    def add(self, piece: str) -> Chunk:
        self.pieces.append(piece)
        return (chunks.ReasoningDelta if self.reasoning else chunks.TextDelta)(self.id, piece)

    def end(self) -> Chunk:
        self.is_open = False
        return (chunks.ReasoningEnd if self.reasoning else chunks.TextEnd)(self.id)

    def chunks(self) -> list[Chunk]:
        told, text = [self.start()], self.text
        self.pieces = []
        if text:
            told.append(self.add(text))
        return told if self.is_open else [*told, self.end()]


class ToolPart(Part, kw_only=True, eq=False):
    """A call of a tool. `id` is its `toolCallId`, `written` what a model has written of the arguments so far.

    `runs` is the step of the tool, once it runs. `ending` is the chunk with its result.
    """

    id: str
    name: str
    written: list[str] = []
    input: Any = msgspec.UNSET
    runs: str | None = None
    approval: chunks.ToolApproval | None = None
    decision: chunks.ToolDecision | None = None
    ending: chunks.ToolOutput | chunks.ToolFailure | chunks.ToolDenied | None = None

    def start(self) -> Chunk:
        return chunks.ToolInputStart(tool_call_id=self.id, tool_name=self.name, dynamic=True, provider_executed=True)

    def write(self, piece: str) -> Chunk:
        self.written.append(piece)
        return chunks.ToolInputDelta(self.id, piece)

    def give(self, value: Any) -> Chunk:
        self.input = value
        return chunks.ToolInput(
            tool_call_id=self.id, tool_name=self.name, input=value, dynamic=True, provider_executed=True
        )

    @property
    def is_whole(self) -> bool:
        """Whether the page has its input."""
        return self.input is not msgspec.UNSET

    @property
    def is_settled(self) -> bool:
        """Whether its result is there to stay."""
        return self.ending is not None and getattr(self.ending, "preliminary", None) is not True

    def chunks(self) -> list[Chunk]:
        if not self.is_whole:
            return [self.start(), *([chunks.ToolInputDelta(self.id, "".join(self.written))] if self.written else [])]
        return [self.give(self.input), *(each for each in (self.approval, self.decision, self.ending) if each)]


class DataPart(Part, kw_only=True, eq=False):
    """One of our own parts. The page replaces its data when a chunk with the same id comes."""

    chunk: DataChunk

    def chunks(self) -> list[Chunk]:
        return [self.chunk]


class OtherPart(Part, kw_only=True, eq=False):
    """A file, a source or a gap, which comes whole. `of` is its artifact, if it has one."""

    of: str | None = None
    chunk: chunks.File | chunks.SourceUrl | chunks.SourceDocument | chunks.GapData

    def chunks(self) -> list[Chunk]:
        return [self.chunk]
