"""The server side of HTTP/1.1 for strict tests: it keeps chunks and trailers as they are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field


class Broken(Exception):
    """The peer closed the connection in the middle, or did not send HTTP."""


@dataclass
class Head:
    method: str
    target: str
    pairs: list[tuple[str, str]]

    def get(self, name: str) -> str | None:
        """Return all values of a header, joined; None without one."""
        values = [value for key, value in self.pairs if key.lower() == name.lower()]
        return ", ".join(values) if values else None


@dataclass
class Trailers:
    fields: dict[str, str] = field(default_factory=dict)


async def read_head(reader: asyncio.StreamReader) -> Head | None:
    """Return the head of the next request; None if the peer has closed the connection."""
    try:
        text = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise Broken("the peer went away in a request's head") from None
        return None
    except OSError:
        return None
    first, *lines = text[:-4].split("\r\n")
    method, target, version = first.split(" ")
    if version != "HTTP/1.1":
        raise Broken(f"not HTTP/1.1: {first}")
    pairs = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]
    return Head(method, target, pairs)


async def chunks(reader: asyncio.StreamReader, trailers: Trailers) -> AsyncIterator[bytes]:
    """Yield the chunks of a chunked body as they come, and fill `trailers` at its end."""
    try:
        while size := int(await reader.readuntil(b"\r\n"), 16):
            data = await reader.readexactly(size)
            if await reader.readexactly(2) != b"\r\n":
                raise Broken("a chunk does not end where it said")
            yield data
        while (line := await reader.readuntil(b"\r\n")) != b"\r\n":
            name, _, value = line.decode("latin-1").partition(":")
            trailers.fields[name.lower()] = value.strip()
    except (asyncio.IncompleteReadError, OSError, ValueError) as error:
        raise Broken(f"the body broke off: {error}") from None


async def read_body(reader: asyncio.StreamReader, head: Head) -> bytes:
    """Return a whole body."""
    if (head.get("transfer-encoding") or "").lower() == "chunked":
        return b"".join([each async for each in chunks(reader, Trailers())])
    try:
        return await reader.readexactly(int(head.get("content-length") or 0))
    except (asyncio.IncompleteReadError, OSError) as error:
        raise Broken(f"the body broke off: {error}") from None


def reply(status: int, body: bytes = b"", headers: list[tuple[str, str]] | None = None) -> bytes:
    lines = [f"HTTP/1.1 {status} -", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers or []]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body
