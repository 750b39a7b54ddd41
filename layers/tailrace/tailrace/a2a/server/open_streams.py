"""How many streams one process of an agent has open."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any

from tailrace.a2a.errors import too_busy
from tailrace.a2a.server.stream import Streamed
from tailrace.a2a.types import Version
from tailrace.stream import sse


class OpenStreams:
    """Counts streams. A stream is refused when `most` are open."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._open = 0

    def enter(self) -> Callable[[], None]:
        """Count one more stream. Returns what has to be called when it has ended; calling it again does nothing.

        Raises:
            RpcError: -32603, all are in use.
        """
        if self._open >= self._most:
            raise too_busy(f"All {self._most} streams of this agent are in use")
        self._open += 1
        left = False

        def leave() -> None:
            nonlocal left
            if not left:
                left = True
                self._open -= 1

        return leave


class OpenStream:
    """A stream that counts as open until its chunks are closed, or `leave` is called."""

    def __init__(self, answer: Streamed, leave: Callable[[], None]) -> None:
        self._answer = answer
        self.leave = leave

    def chunks(self, framing: sse.Framing, version: Version) -> AsyncGenerator[bytes]:
        return _Counted(self._answer.chunks(framing, version), self.leave)


class _Counted(AsyncGenerator[bytes]):
    """The chunks of a stream; `leave` is called when they are closed, also if they were never begun."""

    def __init__(self, chunks: AsyncGenerator[bytes], leave: Callable[[], None]) -> None:
        self._chunks = chunks
        self._leave = leave

    def __anext__(self) -> Coroutine[Any, Any, bytes]:
        return self._chunks.__anext__()

    def asend(self, value: None) -> Coroutine[Any, Any, bytes]:
        return self._chunks.asend(value)

    def athrow(self, *error: Any) -> Coroutine[Any, Any, bytes]:
        return self._chunks.athrow(*error)

    async def aclose(self) -> None:
        try:
            await self._chunks.aclose()
        finally:
            self._leave()
