"""httpx's connections, straight on asyncio's transports.

httpcore would use anyio, which stops and starts the reading of a socket for each piece, and opens two scopes for its
time limit. That was two fifths of what the gateway did for a live stream. A third of the rest was h11, which parses a
chunk for each event, and what lies around it. So the chunks of a body are taken off the connection, and h11 has the
rest: for it they were never sent.
"""

# ruff: noqa: ASYNC109  # the time limits are parameters of httpcore's interface

from __future__ import annotations

import asyncio
import contextlib
import re
import select
import ssl
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any, cast

import httpcore
import httpx

from tailrace.network.chunks import take_chunks
from tailrace.network.pool import ConnectionPool

# How many connections to an origin are kept for the next requests, and for how long.
MOST_IDLE, _IDLE_S = 64, 5.0
# Above this, a connection is not read until its reader has taken what came.
_MAX_BUFFERED_BYTES = 262_144
# What is written is held back for a moment up to this size: a request's head.
_HEAD_BYTES = 16_384
# The end of a head for h11, which takes a line that ends without a carriage return.
_BLANK_LINE = re.compile(rb"\n\r?\n")


class HTTPTransport(httpx.AsyncHTTPTransport):
    """httpx's transport for HTTP/1.1 on `ConnectionPool` and `Backend`."""

    def __init__(self, certificates: ssl.SSLContext) -> None:
        super().__init__(verify=certificates)

        def connect(origin: httpcore.Origin) -> httpcore.AsyncHTTPConnection:
            return httpcore.AsyncHTTPConnection(origin, certificates, _IDLE_S, network_backend=Backend())

        # httpx has no parameter for the pool.
        self._pool = ConnectionPool(connect, MOST_IDLE)  # type: ignore[assignment]

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await super().handle_async_request(request)
        connection = response.extensions.get("network_stream")
        chunked = response.headers.get("transfer-encoding", "").lower() == "chunked"
        has_body = request.method != "HEAD" and response.status_code == 200
        if chunked and has_body and isinstance(connection, Connection) and connection.at_body:
            assert isinstance(response.stream, httpx.AsyncByteStream)
            silence_s = request.extensions.get("timeout", {}).get("read")
            response.stream = _ChunkedBody(connection, response.stream, silence_s)
        return response


class _ChunkedBody(httpx.AsyncByteStream):
    """The body of a chunked response whose head was the last that was read of the connection; `rest` is httpcore's."""

    def __init__(self, connection: Connection, rest: httpx.AsyncByteStream, silence_s: float | None) -> None:
        self._connection = connection
        self._rest = rest
        self._silence_s = silence_s

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            while pieces := await self._connection.chunks(self._silence_s):
                yield pieces
        except httpcore.ReadTimeout as error:
            raise httpx.ReadTimeout(str(error)) from error
        async for piece in self._rest:
            yield piece

    async def aclose(self) -> None:
        await self._rest.aclose()


