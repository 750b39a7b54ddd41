"""What httpx needs of a connection: pieces as they come, limits, ends, and certificates that are checked."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import h11
import httpcore
import httpx
import pytest

from tailrace.network.connections import Backend, Connection, HTTPTransport
from tests.support.certificates import certificate
from tests.support.virtual_time import run_in_virtual_time

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@asynccontextmanager
async def asked(answer: Answer, tls: Path | None = None) -> AsyncIterator[tuple[httpx.AsyncClient, str]]:
    """A client, and the URL of a server that answers each connection with `answer`."""
    serving, trusted = None, ssl.create_default_context(cafile=tls)
    if tls is not None:
        serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
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
    transport = HTTPTransport(trusted, httpx.Limits(max_connections=None))
    async with server, httpx.AsyncClient(transport=transport, timeout=10) as client:
        yield client, url


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
    transport = HTTPTransport(ssl.create_default_context(), httpx.Limits())
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
    async with asyncio.timeout(30):
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
    async with httpx.AsyncClient(transport=HTTPTransport(ssl.create_default_context(), httpx.Limits())) as client:
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
