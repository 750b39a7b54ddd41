"""What another agent is sent: texts, data and files as A2A parts."""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from tailrace.a2a.incoming import AgentCard
from tailrace.config import Settings
from tailrace.errors import shorten
from tailrace.events import Part, as_base, plain
from tailrace.inputs.media_types import GZIP, covers
from tailrace.inputs.request import Data, File
from tailrace.uploads import UPLOADS, open_uploads

# What `delegate` takes: a text, a file, an A2A part, or any other JSON as data; or a list of them.
Parts = str | File | Part | Data | dict[str, Any] | Sequence[Any]
Sent = str | File | Part | Data

# In characters. Text files from this size on are sent compressed.
_COMPRESSED_FROM = 16_384
# Bytes of uploads, compressed, in a message to an agent that cannot read our store of uploads. With them the message is
# as large as the largest request that our own agents take.
_MOST_UPLOAD_BYTES = 700_000


def listed(parts: Parts) -> list[Sent]:
    """The parts as a list, also if there is only one, with data as JSON's types.

    Raises:
        NotJson, TooDeep: data that cannot be JSON; the error names its path.
    """
    if isinstance(parts, Sequence) and not isinstance(parts, str | Data):
        return [_sent(part) for part in parts]
    return [_sent(parts)]


def _sent(part: Any) -> Sent:
    if isinstance(part, str):
        return str(part)  # a model's text is of a class of its own
    if isinstance(part, File | Part):
        return part
    return Data(plain(part.value if isinstance(part, Data) else part, "The data for another agent"))


def digest_of(parts: Sequence[Sent]) -> str:
    """A digest of the parts. The same parts have the same digest in each attempt."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, File):
            digest.update(msgspec.json.encode([part.filename, part.media_type, part.reference]))
            for chunk in () if part.reference is not None else part.chunks():
                digest.update(chunk)
        else:
            digest.update(msgspec.json.encode(part, order="sorted", enc_hook=as_base))
        digest.update(b"\0")
    return digest.hexdigest()


def as_a2a(parts: Sequence[Sent], card: AgentCard | None) -> tuple[list[Part], list[str]]:
    """The parts for the agent with this card, None if it is not known; and notes on what is left out.

    Uploads are sent as references. An agent that cannot read our store of uploads gets them in the message, as far as
    there is room. Large texts are compressed, unless the card says that the agent takes no gzip.
    """
    sent: list[Part] = []
    left_out: list[str] = []
    room = _MOST_UPLOAD_BYTES
    for part in parts:
        if isinstance(part, str):
            sent.append(Part(text=part))
        elif isinstance(part, Part):
            sent.append(part)
        elif isinstance(part, Data):
            sent.append(Part(data=part.value))
        elif part.reference is None:
            sent.append(_inline(part, card))
        elif card is not None and reads_uploads(card):
            sent.append(part.reference)
        elif (packed := _packed(part, room)) is None:
            left_out.append(shorten(part.filename))
        else:
            room -= len(packed)
            sent.append(_raw(part, packed))
    notes = [f"Too large to be sent to an agent that cannot read uploads: {', '.join(left_out)}."] if left_out else []
    return sent, notes


def reads_uploads(card: AgentCard) -> bool:
    """Whether an agent's card says that it reads the same store of uploads as this process."""
    store = open_uploads(Settings.load()).id
    return any(each.uri == UPLOADS and each.params.get("store") == store for each in card.capabilities.extensions)


def _inline(file: File, card: AgentCard | None) -> Part:
    modes = card.default_input_modes if card is not None else []
    if file.binary:
        return _raw(file, file.bytes())
    if file.size < _COMPRESSED_FROM or (modes and not covers(modes, GZIP)):
        return Part(text=file.text, filename=file.filename, media_type=file.media_type)
    return _raw(file, b"".join(_gzip(file)))


def _raw(file: File, content: bytes) -> Part:
    """A part with content. A text is gzip, and says so: our agents drop the `.gz` (tailrace/inputs/decode.py)."""
    raw = base64.b64encode(content).decode()
    if file.binary:
        return Part(raw=raw, filename=file.filename, media_type=file.media_type)
    return Part(raw=raw, filename=f"{file.filename}.gz", media_type=GZIP)


def _packed(file: File, room: int) -> bytes | None:
    """The file's content, a text as gzip; None if it has more than `room` bytes."""
    packed = bytearray()
    for piece in file.chunks() if file.binary else _gzip(file):
        packed += piece
        if len(packed) > room:
            return None
    return bytes(packed)


def _gzip(file: File) -> Iterator[bytes]:
    """Yield the file as gzip, piece by piece. The same file always gives the same bytes."""
    packing = zlib.compressobj(6, wbits=31)
    for chunk in file.chunks():
        yield packing.compress(chunk)
    yield packing.flush()
