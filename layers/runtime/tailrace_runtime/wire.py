"""HTTP/1.1 as far as a Runtime API client needs it, over asyncio's streams (RFC 9112)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass


class WireError(OSError):
    """The peer sent something else than HTTP, or less than it announced."""


@dataclass(frozen=True)
class Reply:
    """A whole reply. The names of `headers` are in lower case; of several with one name the last counts."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    keep_alive: bool


def request_head(method: str, path: str, headers: Mapping[str, str]) -> bytes:
    """Return the request line and the headers."""
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def chunk(data: bytes) -> bytes:
    """Return `data` as one chunk. It must not be empty, because an empty chunk is the end."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def last_chunk(trailers: Mapping[str, bytes] | None = None) -> bytes:
    """Return the end of a chunked body."""
    lines = [b"%b: %b\r\n" % (name.encode(), value) for name, value in (trailers or {}).items()]
    return b"0\r\n%b\r\n" % b"".join(lines)


async def read_reply(reader: asyncio.StreamReader) -> Reply:
    """Return the next final reply of a connection; interim ones (1xx) are skipped.

    Raises:
        WireError: the connection closed, or the peer did not send HTTP.
        OSError: the connection broke.
    """
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            first, *lines = head[:-4].split("\r\n")
            version, status = first.split(" ", 2)[:2]
            if not status.startswith("1"):
                break
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        keep_alive = version == "HTTP/1.1" and headers.get("connection", "").lower() != "close"
        if headers.get("transfer-encoding", "").lower() == "chunked":
            body = await _read_chunks(reader)
        elif "content-length" in headers:
            body = await reader.readexactly(int(headers["content-length"]))
        elif status == "204":
            body = b""
        else:
            body, keep_alive = await reader.read(), False
        return Reply(int(status), headers, body, keep_alive)
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError) as error:
        raise WireError(f"The Runtime API closed the connection or did not send HTTP: {error}") from None


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    parts: list[bytes] = []
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        parts.append(await reader.readexactly(size))
        await reader.readexactly(2)
    while await reader.readuntil(b"\r\n") != b"\r\n":
        pass
    return b"".join(parts)
