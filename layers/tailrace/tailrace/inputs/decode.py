"""Decoding messages into a `Request`, with an error for each part that cannot be used.

A file's media type decides how it is read: text, or bytes that stay as they are. Only a file of the unknown type
`application/octet-stream` is read as what it looks like, because browsers send text under that type too.

Files that come as bytes are kept on disk, not in memory: 80 KB of gzip can hold 64 MB of text, and a Python string
takes four bytes for each character if one of them is an emoji.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

from msgspec import UNSET

from tailrace.errors import RequestError, UploadUnknown, shorten
from tailrace.events import Message, Part
from tailrace.inputs.gzip import (
    BINARY_CHECK_BYTES,
    MAX_UNPACKED_BYTES,
    is_binary,
    is_gzip,
    limited,
    text_of,
    too_large,
)
from tailrace.inputs.media_types import GZIP, TEXT, UNKNOWN, covers, is_text, media_type_of, not_taken
from tailrace.inputs.request import Data, File, Request
from tailrace.inputs.spool import Disk
from tailrace.inputs.text import split_head
from tailrace.naming import plain_path
from tailrace.uploads import Upload, Uploads, upload_in, verified

MAX_FILES = 10_000
MAX_UPLOADS = 200
_FROM_URLS = str.maketrans("-_", "+/")


def request_of(
    messages: list[Message],
    owner: str | None = None,
    uploads: Uploads | None = None,
    modes: Sequence[str] | None = None,
) -> Request:
    """Decode the messages.

    A part with a `filename` is a file, whether it has `text`, `raw`, or a reference to an upload; gzip is unpacked. A
    text part without a `filename` is text, a data part is data. `modes` are the media types that the agent takes; None
    means all.

    An upload is copied from `uploads` to this machine's disk, and compared with its reference. Without `uploads` its
    file has no content. `owner` must be allowed to read it; with neither `owner` nor `uploads` this is not checked.

    This may read and write 64 MB, so call it in a thread (`tailrace.inputs.turns`).

    Raises:
        RequestError: a part has a media type that is not in `modes`, is not base64, is damaged gzip, is binary although
            its media type is not, has a `url` that is not an upload, or there are too many parts.
        RequestTooLarge: unpacked, the files have more than `MAX_UNPACKED_BYTES`.
        UploadUnknown: there is no such upload, or `owner` may not read it.
        UploadDamaged: an upload is not what its reference says.
        UploadsUnavailable
    """
    files: list[File] = []
    room = MAX_UNPACKED_BYTES
    disk: Disk | None = None
    try:
        for number, part in enumerate(_file_parts(messages, modes), 1):
            name, upload = _name_of(part, number), upload_in(part)
            if upload is not None:
                if owner is not None or uploads is not None:
                    _check_owner(upload, owner or "")
                _check_room(upload.size, room)
            if part.text is not None:
                _check_room(size := len(part.text.encode(errors="replace")), room)
                file = File(filename=name, media_type=_type_of(part), text=part.text)
            elif upload is not None and uploads is None:
                size, file = upload.size, File(filename=name, media_type=_type_of(part), reference=part)
            else:
                disk = disk or Disk()
                packed = _raw(part, name) if upload is None or uploads is None else uploads.read(upload)
                file = _file_on_disk(part, name, packed, upload, room, modes, disk)
                size = file.size
            room -= size
            files.append(file)
    except BaseException:
        if disk is not None:
            disk.close()
        raise
    newest = messages[-1] if messages else None
    return Request(
        text=text_in(messages),
        data=data_in(messages),
        files=files,
        message_id=newest.message_id if newest else "",
        context_id=(newest.context_id if newest else None) or "",
        metadata={key: value for message in messages for key, value in (message.metadata or {}).items()},
        reference_tasks=list(dict.fromkeys(each for message in messages for each in message.reference_task_ids or [])),
        owner=owner or "",
        parts=_in_order(messages, files),
    )


def check(messages: list[Message], owner: str, modes: Sequence[str] | None = None) -> list[Upload]:
    """Check that `request_of` can use the messages, without keeping their content. This takes as long as `request_of`.

    Returns the uploads that they refer to. Whether these exist is not checked.

    Raises:
        RequestError, RequestTooLarge, UploadUnknown: as `request_of` does.
    """
    uploads: list[Upload] = []
    room = MAX_UNPACKED_BYTES
    for number, part in enumerate(_file_parts(messages, modes), 1):
        upload = upload_in(part)
        if upload is not None:
            _check_owner(upload, owner)
            size = upload.size
            uploads.append(upload)
        elif part.text is not None:
            size = len(part.text.encode(errors="replace"))
        else:
            name = _name_of(part, number)
            size = sum(len(chunk) for chunk in _content(part, _raw(part, name), name, room, modes)[1])
        _check_room(size, room)
        room -= size
    return uploads


def outline_of(messages: list[Message]) -> list[str | Data | File]:
    """The parts of the messages, as `Request.parts` has them, but without the content of files."""
    return _in_order(
        messages, [File(filename="", media_type="") for each in messages for part in each.parts if _is_file(part)]
    )


def has_files(message: Message) -> bool:
    """Whether a message contains files."""
    return any(_is_file(part) for part in message.parts)


def text_in(messages: list[Message]) -> str:
    """The text of the messages' text parts, joined by line breaks, without files."""
    parts = (part for message in messages for part in message.parts)
    return "\n".join(part.text for part in parts if part.text is not None and not _is_file(part)).strip()


