"""What each request has used of DynamoDB, as a line of the log."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from tailrace.stores.units import logged_units


class Metering:
    """ASGI middleware. All readers of a task share a tail: what it reads is counted for the one that came first."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        with logged_units():
            return await self._app(scope, receive, send)
