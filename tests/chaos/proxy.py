"""A TCP proxy on loopback that can cut (with a reset or a FIN), stall, half-close and trickle its connections."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
from collections.abc import AsyncIterator
from typing import Literal

Cut = Literal["reset", "fin"]
Side = Literal["client", "server"]

_RESET = struct.pack("ii", 1, 0)


class Connection:
    """A client's connection, the one to the server, and the bytes between them in both directions."""

    def __init__(self, proxy: Proxy, client: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> None:
        self._proxy = proxy
        self._client = client
        self._server: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._flowing = asyncio.Event()
        self._flowing.set()
        # How many of the next bytes are sent one at a time.
        self.trickle = 0

    async def run(self, host: str, port: int) -> None:
        """Carry bytes until both directions have ended or the connection is cut."""
        try:
            self._server = await asyncio.open_connection(host, port)
            async with asyncio.TaskGroup() as directions:
                directions.create_task(self._carry(self._client[0], self._server[1]))
                directions.create_task(self._carry(self._server[0], self._client[1]))
        except* OSError:
            self.cut("reset")  # One side was cut, so the other is cut, too.
        finally:
            for writer in self._writers():
                writer.close()

    def cut(self, how: Cut) -> None:
        """Close the connection on both sides at once. Bytes on their way are lost."""
        for writer in self._writers():
            if how == "reset":
                with contextlib.suppress(OSError):
                    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                writer.transport.abort()
            else:
                writer.close()
        self._flowing.set()

    def half_close(self, side: Side) -> None:
        """Send a FIN to one side and continue to read from it."""
        for name, writer in zip(("client", "server"), self._writers(), strict=False):
            if name == side and not writer.is_closing() and writer.can_write_eof():
                with contextlib.suppress(OSError):
                    writer.write_eof()

    def stall(self) -> None:
        self._flowing.clear()

    def go_on(self) -> None:
        self._flowing.set()

    def _writers(self) -> list[asyncio.StreamWriter]:
        return [self._client[1]] + ([self._server[1]] if self._server else [])

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(65536):
            await self._flowing.wait()
            while self.trickle > 0 and len(chunk) > 1:
                self.trickle -= 1
                await self._send(writer, chunk[:1])
                chunk = chunk[1:]
            await self._send(writer, chunk)
        await self._flowing.wait()
        if not writer.is_closing() and writer.can_write_eof():
            writer.write_eof()

    async def _send(self, writer: asyncio.StreamWriter, chunk: bytes) -> None:
        if writer.transport.is_closing() or writer.get_extra_info("socket") is None:
            raise ConnectionResetError
        with contextlib.suppress(RuntimeError):  # After `half_close` nothing can be sent.
            writer.write(chunk)
            await writer.drain()
            self._proxy.carried += len(chunk)


class Proxy:
    """Forwards connections from `url` to a server."""

    def __init__(self, host: str, port: int) -> None:
        self._to = host, port
        self._open: dict[asyncio.Task[None], Connection] = {}
        self._stalled = False
        self.url = ""
        self.port = 0
        self.connections = 0
        self.carried = 0

    @property
    def open(self) -> list[Connection]:
        return list(self._open.values())

    def pick(self, rng: random.Random, share: float) -> list[Connection]:
        """Choose a `share` of the open connections at random, at least one unless there is none."""
        connections = self.open
        return rng.sample(connections, max(1, round(share * len(connections)))) if connections else []

    def stall(self) -> None:
        """Stop forwarding on all connections, the new ones included, until `go_on`."""
        self._stalled = True
        for connection in self.open:
            connection.stall()

    def go_on(self) -> None:
        self._stalled = False
        for connection in self.open:
            connection.go_on()

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        connection = Connection(self, (reader, writer))
        if self._stalled:
            connection.stall()
        task = asyncio.current_task()
        assert task is not None
        self._open[task] = connection
        try:
            await connection.run(*self._to)
        finally:
            del self._open[task]

    async def close(self) -> None:
        for connection in self.open:
            connection.cut("reset")
        if self._open:
            await asyncio.wait(list(self._open), timeout=5)


@contextlib.asynccontextmanager
async def proxy(port: int) -> AsyncIterator[Proxy]:
    """A proxy in front of the server on loopback's `port`."""
    between = Proxy("127.0.0.1", port)
    server = await asyncio.start_server(between.accept, "127.0.0.1", 0, backlog=1024)
    between.port = server.sockets[0].getsockname()[1]
    between.url = f"http://127.0.0.1:{between.port}/"
    try:
        yield between
    finally:
        server.close()
        await between.close()
        await server.wait_closed()