def data_in(messages: list[Message]) -> list[Any]:
    """The values of the messages' data parts."""
    return [part.data for message in messages for part in message.parts if part.data is not UNSET]


def _is_file(part: Part) -> bool:
    return part.data is UNSET and (part.text is None or bool(part.filename))


def _in_order(messages: list[Message], files: list[File]) -> list[str | Data | File]:
    remaining = iter(files)
    return [
        next(remaining) if _is_file(part) else Data(part.data) if part.text is None else part.text
        for message in messages
        for part in message.parts
    ]


def _file_parts(messages: list[Message], modes: Sequence[str] | None) -> list[Part]:
    if modes is not None:
        for message in messages:
            for part in message.parts:
                if refusal := not_taken(part.media_type, modes):
                    raise RequestError(refusal)
    parts = [part for message in messages for part in message.parts if _is_file(part)]
    _refuse_too_many("files", len(parts), MAX_FILES)
    _refuse_too_many("uploads", sum(part.url is not None for part in parts), MAX_UPLOADS)
    return parts


def _refuse_too_many(what: str, number: int, most: int) -> None:
    if number > most:
        raise RequestError(f"The message has {number:,} {what}, but may have {most:,}; send fewer, larger ones.")


def _name_of(part: Part, number: int) -> str:
    return plain_path(part.filename or "") or f"file-{number}"


def _type_of(part: Part) -> str:
    return media_type_of(part.media_type) or TEXT


def _check_owner(upload: Upload, owner: str) -> None:
    if not upload.readable_by(owner):
        raise UploadUnknown(upload.url)


def _check_room(size: int, room: int) -> None:
    if size > room:
        raise too_large()


def bytes_of(raw: str) -> bytes:
    """The bytes that a part's `raw` stands for.

    It may be with or without padding, in the standard alphabet or the one for URLs: ProtoJSON readers accept all of
    them.

    Raises:
        ValueError: it is not base64.
    """
    encoded = raw.rstrip("=").translate(_FROM_URLS)
    return base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)


def _raw(part: Part, name: str) -> Iterator[bytes]:
    try:
        yield bytes_of(part.raw or "")
    except ValueError:
        raise RequestError(f"The file {shorten(name)!r} is not base64 in `raw`; send text as `text`.") from None


def _file_on_disk(
    part: Part,
    name: str,
    packed: Iterator[bytes],
    upload: Upload | None,
    room: int,
    modes: Sequence[str] | None,
    disk: Disk,
) -> File:
    """The file of a part on disk, unpacked if it is text."""
    chunks = packed if upload is None else verified(packed, upload)
    first = next(chunks, b"")
    try:
        binary, content = _content(part, chain([first], chunks), name, room, modes)
        spool = disk.keep(content, binary=binary)
    except RequestError:
        # Damaged content looks like a wrong format. Reading to the end raises `UploadDamaged` then.
        for _ in chunks:
            pass
        raise
    media_type = _type_of(part)
    if not binary and is_gzip(first):
        name = plain_path(name.removesuffix(".gz")) or name
        media_type = TEXT if media_type == GZIP else media_type
    reference = part if upload is not None else None
    return File(filename=name, media_type=media_type, content=spool, reference=reference, binary=binary)


def _content(
    part: Part, chunks: Iterable[bytes], name: str, room: int, modes: Sequence[str] | None
) -> tuple[bool, Iterator[bytes]]:
    """Whether the file of a part is binary, and its content: its bytes as they are, or its text unpacked.

    Raises:
        RequestError, RequestTooLarge: while the content is read.
    """
    media_type = media_type_of(part.media_type)
    if media_type == UNKNOWN and (modes is None or covers(modes, UNKNOWN)):
        head, rest = split_head(chunks, BINARY_CHECK_BYTES)
        chunks, binary = chain([head], rest), not is_gzip(head) and is_binary(head[:BINARY_CHECK_BYTES])
    else:
        binary = media_type not in ("", UNKNOWN) and not is_text(media_type)
    return binary, limited(chunks, room) if binary else text_of(chunks, name, room, _remedy(media_type, modes))


def _remedy(media_type: str, modes: Sequence[str] | None) -> str:
    if media_type in ("", UNKNOWN):
        return "give its mediaType" if modes is None else f"give its mediaType, one of {', '.join(modes)}"
    return f"{media_type} must be text, plain or gzipped"
