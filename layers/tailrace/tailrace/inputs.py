"""Messages into a `Request`: decoding what a user sent, and saying clearly what cannot be used."""

from __future__ import annotations

import base64
import binascii
from itertools import chain
from typing import Any

from tailrace.content import Text
from tailrace.errors import RequestError, UploadUnknown, shorten
from tailrace.request import File, Request
from tailrace.spool import Spool
from tailrace.unpacking import MAX_UNPACKED_BYTES, gzipped_in, text_of, too_large
from tailrace.uploads import Upload, Uploads, upload_in, verified

MAX_FILES = 10_000
MAX_UPLOADS = 200
_GZIP_TYPES = ("application/gzip", "application/x-gzip")


def request_of(messages: list[dict[str, Any]], owner: str | None = None, uploads: Uploads | None = None) -> Request:
    """What A2A 1.0 messages (as JSON, their shape already checked) ask for.

    A part with a `filename` is a file, whether it comes as `text`, as `raw` or as the reference of an upload;
    gzip is undone. A text part without one is text, a data part is data.

    An upload is read from `uploads` onto this machine's disk, all of it, and is what its reference says when this
    returns; that blocks. Without `uploads` its file has no content, and nothing blocks. Nobody but an `owner` who may
    read it is given it; with neither, there is nothing to be refused.

    Raises:
        RequestError: a part is not base64, not gzip, binary, a `url` that is no upload, or there are too many.
        RequestTooLarge: unpacked, the files are over `MAX_UNPACKED_BYTES`.
        UploadUnknown: there is no such upload, or `owner` may not read it.
        UploadDamaged: an upload is not what its reference says.
        UploadsUnavailable: the store of uploads did not answer.
    """
    texts: list[str] = []
    data: list[Any] = []
    files: list[File] = []
    room = MAX_UNPACKED_BYTES
    for message in messages:
        for part in message["parts"]:
            if "data" in part:
                data.append(part["data"])
            elif "text" in part and not part.get("filename"):
                texts.append(part["text"])
            else:
                file, taken = _file(part, f"file-{len(files) + 1}", room, owner, uploads)
                room -= taken
                files.append(file)
    _refuse_too_many("files", len(files), MAX_FILES)
    _refuse_too_many("uploads", sum(file.reference is not None for file in files), MAX_UPLOADS)
    message_id = messages[-1].get("messageId", "") if messages else ""
    return Request(text="\n".join(texts).strip(), data=data, files=files, message_id=message_id)


def _refuse_too_many(what: str, number: int, most: int) -> None:
    if number > most:
        raise RequestError(f"The message has {number:,} {what}, but may have {most:,}; send fewer, larger ones.")


def _file(
    part: dict[str, Any], default_name: str, room: int, owner: str | None, uploads: Uploads | None
) -> tuple[File, int]:
    """The file in a part, and what it takes of the room."""
    name = part.get("filename") or default_name
    upload = upload_in(part)
    if upload is None:
        file = _inline(part, name, room)
        return file, file.size
    if (owner is not None or uploads is not None) and not upload.readable_by(owner or ""):
        raise UploadUnknown(upload.url)
    if upload.size > room:
        raise too_large(upload.size, room)
    if uploads is None:
        return File(filename=name, media_type=part.get("mediaType") or "text/plain", reference=part), upload.size
    file = _uploaded(part, upload, name, room, uploads)
    return file, file.size


def _inline(part: dict[str, Any], name: str, room: int) -> File:
    media_type = part.get("mediaType") or "text/plain"
    if "text" in part:
        if len(part["text"]) > room:
            raise too_large(len(part["text"]), room)
        return File(filename=name, media_type=media_type, text=part["text"])
    try:
        content = base64.b64decode(part["raw"], validate=True)
    except (binascii.Error, ValueError):
        raise RequestError(f"The file {shorten(name)!r} is not base64 in `raw`; send text as `text`.") from None
    text = Text.of(text_of([content], name, room))
    if gzipped_in(content):
        name, media_type = _as_unpacked(name, media_type)
    return File(filename=name, media_type=media_type, content=text)


def _uploaded(part: dict[str, Any], upload: Upload, name: str, room: int, uploads: Uploads) -> File:
    media_type = part.get("mediaType") or "text/plain"
    chunks = verified(uploads.read(upload), upload)
    first = next(chunks, b"")
    try:
        content = Spool.of(text_of(chain([first], chunks), name, room))
    except RequestError:
        # What was damaged on the way looks like a wrong format, and is told as what it is.
        for _ in chunks:
            pass
        raise
    if gzipped_in(first):
        name, media_type = _as_unpacked(name, media_type)
    return File(filename=name, media_type=media_type, content=content, reference=part)


def _as_unpacked(name: str, media_type: str) -> tuple[str, str]:
    return name.removesuffix(".gz"), "text/plain" if media_type in _GZIP_TYPES else media_type
