"""A message of the assistant while it is written: the parts of its current step, which a page can take back.

The page keeps the parts of earlier steps as they are.
"""

from __future__ import annotations

from collections.abc import Callable

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
        self._open: list[TextPart] = []
        self._texts: dict[str, ArtifactText] = {}
        self._calls: set[str] = set()  # the ids of the message's calls

    def begin(self, *, message: bool) -> None:
        """A new step begins, or with `message` a new message. The page keeps all parts that there are."""
        if self._keeps:
            self._before = [None] if message else [*self._before, *self._parts, None]
        for part in self._parts:
            if isinstance(part, TextPart) and part.of:
                self._texts[part.of].kept.append(part.text)
        self._parts, self._open = [], []
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
        self._open = [part for part in self._open if id(part) not in gone]
        for index in (self.tools, self.runs, self._data):
            for name in [name for name, part in index.items() if id(part) in gone]:
                del index[name]
        return [chunks.ResetStep(), *(chunk for part in left for chunk in part.chunks())]

    def say(self, text: str, told: Metadata, *, of: str = "", reasoning: bool = False) -> list[Chunk]:
        """Add a piece of a text: of the artifact `of`, or of what a model says beside one."""
        for part in self._open:
            if (part.of, part.step, part.message, part.reasoning) == (of, told.step, told.message, reasoning):
                return [part.add(text)]
        closed = self.close(lambda part: bool(of) and part.of == of)
        part = TextPart(
            id=f"{'reasoning' if reasoning else 'text'}-{told.seq}",
            of=of,
            said_by=told.name or "",
            step=told.step,
            message=told.message,
            reasoning=reasoning,
        )
        self._parts.append(part)
        self._open.append(part)
        return [*closed, part.start(), part.add(text)]

    def write(self, artifact: str, text: str, told: Metadata, *, append: bool) -> list[Chunk]:
        """Add to an artifact's text, or begin it again."""
        known = self._texts.setdefault(artifact, ArtifactText())
        back: list[Chunk] = []
        if not append:
            back = self.take_back(lambda part: isinstance(part, TextPart) and part.of == artifact)
            known.begin_again()
        new = known.new(text)
        return [*back, *(self.say(new, told, of=artifact) if new else [])]

    def close(self, which: Callable[[TextPart], bool] = lambda _: True) -> list[Chunk]:
        """End open texts."""
        closing = [part for part in self._open if which(part)]
        self._open = [part for part in self._open if part not in closing]
        return [part.end() for part in closing]

    def give(self, artifact: str, given: list[Given], step: str | None) -> list[Chunk]:
        """Add an artifact's data, files and sources, in the place of those that it had."""
        back = self.take_back(lambda part: isinstance(part, OtherPart) and part.of == artifact)
        for chunk in given:
            if isinstance(chunk, chunks.ArtifactData):
                self.put(chunk, step)
            else:
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
