"""The response of every stream: what it sends, and how it ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from sse_starlette.sse import AppStatus

from tailrace.config import Settings
from tailrace.stream import response as stream_response
from tailrace.stream import sse
from tailrace.stream.response import EventStreamResponse
from tests.support.virtual_time import run_in_virtual_time

_SCOPE = {"type": "http", "method": "GET"}


class Reader:
    """An ASGI server's side of one response: what was sent, and when the reader goes."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.has_body = asyncio.Event()
        self.gone = asyncio.Event()

    async def receive(self) -> dict[str, Any]:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: dict[str, Any]) -> None:
        self.messages.append(message)
        if message.get("body"):
            self.has_body.set()

    @property
    def bodies(self) -> list[bytes]:
        return [message["body"] for message in self.messages[1:]]


class StalledReader(Reader):
    """One that takes nothing: the first chunk stays under way."""

    async def send(self, message: dict[str, Any]) -> None:
        await super().send(message)
        if message.get("body"):
            await asyncio.Event().wait()


class Chunks:
    """Two chunks, then silence; `closed` once the generator has cleaned up."""

    def __init__(self, *, endless: bool) -> None:
        self.closed = False
        self._endless = endless

    async def __call__(self) -> AsyncGenerator[bytes]:
        try:
            yield b"id: 1\ndata: one\n\n"
            yield b"id: 2\ndata: two\n\nid: 3\ndata: three\n\n"
            if self._endless:
                await asyncio.Event().wait()
        finally:
            self.closed = True


def response(chunks: Chunks) -> EventStreamResponse:
    return EventStreamResponse(chunks(), Settings(), headers={"A2A-Version": "1.0"})


async def test_the_chunks_leave_byte_for_byte() -> None:
    reader, chunks = Reader(), Chunks(endless=False)
    await response(chunks)(_SCOPE, reader.receive, reader.send)
    assert reader.bodies == [b"id: 1\ndata: one\n\n", b"id: 2\ndata: two\n\nid: 3\ndata: three\n\n", b""]
    assert [message["more_body"] for message in reader.messages[1:]] == [True, True, False]


def test_the_headers_are_ours_and_none_is_forbidden_in_http_2() -> None:
    headers = EventStreamResponse(Chunks(endless=False)(), Settings(), headers={"A2A-Version": "1.0"}).headers
    assert dict(headers) == {
        "content-type": "text/event-stream; charset=utf-8",
        "cache-control": "no-store",
        "x-accel-buffering": "no",
        "a2a-version": "1.0",
    }


def test_no_ping_is_ever_sent_beside_our_heartbeat() -> None:
    assert response(Chunks(endless=True)).ping_interval == 0


async def test_a_reader_that_goes_ends_the_stream_and_gets_no_more() -> None:
    reader, chunks = Reader(), Chunks(endless=True)
    serving = asyncio.create_task(response(chunks)(_SCOPE, reader.receive, reader.send))
    await reader.has_body.wait()
    reader.gone.set()
    await serving
    assert chunks.closed
    assert all(message["more_body"] for message in reader.messages[1:])


async def test_an_error_in_the_chunks_is_the_responses_and_nothing_more_is_sent() -> None:
    async def chunks() -> AsyncGenerator[bytes]:
        yield b"id: 1\ndata: one\n\n"
        raise ValueError("broken")

    reader = Reader()
    with pytest.raises(ValueError, match="broken"):
        await EventStreamResponse(chunks(), Settings())(_SCOPE, reader.receive, reader.send)
    assert reader.bodies == [b"id: 1\ndata: one\n\n"]


async def test_an_error_of_the_server_ends_the_stream() -> None:
    async def receive() -> dict[str, Any]:
        await reader.has_body.wait()
        raise OSError("broken")

    reader, chunks = Reader(), Chunks(endless=True)
    with pytest.raises(OSError, match="broken"):
        await response(chunks)(_SCOPE, receive, reader.send)
    assert chunks.closed


async def test_a_stream_that_is_cancelled_closes_its_chunks_and_leaves_nothing_behind() -> None:
    reader, chunks = Reader(), Chunks(endless=True)
    before = asyncio.all_tasks()
    stream = response(chunks)
    serving = asyncio.create_task(stream(_SCOPE, reader.receive, reader.send))
    await reader.has_body.wait()
    # The request's task, the one that sends, and sse-starlette's watcher of this event loop.
    assert len(asyncio.all_tasks() - before) <= 3
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving
    assert chunks.closed
    assert len(asyncio.all_tasks() - before) <= 1


@pytest.mark.parametrize("kind", [Reader, StalledReader])
async def test_a_stream_that_is_cancelled_again_while_it_closes_ends_its_closing_and_leaves_nothing_behind(
    kind: type[Reader],
) -> None:
    """As by a server that stops, and whose patience ends meanwhile."""
    closing = asyncio.Event()

    async def chunks() -> AsyncGenerator[bytes]:
        try:
            yield b"id: 1\ndata: one\n\n"
            await asyncio.Event().wait()
        finally:
            closing.set()
            await asyncio.Event().wait()

    reader, before = kind(), asyncio.all_tasks()
    stream = EventStreamResponse(chunks(), Settings())(_SCOPE, reader.receive, reader.send)
    serving = asyncio.create_task(stream)
    await reader.has_body.wait()
    serving.cancel()
    await closing.wait()
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving
    assert len(asyncio.all_tasks() - before) <= 1


