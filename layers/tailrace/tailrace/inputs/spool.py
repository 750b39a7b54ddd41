"""Text on this machine's disk, in a file without a name, for content that is too large for memory."""

from __future__ import annotations

import os
import tempfile
import weakref
from collections.abc import Iterable, Iterator

from tailrace.inputs.text import Content, Line, split_head

_CHUNK = 262_144
_MARK = b"\xef\xbb\xbf"


class Disk:
    """A temporary file for the files of one request. One writer at a time.

    Its space is freed when no spool refers to it any more, at the latest when the process ends.
    """

    def __init__(self) -> None:
        descriptor, path = tempfile.mkstemp(prefix="tailrace-")
        self.descriptor = descriptor
        self.close = weakref.finalize(self, os.close, descriptor)
        self._end = 0
        os.unlink(path)

    def keep(self, chunks: Iterable[bytes], *, binary: bool = False) -> Spool:
        """Write the chunks to the disk; return them as a spool. A text's byte order mark is left out.

        Raises:
            OSError: the disk is full. After this, or any error of `chunks`, do not use this disk any more.
        """
        start = self._end
        size, line_end, line_count = _written(self.descriptor, chunks if binary else _without_mark(chunks))
        self._end += size
        return Spool(self, start, size, line_end, line_count)


class Spool(Content):
    """Content on disk. A position is an index in bytes. Threads may read it at the same time."""

    def __init__(self, disk: Disk, start: int, size: int, line_end: bytes, line_count: int) -> None:
        self._disk: Disk | None = disk
        self._descriptor = disk.descriptor
        self._start = start
        self._size = size
        self._line_end = line_end
        self._line_count = line_count

    @classmethod
    def of(cls, chunks: Iterable[bytes]) -> Spool:
        """Write the chunks to a disk of their own.

        Raises:
            OSError: the disk is full. After this, or any error of `chunks`, nothing stays on disk.
        """
        disk = Disk()
        try:
            return disk.keep(chunks)
        except BaseException:
            disk.close()
            raise

    def close(self) -> None:
        self._disk, self._descriptor = None, -1

    @property
    def size(self) -> int:
        return self._size

    @property
    def text(self) -> str:
        return b"".join(self.chunks()).decode(errors="replace")

    @property
    def line_count(self) -> int:
        return self._line_count

    def read(self, start: int, end: int) -> str:
        return self._bytes(start, end).decode(errors="replace")

    def chunks(self) -> Iterator[bytes]:
        position = 0
        while chunk := self._bytes(position, position + _CHUNK):
            position += len(chunk)
            yield chunk

    def lines(self, limit: int) -> Iterator[Line]:
        most = 4 * limit  # UTF-8 takes at most 4 bytes for a character.
        start = length = 0  # Of the line that is being read. `kept` is its beginning, up to `most` bytes.
        kept = b""
        for chunk in self.chunks():
            *ended, rest = chunk.split(self._line_end)
            for piece in ended:
                end = start + length + len(piece)
                if length:
                    piece, kept, length = kept + piece[: most - len(kept)], b"", 0
                yield _line(start, end, piece[:most], limit)
                start = end + 1
            kept += rest[: most - len(kept)]
            length += len(rest)
        if length:
            yield _line(start, start + length, kept, limit)

    def _bytes(self, start: int, end: int) -> bytes:
        return os.pread(self._descriptor, max(0, min(end, self._size) - start), self._start + start)


def _line(start: int, end: int, content: bytes, limit: int) -> Line:
    text = content.decode(errors="replace")
    return Line(start, end, text[:limit], len(text) > limit or end - start > len(content))


def _written(descriptor: int, chunks: Iterable[bytes]) -> tuple[int, bytes, int]:
    """Write the chunks; return the number of bytes, the line end, and the number of lines."""
    size = feeds = returns = 0
    last = b""
    for chunk in chunks:
        rest = memoryview(chunk)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        size += len(chunk)
        feeds += chunk.count(b"\n")
        returns += chunk.count(b"\r")
        last = chunk[-1:] or last
    line_end, ends = (b"\n", feeds) if feeds or not returns else (b"\r", returns)
    return size, line_end, ends + (size > 0 and last != line_end)


def _without_mark(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The chunks without a byte order mark at the beginning."""
    head, rest = split_head(chunks, len(_MARK))
    yield head.removeprefix(_MARK)
    yield from rest
