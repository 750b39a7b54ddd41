"""What is told of each request before its process may freeze: what it used of DynamoDB, and its spans."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from tailrace.aws import on_lambda
from tailrace.stores.units import logged_units
from tailrace.tracing.setup import flush


class Metering:
    """ASGI middleware. All readers of a task share a tail: what it reads is counted for the one that came first."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        with logged_units():
            await self._app(scope, receive, send)
        if on_lambda():
            await flush()
