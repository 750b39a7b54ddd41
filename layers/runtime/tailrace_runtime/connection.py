"""A keep-alive connection to the Runtime API: one request at a time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping

from tailrace_runtime.wire import Reply, read_reply, request_head

# More than the largest event with its framing, so that reading one never pauses.
_BUFFER_BYTES = 8 * 1024 * 1024


class Connection:
    """Opens when it is needed, and again when the Runtime API has closed it.

    Reads have no timeout: the process may be frozen for days in the middle of one.
    """

    def __init__(self, host: str, port: int, prefix: str) -> None:
        self._host = host
        self._port = port
        self._prefix = prefix
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    @classmethod
    def to(cls, address: str) -> Connection:
        """Return a connection to `AWS_LAMBDA_RUNTIME_API`: host and port; cargo-lambda adds a scheme and a path."""
        authority, slash, path = address.removeprefix("http://").partition("/")
        host, _, port = authority.rpartition(":")
        if not port.isdigit():
            host, port = authority, "80"
        return cls(host.strip("[]"), int(port), slash + path.rstrip("/"))

    async def request(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Reply:
        """Send a whole request and return its reply.

        If the connection was closed while it was idle, it is opened and used once more. A GET is also sent once more if
        the connection closes while it waits, because then it has received nothing.

        Raises:
            OSError: the Runtime API cannot be reached or does not speak HTTP.
        """
        length = {"Content-Length": str(len(body))} if method == "POST" else {}
        head = self._head(method, path, {**(headers or {}), **length})
        may_retry = self._writer is not None or method == "GET"
        try:
            return await self._exchange(head, body)
        except OSError:
            self.close()
            if not may_retry:
                raise
        return await self._exchange(head, body)

    async def begin(
        self, path: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Send the head of a POST and the first bytes of its body.

        The caller uses the returned streams for the rest, and calls `done` when it has read the reply.
        """
        reader, writer = await self._open()
        writer.write(self._head("POST", path, headers) + body)
        return reader, writer

    def done(self, reply: Reply | None) -> None:
        """End the exchange of `begin`. Without a whole reply (None) the connection is closed."""
        if reply is None or not reply.keep_alive:
            self.close()

    def close(self) -> None:
        """Close the connection without waiting. The next request opens a new one."""
        if self._writer is not None:
            with contextlib.suppress(OSError, RuntimeError):
                self._writer.transport.abort()
        self._reader = self._writer = None

    def _head(self, method: str, path: str, headers: Mapping[str, str]) -> bytes:
        host = f"[{self._host}]" if ":" in self._host else self._host
        return request_head(method, self._prefix + path, {"Host": f"{host}:{self._port}", **headers})

    async def _exchange(self, head: bytes, body: bytes) -> Reply:
        reader, writer = await self._open()
        writer.write(head + body)
        # The reply is awaited before the body is sent: it may refuse a large body early.
        try:
            reply = await read_reply(reader)
        except asyncio.CancelledError:
            self.close()
            raise
        if not reply.keep_alive:
            self.close()
        return reply

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._reader is None or self._writer is None or self._writer.is_closing() or self._reader.at_eof():
            self.close()
            self._reader, self._writer = await asyncio.open_connection(self._host, self._port, limit=_BUFFER_BYTES)
        return self._reader, self._writer