async def test_an_error_in_closing_is_the_responses_also_if_that_is_cancelled() -> None:
    async def chunks() -> AsyncGenerator[bytes]:
        try:
            yield b"id: 1\ndata: one\n\n"
            await asyncio.Event().wait()
        finally:
            raise ValueError("broken")

    reader = Reader()
    serving = asyncio.create_task(EventStreamResponse(chunks(), Settings())(_SCOPE, reader.receive, reader.send))
    await reader.has_body.wait()
    await asyncio.sleep(0)  # it waits now
    serving.cancel()
    with pytest.raises(ValueError, match="broken"):
        await serving


async def test_a_reader_that_takes_nothing_ends_the_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_response, "_SEND_TIMEOUT_S", 0.05)
    reader, chunks = StalledReader(), Chunks(endless=True)
    await asyncio.wait_for(response(chunks)(_SCOPE, reader.receive, reader.send), 10)
    assert chunks.closed
    assert reader.bodies == [b"id: 1\ndata: one\n\n"]


async def test_a_silence_that_is_longer_than_a_send_may_be_does_not_end_the_stream(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked = asyncio.Semaphore(0)

    class Watched(EventStreamResponse):
        def _watch_sends(self, limit: asyncio.Timeout) -> None:
            super()._watch_sends(limit)
            looked.release()

    monkeypatch.setattr(stream_response, "_SEND_TIMEOUT_S", 0.01)
    reader, chunks = Reader(), Chunks(endless=True)
    serving = asyncio.create_task(Watched(chunks(), Settings())(_SCOPE, reader.receive, reader.send))
    for _ in range(4):
        await looked.acquire()
    assert not serving.done()
    assert not chunks.closed
    reader.gone.set()
    await serving


def test_closing_may_last_longer_than_a_send_once_the_send_is_given_up() -> None:
    """The stream's time is over while its reader takes nothing, and closing what it read takes a while."""
    wrong, closed = list[object](), list[float]()

    async def chunks() -> AsyncGenerator[bytes]:
        try:
            while True:
                yield b"id: 1\ndata: one\n\n"
        finally:
            await asyncio.sleep(25)  # when it ends, the send would have hung for 32 s
            closed.append(asyncio.get_running_loop().time())

    async def serve() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: wrong.append(context))
        reader, settings = StalledReader(), Settings(rotate_s=1, heartbeat_s=1)
        await EventStreamResponse(chunks(), settings)(_SCOPE, reader.receive, reader.send)

    run_in_virtual_time(serve())
    assert wrong == []
    assert len(closed) == 1


async def test_a_server_that_shuts_down_sends_its_readers_away(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, chunks = Reader(), Chunks(endless=True)
    serving = asyncio.create_task(response(chunks)(_SCOPE, reader.receive, reader.send))
    await reader.has_body.wait()
    monkeypatch.setattr(AppStatus, "should_exit", True)
    await serving
    assert reader.bodies[-1] == sse.COME_BACK == b"retry: 250\n\n"
    assert not reader.messages[-1]["more_body"]
    assert chunks.closed


async def test_a_server_that_shuts_down_does_not_wait_for_a_reader_that_takes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stream_response, "_LAST_SEND_TIMEOUT_S", 0.05)
    reader, chunks = StalledReader(), Chunks(endless=True)
    serving = asyncio.create_task(response(chunks)(_SCOPE, reader.receive, reader.send))
    await reader.has_body.wait()
    monkeypatch.setattr(AppStatus, "should_exit", True)
    await asyncio.wait_for(serving, 10)
    assert chunks.closed


async def test_a_stream_that_ended_before_the_shutdown_ends_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AppStatus, "should_exit", True)
    reader, chunks = Reader(), Chunks(endless=False)
    await response(chunks)(_SCOPE, reader.receive, reader.send)
    assert [message["more_body"] for message in reader.messages[1:]].count(False) == 1


async def shut_down_a_stream(monkeypatch: pytest.MonkeyPatch) -> bytes:
    """Return the last bytes of a stream whose server shuts down."""
    reader, chunks = Reader(), Chunks(endless=True)
    serving = asyncio.create_task(response(chunks)(_SCOPE, reader.receive, reader.send))
    await reader.has_body.wait()
    with monkeypatch.context() as patch:
        patch.setattr(AppStatus, "should_exit", True)
        await serving
    return reader.bodies[-1]


def test_streams_end_at_shutdown_in_one_event_loop_after_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """sse-starlette has one watcher a thread, which has to start again in each loop."""
    assert [asyncio.run(shut_down_a_stream(monkeypatch)) for _ in range(2)] == [sse.COME_BACK] * 2


def test_streams_of_a_loop_that_takes_the_place_of_one_that_was_left_flow_and_end_at_shutdown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The Lambda runtime may leave a loop with the watcher in it; the next loop of the thread serves as well."""

    async def cancel_all() -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def stream() -> list[bytes]:
        reader = Reader()
        await response(Chunks(endless=False))(_SCOPE, reader.receive, reader.send)
        return reader.bodies

    loops = [asyncio.new_event_loop() for _ in range(2)]
    try:
        first, second, first_again = (loop.run_until_complete(stream()) for loop in (*loops, loops[0]))
        assert first == second == first_again
        assert len(first) == 3
        for loop in reversed(loops):
            assert loop.run_until_complete(asyncio.wait_for(shut_down_a_stream(monkeypatch), 10)) == sse.COME_BACK
    finally:
        for loop in loops:
            loop.run_until_complete(cancel_all())
            loop.close()
