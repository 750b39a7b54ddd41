"""What a file of a request says: its text, whole or by lines, wherever it is kept."""

from __future__ import annotations

import codecs
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import NamedTuple

_CHUNK = 262_144


class Line(NamedTuple):
    """A line without its end, and where it stands. `cut` when it is longer than was asked for."""

    start: int
    end: int
    text: str
    cut: bool


class Content(ABC):
    """Text. Places in it (`start`, `end`) are its own: good for `read`, and the same each time it is made."""

    @property
    @abstractmethod
    def size(self) -> int:
        """How much there is, in places."""

    @property
    @abstractmethod
    def text(self) -> str:
        """All of it, in memory."""

    @property
    @abstractmethod
    def line_count(self) -> int:
        """How many lines `lines` gives."""

    @abstractmethod
    def read(self, start: int, end: int) -> str:
        """What stands between two places. Places of characters are never split in what `lines` gives."""

    @abstractmethod
    def chunks(self) -> Iterator[bytes]:
        """All of it in UTF-8, piece by piece."""

    @abstractmethod
    def lines(self, limit: int) -> Iterator[Line]:
        """Its lines in order, of each at most `limit` characters. Takes memory for one chunk and one line.

        A line ends with a line feed; where there is none at all, with a carriage return.
        """

    @classmethod
    @abstractmethod
    def of(cls, chunks: Iterable[bytes]) -> Content:
        """A content of the same kind: UTF-8, what is not is replaced, a mark at the front is left out."""

    def close(self) -> None:
        """Give back what it takes besides memory; it cannot be read any more."""
        return

    @property
    def blank(self) -> bool:
        """Whether there is nothing but white space."""
        return all(text.isspace() for text in codecs.iterdecode(self.chunks(), "utf-8", errors="replace"))

    def beginning(self, limit: int) -> str:
        """The first `limit` characters, or fewer where characters take several bytes."""
        return self.read(0, min(limit, self.size))

    def ending(self, limit: int) -> str:
        """The last `limit` characters, likewise."""
        return self.read(max(0, self.size - limit), self.size)


def headed(chunks: Iterable[bytes], length: int) -> tuple[bytes, Iterator[bytes]]:
    """The first `length` bytes or more, which may come in pieces (fewer where there are no more), and the rest."""
    rest = iter(chunks)
    head = b""
    for chunk in rest:
        head += chunk
        if len(head) >= length:
            break
    return head, rest


class Text(Content):
    """Text in memory. A place is a character's index."""

    def __init__(self, text: str) -> None:
        self._text = text

    @property
    def size(self) -> int:
        return len(self._text)

    @property
    def text(self) -> str:
        return self._text

    @property
    def line_count(self) -> int:
        return self._text.count(self._mark) + (bool(self._text) and not self._text.endswith(self._mark))

    @classmethod
    def of(cls, chunks: Iterable[bytes]) -> Text:
        return cls(b"".join(chunks).decode("utf-8-sig", errors="replace"))

    def read(self, start: int, end: int) -> str:
        return self._text[start:end]

    def chunks(self) -> Iterator[bytes]:
        for start in range(0, len(self._text), _CHUNK):
            yield self._text[start : start + _CHUNK].encode(errors="replace")

    def lines(self, limit: int) -> Iterator[Line]:
        text, mark = self._text, self._mark
        start, size = 0, len(text)
        while start < size:
            end = text.find(mark, start)
            if end < 0:
                end = size
            yield Line(start, end, text[start : min(end, start + limit)], end - start > limit)
            start = end + 1

    @property
    def _mark(self) -> str:
        return "\n" if "\n" in self._text or "\r" not in self._text else "\r"
