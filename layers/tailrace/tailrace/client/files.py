"""Files to send: short texts as they are, longer ones as gzip, and everything else with its type.

A file may be larger than memory: it is read in pieces, and what is packed is kept on the disk.
"""

from __future__ import annotations

import base64
import hashlib
import mimetypes
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import msgspec

from tailrace.errors import ClientError
from tailrace.events import Part
from tailrace.inputs.media_types import GZIP, TEXT, UNKNOWN, covers, media_type_of

# What can be sent: paths, or contents by file name.
Files = Iterable[str | Path] | Mapping[str, str | bytes]
# Called with a file's name, how many of its bytes are sent, and how many there are. These are the bytes on the wire.
OnProgress = Callable[[str, int, int], None]

# Longer texts are sent compressed: logs shrink to a tenth.
_MOST_TEXT_BYTES = 16_384
_PIECE_BYTES = 65_536
# How much of a file says whether it is text (docs/PROTOCOL.md, section 5.10).
_LOOKED_AT_BYTES = 8_192
_GZIP_MAGIC, _UTF16 = b"\x1f\x8b", (b"\xff\xfe", b"\xfe\xff")


class PackedFile(msgspec.Struct, frozen=True):
    """A file as it is sent: `content` is `size` bytes with this SHA-256. `text` is set if it is sent as text."""

    filename: str
    media_type: str
    content: BinaryIO
    size: int
    sha256: str
    text: str | None = None

    def part(self) -> Part:
        """The part of a message that has the whole content."""
        if self.text is not None:
            return Part(text=self.text, filename=self.filename, media_type=self.media_type)
        raw = base64.b64encode(b"".join(self.pieces())).decode()
        return Part(raw=raw, filename=self.filename, media_type=self.media_type)

    def pieces(self) -> Iterator[bytes]:
        """The content from its beginning, in pieces."""
        self.content.seek(0)
        while piece := self.content.read(_PIECE_BYTES):
            yield piece


def packed(files: Files, modes: Sequence[str]) -> list[PackedFile]:
    """The files as they are sent to an agent that takes the media types `modes`; any if that is empty.

    Raises:
        ClientError: a file cannot be read, or is empty.
    """
    if isinstance(files, str | bytes | Path):
        raise ClientError(f"The files are {str(files)!r}, but must be a list of paths, or contents by file name.")
    if isinstance(files, Mapping):
        return [_packed_content(name, content, modes) for name, content in files.items()]
    return [_packed_path(Path(path), modes) for path in files]


def _packed_content(name: str, content: str | bytes, modes: Sequence[str]) -> PackedFile:
    with tempfile.SpooledTemporaryFile(_PIECE_BYTES) as file:
        file.write(content.encode() if isinstance(content, str) else content)
        return _packed(name, file, modes)  # type: ignore[arg-type]  # typeshed has it as an IO of its own


def _packed_path(path: Path, modes: Sequence[str]) -> PackedFile:
    try:
        with path.open("rb") as file:
            return _packed(path.name, file, modes)
    except OSError as error:
        right = "name the files in it" if path.is_dir() else "name a file that can be read"
        raise ClientError(f"The file {str(path)!r} cannot be read ({error.strerror}); {right}.") from None


def _packed(name: str, file: BinaryIO, modes: Sequence[str]) -> PackedFile:
    file.seek(0)
    start = file.read(_LOOKED_AT_BYTES)
    if not start:
        raise ClientError(f"The file {name!r} is empty.")
    guessed = media_type_of(mimetypes.guess_type(name)[0]) or UNKNOWN
    takes_gzip = not modes or covers(modes, GZIP)
    if start.startswith(_GZIP_MAGIC):
        return _copied(name, GZIP, _pieces(file))
    if b"\0" in start and not start.startswith(_UTF16):
        return _copied(name, guessed, _pieces(file))
    if guessed.startswith(("image/", "audio/", "video/")) or guessed == "application/pdf":
        return _copied(name, guessed, _pieces(file))
    file.seek(0)
    short = file.read(_MOST_TEXT_BYTES + 1)
    if len(short) <= _MOST_TEXT_BYTES and (text := _utf8(short)) is not None:
        kept = _copied(name, TEXT, [short])
        return msgspec.structs.replace(kept, text=text)
    if not takes_gzip:
        return _copied(name, TEXT, _pieces(file))
    return _copied(f"{name}.gz", GZIP, _gzipped(_pieces(file)))


def _copied(filename: str, media_type: str, pieces: Iterable[bytes]) -> PackedFile:
    kept = tempfile.SpooledTemporaryFile(1_000_000)  # noqa: SIM115 - it lasts until it is sent
    digest, size = hashlib.sha256(), 0
    for piece in pieces:
        digest.update(piece)
        size += len(piece)
        kept.write(piece)
    return PackedFile(filename, media_type, kept, size, digest.hexdigest())  # type: ignore[arg-type]


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    file.seek(0)
    while piece := file.read(_PIECE_BYTES):
        yield piece


def _gzipped(pieces: Iterable[bytes]) -> Iterator[bytes]:
    packing = zlib.compressobj(6, wbits=31)
    for piece in pieces:
        yield packing.compress(piece)
    yield packing.flush()


def _utf8(content: bytes) -> str | None:
    try:
        return content.decode()
    except UnicodeDecodeError:
        return None
