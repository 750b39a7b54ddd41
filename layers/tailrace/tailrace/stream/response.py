"""The HTTP response of every stream: sse-starlette's, with our bytes in it.

sse-starlette watches three things while chunks are sent: a reader that has gone, a `send` that hangs, and a server
that shuts down. Its event objects and its pings stay unused: an object for each event costs more than the bytes, and
our heartbeat is sent only in a silence. For the second we have one timer a response: sse-starlette's scope around each
`send` costs more than the `send`.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, Mapping
from weakref import WeakKeyDictionary

import anyio
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


_watches: WeakKeyDictionary[asyncio.AbstractEventLoop, sse_starlette._ShutdownState] = WeakKeyDictionary()


def _watch_in_this_loop() -> None:
    """Let the running event loop have a watcher of its own.

    sse-starlette notes for each thread that its watcher runs. A loop that was left, and not closed, keeps that note,
    and the streams of the thread's next loop would never hear of a shutdown.
    """
    watch = _watches.setdefault(asyncio.get_running_loop(), sse_starlette._ShutdownState())  # noqa: SLF001
    sse_starlette._thread_state.shutdown_state = watch  # noqa: SLF001


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
        self._shutdown = anyio.Event()
        # When the `send` that is under way began, by the event loop's clock.
        self._sending_since = math.inf
        self._watch: asyncio.TimerHandle | None = None
        super().__init__(
            chunks,
            headers={**sse.HEADERS, **(headers or {})},
            ping=0,
            shutdown_event=self._shutdown,
        )
        # HTTP/2 forbids it (RFC 9113, section 8.2.2), and HTTP/1.1 keeps connections alive without it.
        del self.headers["connection"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        _watch_in_this_loop()
        try:
            async with asyncio.timeout(self._limit_s) as limit:
                self._watch_sends(limit)
                await super().__call__(scope, receive, send)
                if self._shutdown.is_set() and self.active:
                    # The chunks were cancelled while they waited, or in a `send`: it sends all of a chunk or nothing.
                    async with asyncio.timeout(_LAST_SEND_TIMEOUT_S):
                        await send({"type": "http.response.body", "body": sse.COME_BACK, "more_body": False})
        except TimeoutError:
            return
        finally:
            if self._watch is not None:
                self._watch.cancel()
            # A reader that left in the middle of a chunk has left the generator there.
            await self._chunks.aclose()

    async def _send_with_timeout(self, send: Send, message: Message) -> None:
        self._sending_since = asyncio.get_running_loop().time()
        try:
            await send(message)
        finally:  # one that was cancelled hangs no longer, and what is closed then may take its time
            self._sending_since = math.inf

    def _watch_sends(self, limit: asyncio.Timeout) -> None:
        """End the response if a `send` hangs; otherwise look again when this one would, or the next."""
        loop = asyncio.get_running_loop()
        due = min(self._sending_since, loop.time()) + _SEND_TIMEOUT_S
        if due <= loop.time():
            limit.reschedule(due)
        else:
            self._watch = loop.call_at(due, self._watch_sends, limit)
