"""A streamed response (AWS: "Building a custom runtime for AWS Lambda", "Response streaming").

It is one POST in HTTP chunks: the prelude, 8 NUL bytes, then the body. After the prelude the status cannot be changed,
so a later error is sent in the trailers.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping
from typing import Any

from tailrace_runtime.connection import Connection
from tailrace_runtime.faults import Fault
from tailrace_runtime.wire import Reply, chunk, last_chunk, read_reply

_HEADERS = {
    "Lambda-Runtime-Function-Response-Mode": "streaming",
    "Content-Type": "application/vnd.awslambda.http-integration-response",
    "Transfer-Encoding": "chunked",
    "Trailer": "Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body",
}
# They are about one connection, and this one ends at Lambda (RFC 9110, section 7.6.1).
_HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}
)
_ONE_WRITE = 64 * 1024


class ReaderGone(ConnectionError):
    """The Runtime API accepts no more of the response."""

    def __init__(self) -> None:
        super().__init__("The reader of this response has gone.")


class StreamedResponse:
    """The streamed response to one invocation.

    Call `begin` first, then `write` any number of times, the last time with `last`; or `fail`. A write returns when the
    connection can take more, so at most one body message and 64 KB are buffered. A write that is cancelled is still
    sent.
    """

    def __init__(self, connection: Connection, path: str, headers: Mapping[str, str], request_id: str) -> None:
        self._connection = connection
        self._path = path
        self._headers = {**_HEADERS, **headers}
        self._request_id = request_id
        self._writer: asyncio.StreamWriter | None = None
        self._reply: asyncio.Task[Reply | None] | None = None
        self._finished = False
        self.gone = asyncio.Event()
        """Set when the Runtime API closed the connection or refused the response before its end."""

    @property
    def begun(self) -> bool:
        """Whether the prelude has been sent, so that an error can only be reported in the trailers."""
        return self._reply is not None

    async def begin(
        self, status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes, *, last: bool = False
    ) -> None:
        """Send the prelude and the first piece of the body.

        Raises:
            ReaderGone: the Runtime API cannot be reached, or accepts no more.
        """
        first = chunk(json.dumps(prelude_fields(status, headers)).encode()) + chunk(bytes(8))
        try:
            reader, self._writer = await self._connection.begin(self._path, self._headers, first)
        except OSError:
            self.gone.set()
            raise ReaderGone from None
        self._reply = asyncio.create_task(self._await_reply(reader))
        await self.write(body, last=last)

    async def write(self, body: bytes, *, last: bool = False) -> None:
        """Send a piece of the body as one chunk.

        Raises:
            ReaderGone: the Runtime API accepts no more.
        """
        assert self._writer is not None
        if self.gone.is_set() or self._writer.is_closing():
            raise ReaderGone
        if len(body) > _ONE_WRITE:
            self._writer.write(b"%x\r\n" % len(body))
            self._writer.write(body)
            self._writer.write(b"\r\n")
        elif body:
            self._writer.write(chunk(body))
        if last:
            self._finish(last_chunk())
        try:
            await self._writer.drain()
        except OSError:
            raise ReaderGone from None
        finally:
            if self._writer.is_closing():
                self.gone.set()

    def fail(self, fault: Fault) -> None:
        """End the response with an error in the trailers."""
        self._finish(
            last_chunk(
                {
                    "Lambda-Runtime-Function-Error-Type": fault.header.encode(),
                    "Lambda-Runtime-Function-Error-Body": fault.trailer(self._request_id),
                }
            )
        )

    async def reply(self) -> Reply | None:
        """Return the Runtime API's reply, None if there was none. Then the connection can be used again."""
        assert self._reply is not None
        reply = await self._reply
        # A refusal before the end leaves half a request on the connection.
        self._connection.done(None if self.gone.is_set() else reply)
        return reply

    def _finish(self, last: bytes) -> None:
        assert self._writer is not None
        if not self.gone.is_set() and not self._writer.is_closing():
            self._writer.write(last)
            self._finished = True

    async def _await_reply(self, reader: asyncio.StreamReader) -> Reply | None:
        try:
            reply = await read_reply(reader)
        except OSError:
            self.gone.set()
            return None
        # cargo-lambda replies 200 at once and goes on reading. A refusal before the end is final.
        if not self._finished and reply.status >= 300:
            self.gone.set()
        return reply


def prelude_fields(status: int, headers: Iterable[tuple[bytes, bytes]]) -> dict[str, Any]:
    """Return what goes before the body. Headers of one name are joined, except cookies, which have their own list."""
    named: dict[str, str] = {}
    cookies: list[str] = []
    for raw_name, raw_value in headers:
        name, value = bytes(raw_name).decode("latin-1").lower(), bytes(raw_value).decode("latin-1")
        if name == "set-cookie":
            cookies.append(value)
        elif name not in _HOP_BY_HOP:
            named[name] = f"{named[name]}, {value}" if name in named else value
    return {"statusCode": status, "headers": named, "cookies": cookies}
