"""The text of a file: gzip unpacked in small pieces, up to a limit, and UTF-16 as UTF-8."""

from __future__ import annotations

import codecs
import zlib
from collections.abc import Iterable, Iterator
from itertools import chain

from tailrace.errors import RequestError, RequestTooLarge, shorten
from tailrace.inputs.text import split_head

# The most that the files of one request may have, unpacked. This stops gzip bombs.
MAX_UNPACKED_BYTES = 64_000_000
_GZIP_MAGIC = b"\x1f\x8b"
_UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_CHUNK = 262_144
# zlib copies the input that it has not used yet. With pieces of this size that is cheap, even for a file of a million
# members.
_PIECE = 4096
# How much of a file decides whether it is binary.
BINARY_CHECK_BYTES = 8192


def text_of(chunks: Iterable[bytes], name: str, room: int, remedy: str) -> Iterator[bytes]:
    """The text of the file `name`: all members of a gzip file, or the bytes as they are; UTF-16 with a mark as UTF-8.

    The error for a binary file ends with `remedy`.

    Raises:
        RequestTooLarge: the content has more than `room` bytes.
        RequestError: it begins like gzip but is damaged or cut short, or it is binary.
    """
    size = 0
    for chunk in _in_utf8(_unpacked(chunks, name)):
        if size < BINARY_CHECK_BYTES and is_binary(chunk[: BINARY_CHECK_BYTES - size]):
            raise RequestError(f"The file {shorten(name)!r} is binary; {remedy}.")
        size += len(chunk)
        if size > room:
            raise too_large()
        yield chunk


def limited(chunks: Iterable[bytes], room: int) -> Iterator[bytes]:
    """The chunks as they are.

    Raises:
        RequestTooLarge: they have more than `room` bytes.
    """
    for chunk in chunks:
        room -= len(chunk)
        if room < 0:
            raise too_large()
        yield chunk


def is_binary(beginning: bytes) -> bool:
    """Whether a file whose first `BINARY_CHECK_BYTES` are these is binary, not text: it has a NUL there.

    Text in UTF-16 has NULs too, but as characters it has none.
    """
    if beginning.startswith(_UTF16_MARKS):
        try:
            return "\0" in codecs.getincrementaldecoder("utf-16")().decode(beginning)
        except UnicodeDecodeError:
            return True
    return b"\0" in beginning


def too_large() -> RequestTooLarge:
    """The error for files that have more than `MAX_UNPACKED_BYTES` together."""
    return RequestTooLarge("The content of the files in the request, unpacked,", None, MAX_UNPACKED_BYTES)


def is_gzip(beginning: bytes) -> bool:
    """Whether a file with this beginning is gzip."""
    return beginning.startswith(_GZIP_MAGIC)


def _in_utf8(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The chunks in UTF-8, if they are text in UTF-16 with a byte order mark; else the chunks as they are."""
    head, rest = split_head(chunks, BINARY_CHECK_BYTES)
    if not head.startswith(_UTF16_MARKS) or is_binary(head[:BINARY_CHECK_BYTES]):
        yield head
        yield from rest
        return
    decoder = codecs.getincrementaldecoder("utf-16")(errors="replace")
    for chunk in chain([head], rest):
        yield decoder.decode(chunk).encode(errors="replace")
    yield decoder.decode(b"", final=True).encode(errors="replace")


def _unpacked(chunks: Iterable[bytes], name: str) -> Iterator[bytes]:
    head, rest = split_head(chunks, len(_GZIP_MAGIC))
    if not is_gzip(head):
        yield head
        yield from rest
        return
    members = _Members()
    try:
        for chunk in chain([head], rest):
            for start in range(0, len(chunk), _PIECE):
                yield from members.unpack(chunk[start : start + _PIECE])
    except zlib.error as error:
        raise RequestError(f"The file {shorten(name)!r} begins like gzip, but is not: {error}.") from None
    if not members.ended:
        raise RequestError(f"The file {shorten(name)!r} is gzip, but it is cut short.")


class _Members:
    """The members of a gzip file, one after the other."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(wbits=31)

    @property
    def ended(self) -> bool:
        """Whether the last member is complete."""
        return self._member.eof

    def unpack(self, packed: bytes) -> Iterator[bytes]:
        """Unpack the next bytes of the file, in chunks of at most `_CHUNK` bytes.

        Raises:
            zlib.error: they are not gzip.
        """
        short: list[bytes] = []  # Content of small members, to be joined to a chunk.
        size = 0
        while packed:
            if self._member.eof:
                self._member = zlib.decompressobj(wbits=31)
            unpacked = self._member.decompress(packed, _CHUNK - size)
            packed = self._member.unused_data if self._member.eof else self._member.unconsumed_tail
            short.append(unpacked)
            size += len(unpacked)
            if size == _CHUNK:
                yield b"".join(short)
                short, size = [], 0
        if size:
            yield b"".join(short)
