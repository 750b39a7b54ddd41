"""Messages into a `Request`: decoding what a user sent, and saying clearly what cannot be used.

What comes as bytes is kept on this machine's disk and not in memory: 80 KB of gzip can hold 64 MB of text, and Python
takes four bytes for each of its characters when one of them is an emoji.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from itertools import chain
from typing import Any

from tailrace.errors import RequestError, UploadUnknown, shorten
from tailrace.inputs.gzip import MAX_UNPACKED_BYTES, gzipped_in, text_of, too_large
from tailrace.inputs.media_types import GZIP, TEXT, media_type_of
from tailrace.inputs.request import File, Request
from tailrace.inputs.spool import Disk
from tailrace.uploads import Upload, Uploads, upload_in, verified

MAX_FILES = 10_000
MAX_UPLOADS = 200
_FROM_URLS = str.maketrans("-_", "+/")


def request_of(messages: list[dict[str, Any]], owner: str | None = None, uploads: Uploads | None = None) -> Request:
    """What A2A 1.0 messages (as JSON, their shape already checked) ask for.

    A part with a `filename` is a file, whether it comes as `text`, as `raw` or as the reference of an upload;
    gzip is undone. A text part without one is text, a data part is data.

    An upload is read from `uploads` onto this machine's disk, all of it, and is what its reference says when this
    returns. Without `uploads` its file has no content. Nobody but an `owner` who may read it is given it; with
    neither, there is nothing to be refused.

    This may read and write 64 MB: it belongs into a thread (`tailrace.inputs.turns`).

    Raises:
        RequestError: a part is not base64, not gzip, binary, a `url` that is no upload, or there are too many.
        RequestTooLarge: unpacked, the files are over `MAX_UNPACKED_BYTES`.
        UploadUnknown: there is no such upload, or `owner` may not read it.
        UploadDamaged: an upload is not what its reference says.
        UploadsUnavailable: the store of uploads did not answer.
    """
    files: list[File] = []
    room = MAX_UNPACKED_BYTES
    disk: Disk | None = None
    try:
        for number, part in enumerate(_file_parts(messages), 1):
            name, upload = _name_of(part, number), upload_in(part)
            if upload is not None:
                if owner is not None or uploads is not None:
                    _check_owner(upload, owner or "")
                _check_room(upload.size, room)
            if "text" in part:
                _check_room(size := len(part["text"].encode()), room)
                file = File(filename=name, media_type=_type_of(part), text=part["text"])
            elif upload is not None and uploads is None:
                size, file = upload.size, File(filename=name, media_type=_type_of(part), reference=part)
            else:
                disk = disk or Disk()
                packed = _raw(part, name) if upload is None or uploads is None else uploads.read(upload)
                file = _kept(part, name, packed, upload, room, disk)
                size = file.size
            room -= size
            files.append(file)
    except BaseException:
        if disk is not None:
            disk.close()
        raise
    message_id = messages[-1].get("messageId", "") if messages else ""
    return Request(text=text_in(messages), data=data_in(messages), files=files, message_id=message_id)


def check(messages: list[dict[str, Any]], owner: str) -> list[Upload]:
    """See that `request_of` can use the messages, without keeping anything of what they hold.

    Returns the uploads they refer to, which nobody has looked for yet. It takes time like `request_of`.

    Raises:
        RequestError, RequestTooLarge, UploadUnknown: as `request_of` does.
    """
    found: list[Upload] = []
    room = MAX_UNPACKED_BYTES
    for number, part in enumerate(_file_parts(messages), 1):
        upload = upload_in(part)
        if upload is not None:
            _check_owner(upload, owner)
            size = upload.size
            found.append(upload)
        elif "text" in part:
            size = len(part["text"].encode())
        else:
            name = _name_of(part, number)
            size = sum(len(chunk) for chunk in text_of(_raw(part, name), name, room))
        _check_room(size, room)
        room -= size
    return found


def has_files(message: dict[str, Any]) -> bool:
    """Whether a message (A2A 1.0 JSON) has files in it."""
    return any(_is_file(part) for part in message["parts"])


def text_in(messages: list[dict[str, Any]]) -> str:
    """What the messages say in their text parts, without any files."""
    parts = (part for message in messages for part in message["parts"])
    return "\n".join(part["text"] for part in parts if "text" in part and not _is_file(part)).strip()


def data_in(messages: list[dict[str, Any]]) -> list[Any]:
    """What the messages have in their data parts."""
    return [part["data"] for message in messages for part in message["parts"] if "data" in part]


def _is_file(part: dict[str, Any]) -> bool:
    return "data" not in part and ("text" not in part or bool(part.get("filename")))


def _file_parts(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    parts = [part for message in messages for part in message["parts"] if _is_file(part)]
    _refuse_too_many("files", len(parts), MAX_FILES)
    _refuse_too_many("uploads", sum("url" in part for part in parts), MAX_UPLOADS)
    return parts


def _refuse_too_many(what: str, number: int, most: int) -> None:
    if number > most:
        raise RequestError(f"The message has {number:,} {what}, but may have {most:,}; send fewer, larger ones.")


def _name_of(part: dict[str, Any], number: int) -> str:
    return part.get("filename") or f"file-{number}"


def _type_of(part: dict[str, Any]) -> str:
    return media_type_of(part.get("mediaType")) or TEXT


def _check_owner(upload: Upload, owner: str) -> None:
    if not upload.readable_by(owner):
        raise UploadUnknown(upload.url)


def _check_room(size: int, room: int) -> None:
    if size > room:
        raise too_large()


def _raw(part: dict[str, Any], name: str) -> Iterator[bytes]:
    # With or without padding, in the standard alphabet or URLs': a ProtoJSON reader takes all of them.
    encoded = part["raw"].rstrip("=").translate(_FROM_URLS)
    try:
        yield base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise RequestError(f"The file {shorten(name)!r} is not base64 in `raw`; send text as `text`.") from None


def _kept(
    part: dict[str, Any], name: str, packed: Iterator[bytes], upload: Upload | None, room: int, disk: Disk
) -> File:
    """The file in a part, unpacked and on the disk."""
    chunks = packed if upload is None else verified(packed, upload)
    first = next(chunks, b"")
    try:
        content = disk.keep(text_of(chain([first], chunks), name, room))
    except RequestError:
        # What was damaged on the way looks like a wrong format, and is told as what it is.
        for _ in chunks:
            pass
        raise
    media_type = _type_of(part)
    if gzipped_in(first):
        name, media_type = name.removesuffix(".gz"), TEXT if media_type == GZIP else media_type
    return File(filename=name, media_type=media_type, content=content, reference=part if upload is not None else None)
