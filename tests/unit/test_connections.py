"""What httpx needs of a connection: pieces as they come, limits, ends, and certificates that are checked."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import httpcore
import httpx
import pytest

from tailrace.network.connections import Connection, HTTPTransport
from tests.support.certificates import certificate
from tests.support.raw_server import CHUNKED, asked
from tests.support.read_once import with_all_authorities
from tests.support.virtual_time import run_in_virtual_time


async def test_pieces_are_read_as_they_come() -> None:
    go_on = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(CHUNKED + b"3\r\none\r\n")
        await go_on.wait()
        writer.write(b"3\r\ntwo\r\n0\r\n\r\n")

    async with asked(answer) as (client, url), client.stream("GET", url) as response:
        pieces = response.aiter_raw()
        assert await anext(pieces) == b"one"
        go_on.set()
        assert [piece async for piece in pieces] == [b"two"]


async def test_a_requests_head_and_body_arrive_together() -> None:
    """Sent one by one, they would wake the server twice."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        arrived.append(await reader.read(10_000))
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")

    arrived: list[bytes] = []
    async with asked(answer) as (client, url):
        await client.post(url, content=b"the body")
    assert arrived[0].startswith(b"POST / HTTP/1.1\r\n")
    assert arrived[0].endswith(b"\r\n\r\nthe body")


async def test_a_piece_of_a_body_does_not_wait_for_the_next_one() -> None:
    arrived = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"one")
        arrived.set()
        await reader.readuntil(b"two")
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")

    async def body() -> AsyncIterator[bytes]:
        yield b"one"
        await arrived.wait()
        yield b"two"

    async with asked(answer) as (client, url):
        assert (await client.post(url, content=body())).status_code == 204


async def test_a_silent_server_is_a_read_timeout() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with asked(answer) as (client, url):
        with pytest.raises(httpx.ReadTimeout):
            await client.get(url, timeout=httpx.Timeout(5, read=0.01))


async def test_a_request_that_nobody_takes_is_a_write_timeout() -> None:
    over = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await over.wait()

    async with asked(answer) as (client, url):
        with pytest.raises(httpx.WriteTimeout):
            await client.post(url, content=b"x" * 50_000_000, timeout=httpx.Timeout(5, write=0.01))
        over.set()


async def test_a_server_that_only_talks_does_not_put_a_write_timeout_off() -> None:
    class Full(asyncio.Transport):
        def write(self, data: bytes | bytearray | memoryview) -> None:
            connection.pause_writing()

    connection = Connection()
    connection.connection_made(Full())
    async with asyncio.timeout(60):
        writing = asyncio.ensure_future(connection.write(b"x" * 20_000, timeout=0.1))
        while not writing.done():
            connection.data_received(b"x")
            await asyncio.sleep(0.01)
    with pytest.raises(httpcore.WriteTimeout):
        await writing


def test_each_wait_has_its_own_limit_whatever_those_before_it_had() -> None:
    class Silent(asyncio.Transport):
        def pause_reading(self) -> None: ...
        def resume_reading(self) -> None: ...

    async def play() -> None:
        clock, connection = asyncio.get_running_loop().time, Connection()
        connection.connection_made(Silent())
        for limit_s, waits_s in ((60, 1), (2, 1), (60, 50)):
            asyncio.get_running_loop().call_later(waits_s, connection.data_received, b"piece")
            begun = clock()
            assert await connection.read(100, limit_s) == b"piece"
            assert clock() - begun == waits_s
        for limit_s in (60, 2, 30):
            begun = clock()
            with pytest.raises(httpcore.ReadTimeout):
                await connection.read(100, limit_s)
            assert clock() - begun == limit_s

    run_in_virtual_time(play())


async def test_a_port_without_a_server_is_a_connect_error() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pass

    async with asked(answer) as (_, url):
        pass
    async with httpx.AsyncClient(transport=HTTPTransport(with_all_authorities())) as client:
        with pytest.raises(httpx.ConnectError):
            await client.get(url)


async def test_a_connection_that_was_closed_while_it_was_idle_is_not_used_again() -> None:
    connections: list[asyncio.StreamWriter] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")  # and then it is closed, without a word

    async with asked(answer) as (client, url):
        for _ in range(2):
            assert (await client.get(url)).text == "ok"
            await connections[0].wait_closed()
        assert len(connections) == 2


async def test_a_refusal_that_comes_while_the_request_is_sent_is_read() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nno.")
        while await reader.read(1_000_000):
            pass

    async with asked(answer) as (client, url):
        response = await client.post(url, content=b"x" * 5_000_000)
        assert (response.status_code, response.text) == (413, "no.")


async def test_a_cut_is_an_error_and_no_end() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(CHUNKED + b"3\r\none\r\n")
        await writer.drain()
        writer.transport.abort()

    async with asked(answer) as (client, url), client.stream("GET", url) as response:
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
            await response.aread()


async def test_a_client_that_is_closed_while_it_reads_is_an_error_and_no_end() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nhalf")  # it lasts until the connection's end
        await reader.read()

    async with asked(answer) as (client, url), client.stream("GET", url) as response:
        pieces = response.aiter_raw()
        assert await anext(pieces) == b"half"
        rest = asyncio.ensure_future(anext(pieces))
        await asyncio.sleep(0)  # it waits now
        await client.aclose()
        with pytest.raises(httpx.ReadError, match="closed here"):
            await rest


async def test_a_connection_that_breaks_can_be_asked_at_each_moment_whether_it_is_of_use(tmp_path: Path) -> None:
    connections: list[asyncio.StreamWriter] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await reader.read()

    async with asked(answer, certificate(tmp_path, "agent.example")) as (client, url):
        response = await client.get(url, extensions={"sni_hostname": "agent.example"})
        idle = response.extensions["network_stream"]
        connections[0].get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )  # so that its end is a reset
        connections[0].transport.abort()
        while not idle.get_extra_info("is_readable"):
            await asyncio.sleep(0)
        for _ in range(20):
            assert idle.get_extra_info("is_readable")
            await asyncio.sleep(0)


@pytest.mark.parametrize(("name", "right"), [("agent.example", True), ("other.example", False)])
async def test_the_certificate_is_checked_against_the_name(tmp_path: Path, name: str, right: bool) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + b"x" * 200_000)
        await writer.drain()

    async with asked(answer, certificate(tmp_path, name)) as (client, url):
        request = client.get(url, extensions={"sni_hostname": "agent.example"})
        if right:
            assert (await request).content == b"x" * 200_000
        else:
            with pytest.raises(httpx.ConnectError, match="Hostname mismatch"):
                await request


async def test_a_connection_is_not_read_while_its_reader_is_behind() -> None:
    class Reading(asyncio.Transport):
        reads = True

        def pause_reading(self) -> None:
            self.reads = False

        def resume_reading(self) -> None:
            self.reads = True

    transport, connection = Reading(), Connection()
    connection.connection_made(transport)
    connection.data_received(b"x" * 300_000)
    assert not transport.reads
    while len(await connection.read(65_536)) == 65_536:
        assert not transport.reads
    with pytest.raises(httpcore.ReadTimeout):
        await connection.read(65_536, timeout=0)
    assert transport.reads
