"""A gate at which the process of a function waits until the test opens it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from types import TracebackType


class Gate:
    """The function connects to `port`, sends a line, and waits for a byte."""

    async def __aenter__(self) -> Gate:
        self._arrivals: asyncio.Queue[tuple[str, asyncio.StreamWriter]] = asyncio.Queue()
        self._server = await asyncio.start_server(self._arrived, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        self._waiting: list[tuple[str, asyncio.StreamWriter]] = []
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        while not self._arrivals.empty():
            self._waiting.append(self._arrivals.get_nowait())
        for _, writer in self._waiting:
            writer.transport.abort()

    async def arrival(self, seconds: float = 60) -> str:
        """Return the line of the next arrival, which stays at the gate."""
        async with asyncio.timeout(seconds):
            line, writer = await self._arrivals.get()
        self._waiting.append((line, writer))
        return line

    async def let_pass(self, seconds: float = 60) -> str:
        """Let the next arrival continue; return its line."""
        line = await self.arrival(seconds)
        self.open()
        return line

    @contextlib.asynccontextmanager
    async def passing(self) -> AsyncIterator[None]:
        """Let the first arrival within the block continue."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.let_pass())
            yield

    def open(self, only: str | None = None) -> None:
        """Let all arrivals continue, or only those that sent the line `only`."""
        for line, writer in self._waiting:
            if only in (None, line) and not writer.is_closing():
                writer.write(b".")

    async def _arrived(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._arrivals.put_nowait(((await reader.readline()).decode().strip(), writer))
