"""The chunks of a body are taken off the connection, and it is the same body as if a parser of HTTP had read them."""

from __future__ import annotations

import asyncio
import socket

import h11
import httpx
import pytest

from tailrace.network.connections import Backend, Connection, HTTPTransport
from tests.support.raw_server import CHUNKED, asked
from tests.support.read_once import with_all_authorities

EVENT = b"data: an event\n\n\r\n\r\n"
CHUNK = b"%x\r\n%b\r\n" % (len(EVENT), EVENT)
CHUNKED_BODIES: dict[str, tuple[bytes, bytes]] = {
    "no chunk": (b"0\r\n\r\n", b""),
    "a few": (CHUNK * 3 + b"0\r\n\r\n", EVENT * 3),
    "trailers": (CHUNK + b"0\r\nExpires: never\r\n\r\n", EVENT),
    "an extension": (CHUNK + CHUNK.replace(b"\r\n", b";a=b\r\n", 1) + CHUNK + b"0\r\n\r\n", EVENT * 3),
    "a long size": (CHUNK + b"0000" + CHUNK + CHUNK + b"00000\r\n\r\n", EVENT * 3),
    "a large one": (
        CHUNK + b"11170\r\n" + b"x" * 70_000 + b"\r\n" + CHUNK + b"0\r\n\r\n",
        EVENT + b"x" * 70_000 + EVENT,
    ),
}


@pytest.mark.parametrize("head", [CHUNKED, CHUNKED.replace(b"\r\n", b"\n"), b"HTTP/1.1 100 Continue\r\n\r\n" + CHUNKED])
@pytest.mark.parametrize("cut", [1, 2, 3, 7, 1_000, 200_000])
@pytest.mark.parametrize("body", CHUNKED_BODIES)
async def test_a_chunked_body_is_the_same_wherever_it_is_cut_and_its_connection_is_used_again(
    monkeypatch: pytest.MonkeyPatch, head: bytes, cut: int, body: str
) -> None:
    sent, data = CHUNKED_BODIES[body]
    cut = max(cut, len(sent) // 1_000)

    class Server(asyncio.Transport):
        """Answers each request with the response, in pieces of `cut` bytes, as fast as they are taken."""

        def write(self, request: bytes | bytearray | memoryview) -> None:
            answers.append(asyncio.ensure_future(self._answer()))

        async def _answer(self) -> None:
            for at in range(0, len(response), cut):
                connection.data_received(response[at : at + cut])
                await asyncio.sleep(0)
                await asyncio.sleep(0)

        def resume_reading(self) -> None: ...
        def pause_reading(self) -> None: ...
        def abort(self) -> None: ...

        def get_extra_info(self, name: str, default: object = None) -> object:
            return silent if name == "socket" else default

    async def connect(*_: object, **__: object) -> Connection:
        connections.append(connection)
        return connection

    response, answers, connections, connection = head + sent, list[object](), list[Connection](), Connection()
    connection.connection_made(Server())
    monkeypatch.setattr(Backend, "connect_tcp", connect)
    transport = HTTPTransport(with_all_authorities())
    silent, other_end = socket.socketpair()
    with silent, other_end:
        async with httpx.AsyncClient(transport=transport) as client:
            for _ in range(2):
                assert (await client.post("http://agent.example/")).content == data
    assert len(connections) == 1


async def test_chunks_do_not_pass_through_h11(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would take as long for each as everything else that happens to it."""
    passed: list[bytes] = []
    receive = h11.Connection.receive_data

    def received(self: h11.Connection, data: bytes) -> None:
        passed.append(data)
        receive(self, data)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(CHUNKED + CHUNK * 100 + b"0\r\n\r\n")

    monkeypatch.setattr(h11.Connection, "receive_data", received)
    async with asked(answer) as (client, url):
        assert (await client.get(url)).content == EVENT * 100
    assert passed == [CHUNKED, b"0\r\n\r\n"]


async def test_what_is_no_chunk_is_an_error() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(CHUNKED + CHUNK + b"3\r\nfour\r\n0\r\n\r\n")

    async with asked(answer) as (client, url), client.stream("GET", url) as response:
        pieces = response.aiter_raw()
        assert await anext(pieces) == EVENT
        with pytest.raises(httpx.RemoteProtocolError):
            assert [piece async for piece in pieces] == []


@pytest.mark.parametrize("begun", [b"g\r\n", b"-1\r\n", b"\r\n", b" 5\r\n"])
async def test_what_cannot_become_a_chunk_is_an_error_although_its_sender_falls_silent(begun: bytes) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(CHUNKED + CHUNK + begun)
        await reader.read()

    limit = httpx.Timeout(5, read=1)
    async with asked(answer) as (client, url), client.stream("GET", url, timeout=limit) as response:
        with pytest.raises(httpx.RemoteProtocolError):
            await response.aread()


async def test_a_head_of_a_chunked_response_has_no_body() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(CHUNKED)

    async with asked(answer) as (client, url):
        assert (await client.head(url)).content == b""


async def test_a_stream_that_falls_silent_is_a_read_timeout() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(CHUNKED + CHUNK + CHUNK[:5])
        await reader.read()

    limit = httpx.Timeout(5, read=0.2)
    async with asked(answer) as (client, url), client.stream("GET", url, timeout=limit) as response:
        pieces = response.aiter_raw()
        assert await anext(pieces) == EVENT
        with pytest.raises(httpx.ReadTimeout):
            await anext(pieces)
