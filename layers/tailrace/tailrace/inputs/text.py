"""The text of a file, whole or line by line, in memory or on disk."""

from __future__ import annotations

import codecs
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import NamedTuple

_CHUNK = 262_144


class Line(NamedTuple):
    """A line without its line end, and its positions in the content. `cut`: the text is only its beginning."""

    start: int
    end: int
    text: str
    cut: bool


class Content(ABC):
    """Text with positions. Positions are for `read`, and mean what the subclass says: characters or bytes."""

    @property
    @abstractmethod
    def size(self) -> int:
        """The length, in positions."""

    @property
    @abstractmethod
    def text(self) -> str:
        """The whole text, in memory."""

    @property
    @abstractmethod
    def line_count(self) -> int:
        """How many lines `lines` yields."""

    @abstractmethod
    def read(self, start: int, end: int) -> str:
        """The text between two positions. The positions that `lines` yields never split a character."""

    @abstractmethod
    def chunks(self) -> Iterator[bytes]:
        """The text in UTF-8, in chunks."""

    @abstractmethod
    def lines(self, limit: int) -> Iterator[Line]:
        """The lines in order, each cut to `limit` characters. This needs memory for one chunk and one line.

        A line ends with a line feed, or with a carriage return if the text has no line feed.
        """

    @classmethod
    @abstractmethod
    def of(cls, chunks: Iterable[bytes]) -> Content:
        """Content of this class from UTF-8, without a byte order mark. Invalid bytes are replaced."""

    def close(self) -> None:
        """Free what the content takes besides memory. It cannot be read any more."""
        return

    @property
    def blank(self) -> bool:
        """Whether the text is empty or only white space."""
        return all(text.isspace() for text in codecs.iterdecode(self.chunks(), "utf-8", errors="replace"))

    def beginning(self, limit: int) -> str:
        """The first `limit` positions: characters, or fewer if positions are bytes."""
        return self.read(0, min(limit, self.size))

    def ending(self, limit: int) -> str:
        """The last `limit` positions."""
        return self.read(max(0, self.size - limit), self.size)


def split_head(chunks: Iterable[bytes], length: int) -> tuple[bytes, Iterator[bytes]]:
    """Take chunks until they have `length` bytes; return these, joined, and the remaining chunks."""
    rest = iter(chunks)
    head = b""
    for chunk in rest:
        head += chunk
        if len(head) >= length:
            break
    return head, rest


class Text(Content):
    """Content in memory. A position is an index in characters."""

    def __init__(self, text: str) -> None:
        self._text = text.removeprefix("\ufeff")  # a byte order mark

    @property
    def size(self) -> int:
        return len(self._text)

    @property
    def text(self) -> str:
        return self._text

    @property
    def line_count(self) -> int:
        return self._text.count(self._line_end) + (bool(self._text) and not self._text.endswith(self._line_end))

    @classmethod
    def of(cls, chunks: Iterable[bytes]) -> Text:
        return cls(b"".join(chunks).decode("utf-8-sig", errors="replace"))

    def read(self, start: int, end: int) -> str:
        return self._text[start:end]

    def chunks(self) -> Iterator[bytes]:
        for start in range(0, len(self._text), _CHUNK):
            yield self._text[start : start + _CHUNK].encode(errors="replace")

    def lines(self, limit: int) -> Iterator[Line]:
        text, line_end = self._text, self._line_end
        start, size = 0, len(text)
        while start < size:
            end = text.find(line_end, start)
            if end < 0:
                end = size
            yield Line(start, end, text[start : min(end, start + limit)], end - start > limit)
            start = end + 1

    @property
    def _line_end(self) -> str:
        return "\n" if "\n" in self._text or "\r" not in self._text else "\r"
