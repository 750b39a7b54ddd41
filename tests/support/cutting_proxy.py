"""A TCP proxy on loopback whose connections the test can reset at any moment."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from urllib.parse import urlsplit


class Proxy:
    """A client connects to `url`. Each connection is cut after `cut_after_bytes` from the server.

    The next one gets `grows_by` bytes more: a client that reads one large event again and again gets it at last.
    """

    def __init__(self, host: str, port: int) -> None:
        self.to = host, port
        self._open: set[asyncio.StreamWriter] = set()
        self._pumps: set[asyncio.Task[None]] = set()
        self.url = ""
        self.connections = 0
        self.cut_after_bytes: int | None = None
        self.grows_by = 0

    def cut(self) -> None:
        """Reset every open connection."""
        for writer in self._open:
            writer.transport.abort()

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        up_reader, up_writer = await asyncio.open_connection(*self.to)
        pair = (writer, up_writer)
        self._open.update(pair)
        room = self.cut_after_bytes
        if room is not None:
            self.cut_after_bytes = room + self.grows_by
        for pump in (self._pump(reader, up_writer, None), self._pump(up_reader, writer, room)):
            task = asyncio.create_task(pump)
            self._pumps.add(task)
            task.add_done_callback(self._pumps.discard)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, room: int | None) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(65536):
                if room is not None and len(chunk) >= room:
                    writer.write(chunk[:room])
                    await writer.drain()
                    break
                room = None if room is None else room - len(chunk)
                writer.write(chunk)
                await writer.drain()
        self._open.discard(writer)
        writer.close()

    async def close(self) -> None:
        self.cut()
        await asyncio.gather(*self._pumps, return_exceptions=True)


@contextlib.asynccontextmanager
async def cutting(url: str) -> AsyncIterator[Proxy]:
    """Run a proxy in front of the server at `url`."""
    place = urlsplit(url)
    assert place.hostname
    assert place.port
    proxy = Proxy(place.hostname, place.port)
    server = await asyncio.start_server(proxy.accept, "127.0.0.1", 0)
    proxy.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield proxy
    finally:
        server.close()
        await proxy.close()
        await server.wait_closed()
