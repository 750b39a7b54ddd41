"""The page and the API at one address, as CloudFront has them on AWS."""

from __future__ import annotations

from pathlib import Path

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.app import create_app
from gateway.owner import DecideOwner
from tailrace.config import Settings

FRONTEND = Path(__file__).parent.parent / "frontend"

# What CloudFront's response headers policy sends with the page.
PAGE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


class PageHeaders:
    """Adds `PAGE_HEADERS` to whatever the app answers."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(PAGE_HEADERS)
            await send(message)

        await self._app(scope, receive, send_with_headers)


def create_site(settings: Settings, decide_owner: DecideOwner) -> Starlette:
    """The gateway's app with the page beside it."""
    site = create_app(settings, decide_owner=decide_owner)
    site.router.routes.append(Mount("/", PageHeaders(StaticFiles(directory=FRONTEND, html=True))))
    return site
