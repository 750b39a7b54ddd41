"""Undoing gzip piece by piece, no further than there is room for."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from itertools import chain

from tailrace.content import headed
from tailrace.errors import RequestError, RequestTooLarge, shorten

# What the files of one request may come to when unpacked: a bomb of zeros stops here.
MAX_UNPACKED_BYTES = 64_000_000
_GZIP_MAGIC = b"\x1f\x8b"
_CHUNK = 262_144
# Text has no NUL so near its beginning.
_LOOK = 8192


def text_of(chunks: Iterable[bytes], name: str, room: int) -> Iterator[bytes]:
    """The content of the file `name`: all members of a gzip file, or what came when it is none.

    Raises:
        RequestTooLarge: it is over `room` bytes.
        RequestError: it begins like gzip and is not, or is cut short; or it is binary.
    """
    size = 0
    for chunk in _unpacked(chunks, name):
        if size < _LOOK and b"\0" in chunk[: _LOOK - size]:
            raise RequestError(f"The file {shorten(name)!r} is binary; logs and metrics are text (plain or gzipped).")
        size += len(chunk)
        if size > room:
            raise too_large(size, room)
        yield chunk


def too_large(size: int, room: int) -> RequestTooLarge:
    """The refusal of `size` bytes where there is `room` left for so many."""
    return RequestTooLarge("The files of the request together", MAX_UNPACKED_BYTES - room + size, MAX_UNPACKED_BYTES)


def gzipped_in(beginning: bytes) -> bool:
    """Whether a file that begins so is gzip."""
    return beginning.startswith(_GZIP_MAGIC)


def _unpacked(chunks: Iterable[bytes], name: str) -> Iterator[bytes]:
    head, rest = headed(chunks, len(_GZIP_MAGIC))
    if not gzipped_in(head):
        yield head
        yield from rest
        return
    member = zlib.decompressobj(wbits=31)
    try:
        for chunk in chain([head], rest):
            while chunk:
                if member.eof:
                    member = zlib.decompressobj(wbits=31)
                yield member.decompress(chunk, _CHUNK)
                chunk = member.unused_data if member.eof else member.unconsumed_tail
    except zlib.error as error:
        raise RequestError(f"The file {shorten(name)!r} begins like gzip, but is not: {error}.") from None
    if not member.eof:
        raise RequestError(f"The file {shorten(name)!r} is gzip, but it is cut short.")
