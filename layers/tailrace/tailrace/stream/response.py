"""The HTTP response of every stream: chunks as they come, for a limited time, whatever the reader does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from tailrace.stream import sse


class EventStreamResponse(StreamingResponse):
    """An SSE response that is over after `limit_s` even if its reader takes a byte a second.

    The chunks are expected to end in time by themselves; the limit is for a `send` that hangs. Cut off
    like that, the stream has no end frame, so the reader comes back with its cursor.
    """

    def __init__(
        self, chunks: AsyncGenerator[bytes], *, limit_s: float, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(chunks, media_type=sse.MEDIA_TYPE, headers={**sse.HEADERS, **(headers or {})})
        self._chunks = chunks
        self._limit_s = limit_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with asyncio.timeout(self._limit_s):
                await super().__call__(scope, receive, send)
        except TimeoutError:
            return
        finally:
            # A reader that left in the middle of a chunk has left the generator there.
            await self._chunks.aclose()
