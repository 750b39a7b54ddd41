"""The load client: HTTP/1.1 on asyncio's sockets, with no more work per event than counting it.

httpx costs 13 ms of CPU a call at a hundred connections; whoever loads a server with it measures httpx. All
times are `time.monotonic_ns()`, which on one machine is one clock for all processes.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any, NamedTuple, Protocol

import msgspec

from tests.bench.report import BenchError

# The gateway's, and the agents'. It lets a program in, as at `make run`.
RUN_SECRET = "correct-horse-battery-staple"
_KNOWN = {"Authorization": f"Bearer {RUN_SECRET}"}
_TIMEOUT_S = 60.0
# uvicorn closes a connection that was idle for 5 s, perhaps just when the next request is sent.
_FRESH_S = 2.0


class Sink(Protocol):
    """Takes a response's body as it arrives; `at` is the time of arrival."""

    def feed(self, data: bytes, at: int) -> None: ...


class Response(NamedTuple):
    status: int
    body: bytes

    def json(self) -> Any:
        return msgspec.json.decode(self.body)


class Connection(asyncio.Protocol):
    """One keep-alive connection to a port of this machine, for one request at a time."""

    def __init__(self, port: int, known: Mapping[str, str] = _KNOWN) -> None:
        self._port = port
        self._headers = {"Content-Type": "application/json", **known}
        self._transport: asyncio.Transport | None = None
        self._done: asyncio.Future[Response] | None = None
        self._asked = ""
        self._used = time.monotonic()
        self._sink: Sink | None = None
        self._body: list[bytes] = []
        self._rest = b""
        self._status = 0  # 0: the head is still to come
        self._chunked = False
        self._after_chunk = False
        self._left = 0

    async def open(self) -> None:
        """Connect, unless there is a connection that was used recently."""
        if self._transport is not None and time.monotonic() - self._used > _FRESH_S:
            self._transport.abort()
        if self._transport is None or self._transport.is_closing():
            await asyncio.get_running_loop().create_connection(lambda: self, "127.0.0.1", self._port)

    def begin(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        sink: Sink | None = None,
    ) -> asyncio.Future[Response]:
        """Send a request over the open connection; a `sink` gets the body of a 200.

        The future is done when the response has ended, and raises `BenchError` when it does
        not end as HTTP says it must.
        """
        assert self._transport is not None
        assert self._done is None or self._done.done()
        content = b"" if body is None else msgspec.json.encode(body)
        lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(content)}"]
        lines += [f"{name}: {value}" for name, value in {**self._headers, **(headers or {})}.items()]
        self._done = asyncio.get_running_loop().create_future()
        self._sink, self._body, self._rest, self._status = sink, [], b"", 0
        self._asked = f"{method} {path}"
        self._transport.write("\r\n".join(lines).encode() + b"\r\n\r\n" + content)
        return self._done

    async def ask(self, method: str, path: str, timeout_s: float = _TIMEOUT_S, **more: Any) -> Response:
        """`begin`, and wait for the end. Anything but a success raises `BenchError`."""
        try:
            async with asyncio.timeout(timeout_s):
                await self.open()
                answer = await self.begin(method, path, **more)
        except TimeoutError:
            raise BenchError(f"{method} {path} was not answered in full within {timeout_s:.0f} s.") from None
        if answer.status not in (200, 201, 202):
            raise BenchError(f"{method} {path} answered {answer.status}: {answer.body[:300]!r}")
        return answer

    def close(self) -> None:
        """Close the connection, and drop a request that is in progress."""
        if self._done is not None:
            self._done.cancel()
        if self._transport is not None:
            self._transport.abort()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport, self._used = transport, time.monotonic()

    def connection_lost(self, error: Exception | None) -> None:
        why = error or ("in the middle of the answer" if self._status else "before any answer")
        self._fail(BenchError(f"{self._asked}: the server closed the connection, {why}."))

    def data_received(self, data: bytes) -> None:
        at = time.monotonic_ns()
        try:
            if self._status == 0:
                head, end, data = (self._rest + data).partition(b"\r\n\r\n")
                if not end:
                    self._rest = head
                    return
                self._head(head.lower())
            self._chunks(data, at) if self._chunked else self._plain(data, at)
        except BenchError as error:
            self._fail(error)
            self.close()

    def _head(self, head: bytes) -> None:
        self._status = int(head[9:12])
        self._rest, self._after_chunk, self._left = b"", False, 0
        self._chunked = b"\r\ntransfer-encoding: chunked" in head
        if not self._chunked and b"\r\ncontent-length:" in head:
            self._left = int(head.partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0])

    def _plain(self, data: bytes, at: int) -> None:
        self._left -= len(data)
        self._take(data, at)
        if self._left <= 0:
            self._end()

    def _chunks(self, data: bytes, at: int) -> None:
        data, self._rest, position, pieces = self._rest + data, b"", 0, list[bytes]()
        ended = False
        while position < len(data) and not ended:
            if self._left:
                piece = data[position : position + self._left]
                pieces.append(piece)
                position += len(piece)
                self._left -= len(piece)
                continue
            # A chunk's closing line break is taken with the next chunk's size.
            start = position + 2 if self._after_chunk else position
            end = data.find(b"\r\n", start)
            if end < 0 or (data[start:end] == b"0" and len(data) < end + 4):
                self._rest = data[position:]
                break
            self._left, self._after_chunk, position = int(data[start:end], 16), True, end + 2
            ended = self._left == 0
        if pieces:
            self._take(b"".join(pieces), at)
        if ended:
            self._end()

    def _take(self, data: bytes, at: int) -> None:
        if self._sink is not None and self._status == 200:
            self._sink.feed(data, at)
        else:
            self._body.append(data)

    def _end(self) -> None:
        self._used = time.monotonic()
        if self._done is not None and not self._done.done():
            self._done.set_result(Response(self._status, b"".join(self._body)))

    def _fail(self, error: BenchError) -> None:
        if self._done is not None and not self._done.done():
            self._done.set_exception(error)


@contextlib.asynccontextmanager
async def connected(port: int, known: Mapping[str, str] = _KNOWN) -> AsyncIterator[Connection]:
    """Open a connection, and close it at the end of the block. `known` are the headers that let a program in."""
    connection = Connection(port, known)
    try:
        await connection.open()
        yield connection
    finally:
        connection.close()
