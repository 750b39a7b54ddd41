"""Answers on the socket of a function that does not run, so that its callers do not wait.

The supervisor keeps every socket open, which is right for a function that is back in a moment. The callers of a
function that cannot start would wait until their time limit.
"""

from __future__ import annotations

import asyncio
import socket

# How long a caller may take to send its request and to read the response.
_PATIENCE_S = 5.0


class StandIn:
    """Answers every request with 503 and a reason, from `begin` to `end`."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._answer = b""
        self._server: asyncio.Server | None = None
        self._refusing: set[asyncio.Task[None]] = set()

    async def begin(self, reason: str) -> None:
        """Start to answer with the text `reason`. If it answers already, it goes on with this reason."""
        body = f"{reason}\n".encode()
        head = (
            "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\n"
            f"Content-Length: {len(body)}\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n"
        )
        self._answer = head.encode() + body
        if self._server is None:
            # A duplicate, because the server closes its socket. The backlog is as long as the socket's own.
            self._server = await asyncio.start_server(self._accept, sock=self._listener.dup(), backlog=2048)

    def end(self) -> None:
        """Stop to answer. Does nothing if it does not answer."""
        if self._server is not None:
            self._server.close()
            self._server = None

    async def stop(self) -> None:
        """Stop to answer, also those who have sent a request."""
        self.end()
        for task in self._refusing:
            task.cancel()
        await asyncio.gather(*self._refusing, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._refuse(reader, writer))
        self._refusing.add(task)
        task.add_done_callback(self._refusing.discard)

    async def _refuse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await reader.readuntil(b"\r\n\r\n")
                writer.write(self._answer)
                writer.write_eof()
                # Closing before the whole request is read would reset the connection and lose the response.
                while await reader.read(65536):
                    pass
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()
