"""The page and the API at one address, as with CloudFront, and the parts of the page for this machine only."""

from __future__ import annotations

import os
from pathlib import Path

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deploy.content_types import content_type
from gateway.app import create_app
from gateway.owner import LocalUser
from local.faults import Faults
from local.way_in import WayIn
from tailrace.config import Settings
from tailrace.owner import DecideOwner

FRONTEND = Path(__file__).parent.parent / "frontend"
# The parts of the page for this machine only.
EXTRAS = Path(__file__).parent / "page"
# Ours come before the page's script, so that they are there when it draws its first view.
_PAGE_SCRIPT = '  <script type="module" src="app.js"></script>'
_EXTRAS = """\
  <link rel="stylesheet" href="local/faults.css">
  <script type="module" src="local/faults.js"></script>
"""

# As in the response headers policy of CloudFront (template.yaml). `Vary` is there too, from its compression.
PAGE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
    "Vary": "Accept-Encoding",
}


class PageHeaders:
    """Adds `PAGE_HEADERS` to all responses of an app. `uploads` is the origin of uploads, if it is another one."""

    def __init__(self, app: ASGIApp, *, uploads: str = "") -> None:
        self._app = app
        policy = PAGE_HEADERS["Content-Security-Policy"].replace("connect-src 'self'", f"connect-src 'self' {uploads}")
        self._headers = {**PAGE_HEADERS, "Content-Security-Policy": policy} if uploads else PAGE_HEADERS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(self._headers)
            await send(message)

        await self._app(scope, receive, send_with_headers)


class PageFiles(StaticFiles):
    """Files with the content types that they have on AWS."""

    def file_response(
        self, full_path: str | os.PathLike[str], stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        response = super().file_response(full_path, stat_result, scope, status_code)
        if isinstance(response, FileResponse):
            response.headers["content-type"] = content_type(Path(full_path))
        return response


def create_site(settings: Settings, decide_owner: DecideOwner) -> Starlette:
    """Return the gateway's app with the page; for this machine's user also with what lets the page break things."""
    site = create_app(settings, decide_owner=decide_owner)
    if isinstance(decide_owner, LocalUser):
        site.router.routes += [
            *Faults(settings, site.state.callers).routes,
            Route("/", FirstPage(WayIn(settings, site.state.callers)), methods=["GET"]),
            Mount("/local", _served(PageFiles(directory=EXTRAS))),
        ]
    site.router.routes.append(Mount("/", _served(PageFiles(directory=FRONTEND, html=True))))
    return site


def _served(app: ASGIApp) -> ASGIApp:
    """The app of a part of the page: compressed, as by CloudFront, and with the page's headers."""
    return PageHeaders(GZipMiddleware(app))


class FirstPage:
    """The page and its parts for this machine only, and the way in."""

    def __init__(self, way_in: WayIn) -> None:
        self._way_in = way_in
        self._page = _served(_index)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await (await self._way_in.answer(Request(scope)) or self._page)(scope, receive, send)


async def _index(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the page and its parts for this machine only."""
    page = (FRONTEND / "index.html").read_text()
    await HTMLResponse(page.replace(_PAGE_SCRIPT, _EXTRAS + _PAGE_SCRIPT, 1))(scope, receive, send)
