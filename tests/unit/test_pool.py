"""A pool uses idle connections again, closes all others, and looks at none that serves another request."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpcore
import httpx
import pytest

from tailrace.network.connections import MOST_IDLE
from tailrace.network.pool import ConnectionPool
from tests.support.conditions import eventually
from tests.support.raw_server import CHUNKED, asked

NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"
_REQUEST = httpcore.Request("GET", "http://agent.example/")


class Server:
    """Answers each request with no content, but for those to /stream: their body does not end until `end` is set."""

    def __init__(self) -> None:
        self.connections = self.open = 0
        self.end = asyncio.Event()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                if b"/stream" not in head:
                    writer.write(NO_CONTENT)
                    continue
                writer.write(CHUNKED + b"1\r\n.\r\n")
                ended = [asyncio.create_task(self.end.wait()), asyncio.create_task(reader.read(1))]
                await asyncio.wait(ended, return_when=asyncio.FIRST_COMPLETED)
                if not self.end.is_set():
                    return
                ended[1].cancel()
                await asyncio.wait(ended)
                writer.write(b"0\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.open -= 1


@pytest.fixture
async def server() -> Server:
    return Server()


async def test_a_request_uses_the_connection_of_the_one_before(server: Server) -> None:
    async with asked(server) as (client, url):
        for _ in range(3):
            await client.get(url)
    assert server.connections == 1


async def test_requests_at_the_same_time_have_a_connection_each(server: Server) -> None:
    async with asked(server) as (client, url), client.stream("GET", f"{url}stream"):
        await client.get(url)
        await client.get(url)
        assert server.connections == 2


async def test_beside_many_streams_connections_are_used_again(server: Server) -> None:
    """httpcore's pool keeps none while more are open than are to be kept."""
    async with asked(server) as (client, url):
        streams = [await client.send(client.build_request("GET", f"{url}stream"), stream=True) for _ in range(80)]
        for _ in range(3):
            await client.get(url)
        assert server.connections == 81
        server.end.set()
        for stream in streams:
            await stream.aread()
        await eventually(lambda: server.open == MOST_IDLE)
        await client.get(url)
        assert server.connections == 81


async def test_a_connection_that_the_server_has_closed_is_not_used_again(server: Server) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.connections += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(NO_CONTENT)

    async with asked(answer) as (client, url):
        for _ in range(3):
            assert (await client.get(url)).status_code == 204
    assert server.connections == 3


async def test_a_stream_that_is_left_before_its_end_is_closed(server: Server) -> None:
    async with asked(server) as (client, url):
        async with client.stream("GET", f"{url}stream") as response:
            await anext(response.aiter_raw())
        await eventually(lambda: server.open == 0)
        await client.get(url)
        assert server.connections == 2


async def test_a_request_that_is_cancelled_closes_its_connection(server: Server) -> None:
    silent = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        silent.set()
        assert await reader.read() == b""
        server.connections += 1

    async with asked(answer) as (client, url):
        request = asyncio.create_task(client.get(url))
        await silent.wait()
        request.cancel()
        await eventually(lambda: server.connections == 1)
    assert request.cancelled()


async def test_a_client_that_is_closed_closes_its_streams(server: Server) -> None:
    async with asked(server) as (client, url):
        await client.send(client.build_request("GET", f"{url}stream"), stream=True)
        await client.aclose()
        await eventually(lambda: server.open == 0)


async def test_a_connection_that_cannot_be_made_is_an_error_and_nothing_is_kept() -> None:
    async with asked(Server()) as (client, url):
        unused = url
    async with asked(Server()) as (client, _):
        for _ in range(2):
            with pytest.raises(httpx.ConnectError):
                await client.get(unused)


async def test_a_client_that_is_closed_while_it_connects_keeps_no_connection(server: Server) -> None:
    async with asked(server) as (client, url):
        request = asyncio.create_task(client.get(url))
        await asyncio.sleep(0)
        assert server.connections == 0
        await client.aclose()
        assert (await request).status_code == 204
        await eventually(lambda: server.open == 0)


@pytest.mark.parametrize("url", ["ftp://agent.example/", "grpc://127.0.0.1:1/"])
async def test_a_url_that_is_not_one_of_http_is_an_error_of_httpx(url: str) -> None:
    async with asked(Server()) as (client, _):
        with pytest.raises(httpx.UnsupportedProtocol, match="is neither http:// nor https://"):
            await client.get(url)


class IdleConnection(httpcore.AsyncConnectionInterface):
    """A connection whose response has no body. It may be kept until it is `expired`."""

    expired = closed = False

    async def handle_async_request(self, request: httpcore.Request) -> httpcore.Response:
        return httpcore.Response(204)

    async def aclose(self) -> None:
        self.closed = True

    def is_available(self) -> bool:
        return not self.closed

    def has_expired(self) -> bool:
        return self.expired


async def after_a_burst(kind: type[IdleConnection], size: int) -> tuple[ConnectionPool, list[IdleConnection]]:
    """A pool after `size` requests at once, and the connections that it makes, these first."""
    made: list[IdleConnection] = []

    def connect(origin: httpcore.Origin) -> IdleConnection:
        made.append(kind())
        return made[-1]

    pool = ConnectionPool(connect, 64)
    for response in [await pool.handle_async_request(_REQUEST) for _ in range(size)]:
        await response.aclose()
    return pool, made


async def test_connections_of_a_burst_are_closed_when_they_have_expired_though_one_is_used_all_the_time() -> None:
    pool, made = await after_a_burst(IdleConnection, 10)
    for connection in made[:9]:
        connection.expired = True
    await (await pool.handle_async_request(_REQUEST)).aclose()
    assert [connection.closed for connection in made] == [True] * 9 + [False]


async def test_requests_that_close_what_has_expired_at_the_same_time_all_get_a_connection() -> None:
    class SlowToClose(IdleConnection):
        async def aclose(self) -> None:
            await asyncio.sleep(0)
            self.closed = True

    pool, made = await after_a_burst(SlowToClose, 2)
    for connection in made:
        connection.expired = True
    responses = await asyncio.gather(*(pool.handle_async_request(_REQUEST) for _ in range(3)))
    for response in responses:
        await response.aclose()
    assert [connection.closed for connection in made] == [True, True, False, False, False]


class CountedConnection(httpcore.AsyncConnectionInterface):
    """A connection whose stream never ends. It counts how often it is looked at."""

    looks = 0

    async def handle_async_request(self, request: httpcore.Request) -> httpcore.Response:
        async def endless() -> AsyncIterator[bytes]:
            await asyncio.Event().wait()
            yield b""

        return httpcore.Response(200, content=endless())

    async def aclose(self) -> None:
        pass

    def _looked_at(self) -> bool:
        type(self).looks += 1
        return False

    is_available = has_expired = is_idle = is_closed = _looked_at


async def test_a_request_looks_at_no_connection_that_serves_another() -> None:
    pool = ConnectionPool(lambda origin: CountedConnection(), 64)
    streams = [await pool.handle_async_request(_REQUEST) for _ in range(1000)]
    assert CountedConnection.looks == 0
    for stream in streams:
        await stream.aclose()
    assert CountedConnection.looks == len(streams)
