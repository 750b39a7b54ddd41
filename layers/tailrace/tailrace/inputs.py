"""Messages into a `Request`: decoding what a user sent, and saying clearly what cannot be used."""

from __future__ import annotations

import base64
import binascii
import zlib
from typing import Any

from tailrace.errors import RequestError, RequestTooLarge, shorten
from tailrace.request import File, Request

# What the files of one request may come to when unpacked: a bomb of zeros stops here.
MAX_UNPACKED_BYTES = 64_000_000
MAX_FILES = 10_000
_GZIP_MAGIC = b"\x1f\x8b"


def request_of(messages: list[dict[str, Any]]) -> Request:
    """What A2A 1.0 messages (as JSON, their shape already checked) ask for.

    A part with a `filename` is a file, whether it comes as `text` or as `raw`; gzip is undone. A text
    part without one is text, a data part is data.

    Raises:
        RequestError: a part is not base64, not gzip, binary, a `url`, or there are too many.
        RequestTooLarge: unpacked, the files are over `MAX_UNPACKED_BYTES`.
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
                file = _file(part, f"file-{len(files) + 1}", room)
                room -= len(file.text)
                files.append(file)
                if len(files) > MAX_FILES:
                    raise RequestError(
                        f"The message has more than {MAX_FILES:,} files; put them into fewer, larger ones."
                    )
    return Request(text="\n".join(texts).strip(), data=data, files=files)


def _file(part: dict[str, Any], default_name: str, room: int) -> File:
    name = part.get("filename") or default_name
    media_type = part.get("mediaType") or "text/plain"
    if "url" in part:
        raise RequestError(
            f"The file {shorten(name)!r} is given by its URL, which this agent does not fetch; send its content as "
            "`text`, or as `raw` in base64."
        )
    if "text" in part:
        if len(part["text"]) > room:
            raise RequestTooLarge("The files of the request together", MAX_UNPACKED_BYTES + 1, MAX_UNPACKED_BYTES)
        return File(filename=name, media_type=media_type, text=part["text"])
    try:
        content = base64.b64decode(part["raw"], validate=True)
    except (binascii.Error, ValueError):
        raise RequestError(f"The file {shorten(name)!r} is not base64 in `raw`; send text as `text`.") from None
    if content.startswith(_GZIP_MAGIC):
        content = _gunzip(content, name, room)
        name = name.removesuffix(".gz")
        media_type = "text/plain" if media_type in ("application/gzip", "application/x-gzip") else media_type
    if len(content) > room:
        raise RequestTooLarge("The files of the request together", MAX_UNPACKED_BYTES + 1, MAX_UNPACKED_BYTES)
    if b"\0" in content[:8192]:
        raise RequestError(f"The file {shorten(name)!r} is binary; logs and metrics are text (plain or gzipped).")
    return File(filename=name, media_type=media_type, text=content.decode("utf-8-sig", errors="replace"))


def _gunzip(content: bytes, name: str, room: int) -> bytes:
    """All members of a gzip file, or as much as there is room for and a refusal."""
    unpacked = bytearray()
    rest = content
    try:
        while rest:
            member = zlib.decompressobj(wbits=31)
            unpacked += member.decompress(rest, room - len(unpacked) + 1)
            if len(unpacked) > room:
                raise RequestTooLarge("The files of the request together", len(unpacked), MAX_UNPACKED_BYTES)
            if not member.eof:
                raise RequestError(f"The file {shorten(name)!r} is gzip, but it is cut short.")
            rest = member.unused_data
    except zlib.error as error:
        raise RequestError(f"The file {shorten(name)!r} begins like gzip, but is not: {error}.") from None
    return bytes(unpacked)
