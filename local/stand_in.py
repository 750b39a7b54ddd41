"""Answers on the socket of a function that does not, so that who calls it is told so and does not wait.

The supervisor keeps every socket open, which is right for a function that is back in a moment. Without somebody to
accept them, callers of one that cannot start would wait until they give up.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket

# How long a caller may take to send its request, and then to read the answer.
_PATIENCE_S = 5.0


class StandIn:
    """Answers every request with 503 and the words `why`, between `begin` and `end`."""

    def __init__(self, listener: socket.socket, why: str) -> None:
        self._listener = listener
        body = why.encode()
        head = (
            "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\n"
            f"Content-Length: {len(body)}\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n"
        )
        self._answer = head.encode() + body
        self._server: asyncio.Server | None = None

    async def begin(self) -> None:
        if self._server is None:
            # A duplicate, since closing the server closes its socket. The queue stays as long as it was.
            self._server = await asyncio.start_server(self._refuse, sock=self._listener.dup(), backlog=2048)

    def end(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _refuse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            async with asyncio.timeout(_PATIENCE_S):
                await reader.readuntil(b"\r\n\r\n")
                writer.write(self._answer)
                writer.write_eof()
                # To close with a request half read would reset the connection, and the answer with it.
                while await reader.read(65536):
                    pass
        writer.close()
