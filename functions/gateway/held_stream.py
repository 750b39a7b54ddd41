"""A stream that holds something else as long as it lasts: its place, and a connection to an agent."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack

from starlette.types import Receive, Scope, Send

from tailrace.config import Settings
from tailrace.stream.response import EventStreamResponse


class HeldStream(EventStreamResponse):
    """Sends `chunks`, and closes what it holds when they end, also if nobody has read anything."""

    def __init__(
        self,
        chunks: AsyncGenerator[bytes],
        settings: Settings,
        holds: AsyncExitStack,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(chunks, settings, headers=headers)
        self._holds = holds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._holds:
            await super().__call__(scope, receive, send)
