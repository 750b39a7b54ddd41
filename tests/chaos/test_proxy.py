"""The proxy cuts, half-closes, stalls and trickles connections."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator

import pytest

from tests.chaos.proxy import Proxy, proxy
from tests.support.conditions import eventually


@contextlib.asynccontextmanager
async def echo() -> AsyncIterator[tuple[Proxy, asyncio.StreamReader, asyncio.StreamWriter]]:
    """Connect through a proxy to a server that echoes until it gets a FIN; then it sends `bye`."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while received := await reader.read(65536):
                writer.write(received)
                await writer.drain()
            writer.write(b"bye")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with asyncio.timeout(60), proxy(server.sockets[0].getsockname()[1]) as between:
        reader, writer = await asyncio.open_connection("127.0.0.1", between.port)
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
        yield between, reader, writer
        writer.close()
    server.close()
    await server.wait_closed()


async def test_a_reset_reaches_the_client_as_a_reset() -> None:
    async with echo() as (between, reader, _):
        between.open[0].cut("reset")
        with pytest.raises(ConnectionResetError):
            await reader.read()


async def test_a_fin_looks_like_an_end() -> None:
    async with echo() as (between, reader, _):
        between.open[0].cut("fin")
        assert await reader.read() == b""


async def test_after_a_half_close_towards_the_client_the_server_still_receives() -> None:
    async with echo() as (between, reader, writer):
        between.open[0].half_close("client")
        assert await reader.read() == b""
        carried = between.carried
        writer.write(b"more")
        await eventually(lambda: between.carried != carried)


async def test_after_a_half_close_towards_the_server_the_client_still_receives() -> None:
    async with echo() as (between, reader, _):
        between.open[0].half_close("server")
        assert await reader.read() == b"bye"


async def test_stalled_bytes_arrive_later_and_complete() -> None:
    async with echo() as (between, reader, writer):
        between.stall()
        writer.write(b"late")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await reader.read(1)
        between.go_on()
        assert await reader.readexactly(4) == b"late"


async def test_new_connections_are_stalled_too() -> None:
    async with echo() as (between, _, _):
        between.stall()
        reader, writer = await asyncio.open_connection("127.0.0.1", between.port)
        writer.write(b"late")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await reader.read(1)
        between.go_on()
        assert await reader.readexactly(4) == b"late"
        writer.close()


async def test_a_trickle_sends_bytes_one_by_one() -> None:
    async with echo() as (between, reader, writer):
        connection = between.pick(random.Random(1), 0)[0]
        connection.trickle = 20
        writer.write(b"0123456789" * 3)
        assert await reader.readexactly(30) == b"0123456789" * 3
        assert connection.trickle == 0
