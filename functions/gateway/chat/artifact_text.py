"""The text of an artifact as a page has it, where the page keeps what came before its current step.

The log may take text back: an `artifactUpdate` with `append: false` begins the text again. A page takes back its
current step only, so what earlier steps said stays, as what the agent said then. What the log repeats of it is not
told twice.
"""

from __future__ import annotations

import msgspec


class ArtifactText(msgspec.Struct):
    """`kept` are the texts that the page keeps. While the log repeats them, `place` and `offset` say how far it is."""

    kept: list[str] = []
    place: int = 0
    offset: int = 0
    repeats: bool = False

    def begin_again(self) -> None:
        """The log begins the text again."""
        self.place = self.offset = 0
        self.repeats = bool(self.kept)

    def new(self, text: str) -> str:
        """What of the next piece the page does not have."""
        while self.repeats and text:
            if self.place == len(self.kept):
                self.repeats = False
                break
            rest = self.kept[self.place][self.offset :]
            if text.startswith(rest):
                text = text[len(rest) :]
                self.place, self.offset = self.place + 1, 0
            elif rest.startswith(text):
                self.offset += len(text)
                return ""
            elif self.offset:
                self.repeats = False
            else:
                self.place += 1  # The log has taken this text back.
        return text
