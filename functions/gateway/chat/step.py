"""A message of the assistant while it is written: the parts of its current step, which a page can take back.

The page keeps the parts of earlier steps as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gateway.chat import chunks
from gateway.chat.artifact_text import ArtifactText
from gateway.chat.chunks import Chunk
from gateway.chat.files import Given
from gateway.chat.parts import DataChunk, DataPart, OtherPart, Part, TextPart, ToolPart
from tailrace.events import Metadata


class Step:
    """The current step of a message. Methods return the chunks that tell a page what they change.

    `tools` are by the model's call, or by the tool's step without one; `runs` are those that run, by the tool's step.
    With `keeps` the parts of earlier steps are kept here too.
    """

    def __init__(self, *, keeps: bool = False) -> None:
        self._keeps, self._before = keeps, list[Part | None]()
        self.tools: dict[str, ToolPart] = {}
        self.runs: dict[str, ToolPart] = {}
        self._parts: list[Part] = []
        self._data: dict[str, DataPart] = {}
        self._open: dict[tuple[Any, ...], TextPart] = {}  # by what a further piece has in common with them
        self._writing: dict[str, tuple[Any, ...]] = {}  # by artifact, the key of its text that was opened last
        self._filed: set[str] = set()  # artifacts of which the step may have files or sources
        self._texts: dict[str, ArtifactText] = {}
        self._calls: set[str] = set()  # the ids of the message's calls

    def begin(self, *, message: bool) -> None:
        """A new step begins, or with `message` a new message. The page keeps all parts that there are."""
        if self._keeps:
            self._before = [None] if message else [*self._before, *self._parts, None]
        for part in self._parts:
            if isinstance(part, TextPart) and part.of:
                self._texts[part.of].kept.append(part.text)
        self._parts, self._open, self._filed = [], {}, set()
        self.tools, self.runs, self._data = {}, {}, {}
        if message:
            self._calls = set()

    @property
    def all_parts(self) -> list[Part | None]:
        """The parts of the message, for one that `keeps` them; None stands for the beginning of a step."""
        return [*self._before, *self._parts]

    def take_back(self, is_void: Callable[[Part], bool], *, changed: bool = False) -> list[Chunk]:
        """Take parts back, and tell the others again. With `changed` they are told again in any case."""
        left = [part for part in self._parts if not is_void(part)]
        if len(left) == len(self._parts) and not changed:
            return []
        gone = {id(part) for part in self._parts} - {id(part) for part in left}
        self._parts = left
        self._open = {key: part for key, part in self._open.items() if id(part) not in gone}
        for index in (self.tools, self.runs, self._data):
            for name in [name for name, part in index.items() if id(part) in gone]:
                del index[name]
        return [chunks.ResetStep(), *(chunk for part in left for chunk in part.chunks())]

    def say(self, text: str, told: Metadata, *, of: str = "", reasoning: bool = False) -> list[Chunk]:
        """Add a piece of a text: of the artifact `of`, or of what a model says beside one."""
        key = (of, told.step, told.message, reasoning)
        if (known := self._open.get(key)) is not None:
            return [known.add(text)]
        other = self._open.pop(self._writing.get(of, ()), None) if of else None
        closed = [other.end()] if other is not None else []
        part = TextPart(
            id=f"{'reasoning' if reasoning else 'text'}-{told.seq}",
            of=of,
            said_by=told.name or "",
            step=told.step,
            message=told.message,
            reasoning=reasoning,
        )
        self._parts.append(part)
        self._open[key] = part
        if of:
            self._writing[of] = key
        return [*closed, part.start(), part.add(text)]

    def write(self, artifact: str, text: str, told: Metadata, *, append: bool) -> list[Chunk]:
        """Add to an artifact's text, or begin it again."""
        known, back = self._texts.get(artifact), list[Chunk]()
        if known is None:
            known = self._texts[artifact] = ArtifactText()
        elif not append:
            back = self.take_back(lambda part: isinstance(part, TextPart) and part.of == artifact)
            known.begin_again()
        new = known.new(text)
        return [*back, *(self.say(new, told, of=artifact) if new else [])]

    def close(self, which: Callable[[TextPart], bool] = lambda _: True) -> list[Chunk]:
        """End open texts."""
        closing = {key: part for key, part in self._open.items() if which(part)}
        for key in closing:
            del self._open[key]
        return [part.end() for part in closing.values()]

    def give(self, artifact: str, given: list[Given], step: str | None) -> list[Chunk]:
        """Add an artifact's data, files and sources, in the place of those that it had."""
        back: list[Chunk] = []
        if artifact in self._filed:
            back = self.take_back(lambda part: isinstance(part, OtherPart) and part.of == artifact)
            self._filed.remove(artifact)
        for chunk in given:
            if isinstance(chunk, chunks.ArtifactData):
                self.put(chunk, step)
            else:
                self._filed.add(artifact)
                self._parts.append(OtherPart(step=step, of=artifact, chunk=chunk))
        return [*back, *given]

    def add(self, chunk: chunks.GapData) -> Chunk:
        """Add what stays, whatever is taken back."""
        self._parts.append(OtherPart(chunk=chunk))
        return chunk

    def put(self, chunk: DataChunk, step: str | None = None) -> Chunk:
        """Add one of our own parts, or put its data in the place of what the part with its id has."""
        part = self._data.get(chunk.id)
        if part is None:
            part = self._data[chunk.id] = DataPart(step=step, chunk=chunk)
            self._parts.append(part)
        part.chunk = chunk
        return chunk

    def call(self, key: str, name: str, step: str | None, seq: int) -> ToolPart:
        """Add a call of a tool, with an id that no other call of the message has. Nothing is told of it yet."""
        tool = ToolPart(id=f"{key} {seq}" if key in self._calls else key, name=name, step=step)
        self._calls.add(tool.id)
        self.tools[key] = tool
        self._parts.append(tool)
        return tool
