"""The HTTP response of every stream: sse-starlette's, with our bytes in it.

sse-starlette makes the headers, answers a HEAD, sends the chunks and closes them after an error, listens for a reader
that goes, and looks whether the server shuts down: once for all streams of an event loop. Its event objects and its
pings stay unused: an object for each event costs more than the bytes, and our heartbeat is sent only in a silence.

How a response ends is ours. sse-starlette has a group of three tasks for each response, and opens a scope around each
`send`. Here one task sends, and the request's own waits for the reader to go, under a time limit: it is over early when
everything was sent, when a `send` hangs, and when the server shuts down. (The request's own task does not send, because
each wake would pass through all the middleware around it.)
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import suppress
from typing import NamedTuple
from weakref import WeakKeyDictionary

from sse_starlette import EventSourceResponse
from sse_starlette import sse as sse_starlette
from sse_starlette.sse import AppStatus
from starlette.types import Message, Receive, Scope, Send

from tailrace.config import Settings
from tailrace.stream import sse

# A reader that takes nothing for this long has gone.
_SEND_TIMEOUT_S = 30.0
# How long a server that shuts down tries to tell a slow reader. uvicorn cancels all streams after 2 s.
_LAST_SEND_TIMEOUT_S = 1.0
# A stream rotates by itself. A slow reader has this much longer, and one silence, to take what is on its way.
GRACE_S = 5.0


def forget_earlier_shutdown() -> None:
    """Let streams flow although an earlier server of this process was stopped by a signal.

    sse-starlette notes that signal for the whole process and never forgets it, so each later stream would end at once.
    """
    AppStatus.should_exit = False


class _AtShutdown(NamedTuple):
    """What sse-starlette's watcher sets at a shutdown, in place of an event that a task waits for."""

    set: Callable[[], None]


_watches: WeakKeyDictionary[asyncio.AbstractEventLoop, sse_starlette._ShutdownState] = WeakKeyDictionary()


def _watched_in(loop: asyncio.AbstractEventLoop) -> set[_AtShutdown]:
    """What the watcher of the running event loop sets at a shutdown.

    sse-starlette notes for each thread that its watcher runs. A loop that was left, and not closed, keeps that note,
    and the streams of the thread's next loop would never hear of a shutdown. So each loop has a watcher of its own.
    """
    watch = _watches.setdefault(loop, sse_starlette._ShutdownState())  # noqa: SLF001
    sse_starlette._thread_state.shutdown_state = watch  # noqa: SLF001
    sse_starlette._ensure_watcher_started_on_this_loop()  # noqa: SLF001
    return watch.events  # type: ignore[return-value]  # the watcher calls nothing but `set`


class EventStreamResponse(EventSourceResponse):
    """Sends `chunks`, each made of whole SSE frames, until they end or the server shuts down.

    1. When the server shuts down, the stream ends with `retry: 250` (docs/PROTOCOL.md, section 4.4), and the reader
       comes back with its cursor.
    2. A stream rotates after its time limit. A response that lasts longer, because its reader takes a byte a second, is
       cut off, and the reader comes back as well.

    `chunks` is closed in every case.
    """

    def __init__(
        self, chunks: AsyncGenerator[bytes], settings: Settings, *, headers: Mapping[str, str] | None = None
    ) -> None:
        self._chunks = chunks
        self._limit_s = settings.rotate_s + settings.heartbeat_s + GRACE_S
        self._limit: asyncio.Timeout | None = None
        self._shuts_down = False
        self._clock = time.monotonic
        # When the `send` that is under way began.
        self._sending_since = math.inf
        self._watch: asyncio.TimerHandle | None = None
        super().__init__(chunks, headers={**sse.HEADERS, **(headers or {})}, ping=0)
        # HTTP/2 forbids it (RFC 9113, section 8.2.2), and HTTP/1.1 keeps connections alive without it.
        del self.headers["connection"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            if scope["method"] == "HEAD":
                await super().__call__(scope, receive, send)
            else:
                await self._send_all(receive, send)
        finally:
            if self._watch is not None:
                self._watch.cancel()
            # A reader that left in the middle of a chunk has left the generator there.
            await self._chunks.aclose()

    async def _send_all(self, receive: Receive, send: Send) -> None:
        """Send the chunks, until something ends the response. A server that shuts down says so."""
        loop = asyncio.get_running_loop()
        self._clock = loop.time
        at_shutdown, watched = _AtShutdown(self._shut_down), _watched_in(loop)
        watched.add(at_shutdown)
        limit = self._limit = asyncio.timeout(self._limit_s)
        sending = loop.create_task(self._stream_response(send))
        sending.add_done_callback(self._end)
        try:
            async with limit:
                self._watch_sends(limit)
                if AppStatus.should_exit:
                    self._shut_down()
                await self._listen_for_disconnect(receive)
        except TimeoutError:
            if not limit.expired():
                raise
        finally:
            self._limit = None
            watched.discard(at_shutdown)
            await _ended(sending)
        if sending.cancelled() and self._shuts_down and self.active:
            # The chunks were cancelled while they waited, or in a `send`: it sends all of a chunk or nothing.
            with suppress(TimeoutError):
                async with asyncio.timeout(_LAST_SEND_TIMEOUT_S):
                    await send({"type": "http.response.body", "body": sse.COME_BACK, "more_body": False})

    async def _send_with_timeout(self, send: Send, message: Message) -> None:
        self._sending_since = self._clock()
        try:
            await send(message)
        finally:  # one that was cancelled hangs no longer, and what is closed then may take its time
            self._sending_since = math.inf

    def _watch_sends(self, limit: asyncio.Timeout) -> None:
        """End the response if a `send` hangs; otherwise look again when this one would, or the next."""
        now = self._clock()
        due = min(self._sending_since, now) + _SEND_TIMEOUT_S
        if due <= now:
            self._end()
        else:
            self._watch = asyncio.get_running_loop().call_later(due - now, self._watch_sends, limit)

    def _shut_down(self) -> None:
        self._shuts_down = True
        self._end()

    def _end(self, _: object = None) -> None:
        """Let the time limit be over now, if it is not over yet."""
        if self._limit is not None and not self._limit.expired():
            self._limit.reschedule(0)


async def _ended(sending: asyncio.Task[None]) -> None:
    """Cancel a task and wait until it has ended; raise its error, if it has one.

    It may take its time. If that is too long for a server, which then cancels the request once more, so is it.
    """
    cancelled: asyncio.CancelledError | None = None
    sending.cancel()
    while not sending.done():
        try:
            await asyncio.wait([sending])
        except asyncio.CancelledError as error:
            cancelled = error
            sending.cancel()
    if not sending.cancelled():
        sending.result()
    if cancelled is not None:
        raise cancelled
