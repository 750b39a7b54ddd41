"""A minimal HTTP/1.1 client, so that these tests share no code with what they test."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any


class Broken(Exception):
    """The connection was refused, cut or silent, so the client does not know the outcome of its request."""


@dataclass
class StreamedResponse:
    """A response whose body has not been read."""

    status: int
    headers: dict[str, str]
    reader: asyncio.StreamReader
    complete: bool = field(default=False, init=False)

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives. `complete` is true afterwards if the server ended it.

        Raises:
            Broken: the connection was cut.
        """
        try:
            if self.headers.get("transfer-encoding") == "chunked":
                while size := int((await self.reader.readline()).strip() or b"-1", 16):
                    if size < 0:
                        raise Broken("the stream was cut between two chunks")
                    yield await self.reader.readexactly(size)
                    await self.reader.readexactly(2)
                await self.reader.readexactly(2)
            elif length := int(self.headers.get("content-length", 0)):
                yield await self.reader.readexactly(length)
            self.complete = True
        except (OSError, asyncio.IncompleteReadError, ValueError) as error:
            raise Broken(f"cut: {error!r}") from None


@contextlib.asynccontextmanager
async def ask(
    port: int, method: str, path: str, *, headers: Mapping[str, str] | None = None, body: Any = None
) -> AsyncIterator[StreamedResponse]:
    """Send a request on a new connection; yield the response when its headers have arrived.

    Raises:
        Broken: there was no response.
    """
    payload = b"" if body is None else json.dumps(body).encode()
    lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", "Connection: close"]
    if body is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {len(payload)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError as error:
        raise Broken(f"refused: {error!r}") from None
    try:
        try:
            writer.write("\r\n".join([*lines, "", ""]).encode() + payload)
            await writer.drain()
            first = (await reader.readuntil(b"\r\n")).split()
            fields: dict[str, str] = {}
            while line := (await reader.readuntil(b"\r\n")).strip():
                name, _, value = line.decode().partition(":")
                fields[name.lower()] = value.strip()
        except (OSError, asyncio.IncompleteReadError) as error:
            raise Broken(f"no answer: {error!r}") from None
        yield StreamedResponse(int(first[1]), fields, reader)
    finally:
        writer.transport.abort()


async def call(
    port: int, method: str, path: str, *, headers: Mapping[str, str] | None = None, body: Any = None, timeout_s: float
) -> tuple[int, Any]:
    """Send a request; return the status and the JSON in the body (None if the body is empty).

    Raises:
        Broken: there was no complete response within `timeout_s` seconds.
    """
    try:
        async with asyncio.timeout(timeout_s), ask(port, method, path, headers=headers, body=body) as response:
            content = b"".join([chunk async for chunk in response.chunks()])
            return response.status, json.loads(content) if content else None
    except TimeoutError:
        raise Broken(f"no answer in {timeout_s:g} s") from None


async def call_until_answered(
    port: int, method: str, path: str, *, headers: Mapping[str, str] | None = None, body: Any, bound_s: float
) -> tuple[int, Any]:
    """Repeat a request until its outcome is known: until its response is complete and no 5xx.

    Every request that changes something has a key, so it may be repeated.

    Raises:
        Broken: there was none within `bound_s` seconds.
    """
    loop = asyncio.get_running_loop()
    give_up, last = loop.time() + bound_s, ""
    while (left := give_up - loop.time()) > 0:
        try:
            status, answer = await call(port, method, path, headers=headers, body=body, timeout_s=min(left, 15))
            if status < 500:
                return status, answer
            last = f"{status} {answer}"
        except Broken as error:
            last = str(error)
        await asyncio.sleep(0.1)
    raise Broken(f"{method} {path} was not answered in {bound_s:g} s; the last: {last}")