class Backend(httpcore.AsyncNetworkBackend):
    """Opens TCP connections on the running event loop."""

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """A connection to the host, whose addresses are tried in turn. The other parameters are not supported."""
        with _as_connect_error():
            async with asyncio.timeout(timeout):
                _, connection = await asyncio.get_running_loop().create_connection(Connection, host, port)
        return connection

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class Connection(asyncio.Protocol, httpcore.AsyncNetworkStream):
    """One connection, which one task at a time reads or writes. What comes is kept until it is read."""

    _transport: asyncio.Transport

    def __init__(self) -> None:
        self._received = bytearray()
        self._unsent = b""
        # The last two bytes that were read of a head; None after its end.
        self._in_head: bytes | None = b""
        # Whether nothing was read after a response's head.
        self.at_body = False
        self._ended = False
        self._error: Exception | None = None
        self._full = False
        self._loop = asyncio.get_running_loop()
        # What is waited for, until when by the event loop's clock, and the error of a wait that has lasted so long.
        self._waiter: asyncio.Future[None] | None = None
        self._limit: float | None = None
        self._late: type[Exception] = httpcore.ReadTimeout
        self._timer: asyncio.TimerHandle | None = None

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """At most `max_bytes` of what came, as soon as there is any; nothing at the end.

        A response's head comes without what follows it.

        Raises:
            ReadTimeout, ReadError
        """
        self._send()
        while not self._received and not self._ended:
            self._transport.resume_reading()
            await self._change(self._after(timeout), httpcore.ReadTimeout)
        if not self._received and self._error is not None:
            raise httpcore.ReadError(str(self._error)) from self._error
        piece = bytes(self._received[: self._readable(max_bytes)])
        del self._received[: len(piece)]
        return piece

    async def chunks(self, timeout: float | None = None) -> bytes:
        """What `take_chunks` takes, as soon as there is any; nothing if what comes next is not for it, or at the end.

        Raises:
            ReadTimeout
        """
        while not (taken := take_chunks(self._received)) and taken is not None and not self._ended:
            self._transport.resume_reading()
            await self._change(self._after(timeout), httpcore.ReadTimeout)
        return taken or b""

    def _readable(self, max_bytes: int) -> int:
        """How many bytes may be read: of a head none after its end."""
        self.at_body = False
        if self._in_head is None:
            return max_bytes
        seen = self._in_head + self._received[:max_bytes]
        if (end := _BLANK_LINE.search(seen)) is None:
            self._in_head = seen[-2:]
            return max_bytes
        size, self._in_head, self.at_body = end.end() - len(self._in_head), None, True
        return size

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send the bytes; a few of them together with the next write, if that comes in this turn of the event loop.

        A request's head and its body are two writes. Sent one by one, they would wake the server twice.

        Raises:
            WriteTimeout, WriteError
        """
        self._in_head = b""
        waits = not self._unsent and len(buffer) <= _HEAD_BYTES
        self._unsent += buffer
        if waits:
            self._loop.call_soon(self._send)
        else:
            self._send()
        limit = self._after(timeout)
        while self._full and not self._ended:
            await self._change(limit, httpcore.WriteTimeout)
        if self._ended:
            raise httpcore.WriteError("the connection was closed") from self._error

    def _send(self) -> None:
        unsent, self._unsent = self._unsent, b""
        if unsent and not self._ended:
            self._transport.write(unsent)

    async def aclose(self) -> None:
        if not self._ended:
            # For a task that reads meanwhile it is no end: it may not have had all.
            self._error = ConnectionAbortedError("the connection was closed here")
        self._transport.abort()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        loop = asyncio.get_running_loop()
        try:
            with _as_connect_error():
                async with asyncio.timeout(timeout):
                    encrypted = await loop.start_tls(
                        self._transport, self, ssl_context, server_hostname=server_hostname
                    )
        except BaseException:
            self._transport.abort()
            raise
        self._transport = cast(asyncio.Transport, encrypted)
        return self

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable":
            # TLS has no socket any more a moment before it says that the connection is lost.
            socket = self._transport.get_extra_info("socket")
            return self._ended or bool(self._received) or socket is None or _is_readable(socket.fileno())
        names = {"client_addr": "sockname", "server_addr": "peername", "socket": "socket", "ssl_object": "ssl_object"}
        return self._transport.get_extra_info(names[info]) if info in names else None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        if len(self._received) >= _MAX_BUFFERED_BYTES:
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> None:
        self._ended = True
        self._wake()

    def connection_lost(self, error: Exception | None) -> None:
        self._ended, self._error = True, error or self._error
        self._stop_timer()
        self._wake()

    def pause_writing(self) -> None:
        self._full = True

    def resume_writing(self) -> None:
        self._full = False
        self._wake()

    def _after(self, timeout: float | None) -> float | None:
        return None if timeout is None else self._loop.time() + timeout

    async def _change(self, limit: float | None, late: type[Exception]) -> None:
        """Wait until something happens on the connection. Raise `late` at `limit`, by the event loop's clock.

        One timer serves many waits: to set one for each piece of a stream costs more than to receive it.
        """
        waiter = self._waiter = self._loop.create_future()
        self._limit, self._late = limit, late
        if limit is not None and (self._timer is None or self._timer.when() > limit):
            self._stop_timer()
            self._timer = self._loop.call_at(limit, self._check)
        try:
            await waiter
        finally:
            self._waiter = None

    def _check(self) -> None:
        """End the wait if its time is over, else set the timer for the rest."""
        self._timer = None
        if self._waiter is None or self._waiter.done() or self._limit is None:
            return
        if self._loop.time() < self._limit:
            self._timer = self._loop.call_at(self._limit, self._check)
        else:
            self._waiter.set_exception(self._late())

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def _is_readable(descriptor: int) -> bool:
    """Whether an idle connection has something: mostly its end, which the event loop may not have seen yet."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))


@contextlib.contextmanager
def _as_connect_error() -> Iterator[None]:
    try:
        yield
    except TimeoutError as error:
        raise httpcore.ConnectTimeout(str(error)) from error
    except OSError as error:
        raise httpcore.ConnectError(str(error)) from error
