"""A server of raw bytes, and a client with our connections."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx

from tailrace.network.connections import HTTPTransport
from tests.support.read_once import with_all_authorities

# The head of a response with a body in chunks.
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def asked(answer: Answer, tls: Path | None = None) -> AsyncIterator[tuple[httpx.AsyncClient, str]]:
    """A client, and the URL of a server that answers each connection with `answer`."""
    serving, trusted = None, with_all_authorities()
    if tls is not None:
        serving, trusted = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context(cafile=tls)
        serving.load_cert_chain(tls)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await answer(reader, writer)
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=serving)
    url = f"http{'s' if tls else ''}://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    transport = HTTPTransport(trusted)
    async with server, httpx.AsyncClient(transport=transport, timeout=60) as client:
        yield client, url
