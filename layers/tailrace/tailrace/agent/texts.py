"""The streamed text artifacts of a run, in pieces, so that the text of one step or message can be taken back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import msgspec

from tailrace.stream.writer import Piece, Writer

_BETWEEN = "\n\n"


class Passage(msgspec.Struct):
    """What one step, or one message of a model, has written without a break. `tried` is the node's try that wrote it.

    `apart` says whether a blank line separates it from the text before it.
    """

    step: str | None
    parent: str | None
    message: str | None
    tried: int = 1
    apart: bool = False
    content: bytearray = msgspec.field(default_factory=bytearray)  # in UTF-8: a long text comes in very many deltas

    @property
    def text(self) -> str:
        """The passage's text, without the blank line before it."""
        return self.content.decode(errors="replace")

    def add(self, delta: str) -> None:
        """Append to the text."""
        self.content += delta.encode(errors="replace")


class Texts:
    """Appends to text artifacts, and takes passages back. `begun` has the pieces that earlier attempts wrote."""

    def __init__(self, writer: Writer, begun: Mapping[str, Iterable[Piece]]) -> None:
        self._writer = writer
        self._passages: dict[str, list[Passage]] = {}
        for artifact, pieces in begun.items():
            passages = self._passages.setdefault(artifact, [])
            for piece in pieces:
                _add(passages, piece)

    def write(
        self,
        artifact: str,
        text: str,
        *,
        step: str | None = None,
        parent: str | None = None,
        message: str | None = None,
        tried: int = 1,
    ) -> None:
        """Append text. A message of a model is set apart from the text before it. Raises as `Writer.text` does."""
        if not text:
            return
        passages = self._passages.setdefault(artifact, [])
        passage = passages[-1] if passages else None
        if passage is None or (passage.step, passage.message, passage.tried) != (step, message, tried):
            passage = Passage(step, parent, message, tried, apart=message is not None and bool(passages))
            passages.append(passage)
            self._writer.text(artifact, _BETWEEN if passage.apart else "", step=step, parent=parent, message=message)
        passage.add(text)
        self._writer.text(artifact, text, step=step, parent=parent, message=message)

    def passages(self, artifact: str) -> list[Passage]:
        """The passages of an artifact, in order."""
        return list(self._passages.get(artifact, ()))

    def any(self) -> bool:
        """Whether any artifact has a text."""
        return any(self._passages.values())

    def take_back(self, is_void: Callable[[Passage], bool], artifact: str | None = None) -> None:
        """Remove the passages that are void, from one artifact or from all. Raises as `Writer.text` does."""
        for name in [artifact] if artifact is not None else list(self._passages):
            passages = self._passages.get(name, [])
            left = [passage for passage in passages if not is_void(passage)]
            if len(left) < len(passages):
                self.replace(name, left)

    def replace(self, artifact: str, passages: list[Passage]) -> None:
        """Begin an artifact again, with `passages`. Raises as `Writer.text` does."""
        for place, passage in enumerate(passages):
            passage.apart = passage.message is not None and place > 0
        self._passages[artifact] = passages
        pieces = [
            Piece((_BETWEEN if each.apart else "") + each.text, each.step, each.parent, each.message)
            for each in passages
        ]
        self._writer.replace_text(artifact, pieces)


def _add(passages: list[Passage], piece: Piece) -> None:
    text = piece.text
    last = passages[-1] if passages else None
    if last is None or (last.step, last.message) != (piece.step, piece.message):
        apart = piece.message is not None and last is not None and text.startswith(_BETWEEN)
        last = Passage(piece.step, piece.parent, piece.message, apart=apart)
        passages.append(last)
        text = text.removeprefix(_BETWEEN) if apart else text
    last.add(text)
