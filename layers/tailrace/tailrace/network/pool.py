"""A pool of httpcore's connections: a request takes as long beside a thousand open streams as beside none.

httpcore's own pool looks at all its connections whenever a request begins or ends. Beside 500 streams that was most of
what the gateway did for a task. And while more are open than are to be kept idle, it keeps none.
"""

from __future__ import annotations

import itertools
from collections import defaultdict, deque
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager

import httpcore

Connect = Callable[[httpcore.Origin], httpcore.AsyncConnectionInterface]


class ConnectionPool(AbstractAsyncContextManager["ConnectionPool"]):
    """Sends each request on an idle connection to its origin, or on a new one, which `connect` makes.

    It has as many connections as there are requests at once, and keeps `most_idle` to each origin for the next ones.
    """

    def __init__(self, connect: Connect, most_idle: int) -> None:
        self._connect = connect
        self._most_idle = most_idle
        # By origin; the one that became idle last is at the end.
        self._idle: defaultdict[str, deque[httpcore.AsyncConnectionInterface]] = defaultdict(deque)
        self._busy: set[httpcore.AsyncConnectionInterface] = set()

    async def handle_async_request(self, request: httpcore.Request) -> httpcore.Response:
        """The response, its body not read yet. The connection serves no other request until that is closed.

        Raises: what httpcore's connections raise.
            UnsupportedProtocol: the URL is not one of HTTP.
        """
        if request.url.scheme not in (b"http", b"https"):
            raise httpcore.UnsupportedProtocol(f"{request.url.scheme.decode()}:// is neither http:// nor https://")
        origin = str(request.url.origin)
        connection = await self._taken(origin) or self._connect(request.url.origin)
        self._busy.add(connection)

        async def release() -> None:
            await self._release(origin, connection)

        try:
            response = await connection.handle_async_request(request)
        except BaseException:
            await release()
            raise
        assert isinstance(response.stream, AsyncIterable)
        body = _Body(response.stream, release)
        return httpcore.Response(
            response.status, headers=response.headers, content=body, extensions=response.extensions
        )

    async def aclose(self) -> None:
        """Close all connections, also those whose responses are read."""
        connections = [*itertools.chain.from_iterable(self._idle.values()), *self._busy]
        self._idle.clear()
        self._busy.clear()
        for connection in connections:
            await connection.aclose()

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def _taken(self, origin: str) -> httpcore.AsyncConnectionInterface | None:
        """An idle connection to the origin that still stands, taken out of the pool; None if there is none."""
        connections = self._idle[origin]
        # Those that have been idle too long are the first ones. After a burst nobody else would come to them.
        while connections and connections[0].has_expired():
            await connections.popleft().aclose()
        while connections:
            connection = connections.pop()
            if connection.is_available() and not connection.has_expired():
                return connection
            await connection.aclose()
        if self._idle.get(origin) is connections:  # another request may have come so far while this one closed some
            del self._idle[origin]
        return None

    async def _release(self, origin: str, connection: httpcore.AsyncConnectionInterface) -> None:
        """Keep the connection of a request that has ended, if it can serve another one, and close it otherwise.

        If the pool was closed meanwhile it is not kept: while it was being made, it could not be closed.
        """
        pooled = connection in self._busy
        self._busy.discard(connection)
        if pooled and connection.is_available() and len(self._idle[origin]) < self._most_idle:
            self._idle[origin].append(connection)
        else:
            await connection.aclose()


class _Body:
    """A response's body, which releases its connection when it is closed."""

    def __init__(self, stream: AsyncIterable[bytes], release: Callable[[], Awaitable[None]]) -> None:
        self._stream = stream
        self._release = release
        self._closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for piece in self._stream:
                yield piece
        except BaseException:
            await self.aclose()
            raise

    async def aclose(self) -> None:
        if self._closed:
            return
        self._closed = True
        try:
            if (close := getattr(self._stream, "aclose", None)) is not None:
                await close()
        finally:
            await self._release()
