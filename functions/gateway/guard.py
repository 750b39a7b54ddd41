"""Protection against cross-site request forgery: another site's page may not change anything here.

A browser sends a cross-site request with the user's cookies if the request is simple (Fetch standard, "CORS-safelisted
request-header"). Before any other cross-site request it asks the server, and this gateway allows none. So:

1. A POST must have the content type `application/json`, which is not simple. A PUT, PATCH or DELETE never is.
2. A request with a cookie must come from this gateway's own page: its `Origin` must be exactly the gateway's. For the
   browser a page of a sibling domain is the same site, and `SameSite` cookies go with its requests.

The guard stands in front of all routes, so that no new route can be without it.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.problems import respond
from tailrace.errors import shorten

_READS = ("GET", "HEAD", "OPTIONS")
_JSON = "application/json"
# CloudFront has to change `Host`, and puts the viewer's host here. Viewers cannot set it: the distribution's function
# always does (template.yaml).
VIEWER_HOST = "x-tailrace-host"


class Guard:
    """ASGI middleware that refuses what another site's page could send. `host_header` has the host that viewers see."""

    def __init__(self, app: ASGIApp, *, host_header: str = "host") -> None:
        self._app = app
        self._host_header = host_header

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        changes = scope["type"] == "http" and scope["method"] not in _READS
        refusal = self._refusal(Request(scope)) if changes else None
        await (refusal or self._app)(scope, receive, send)

    def _refusal(self, request: Request) -> Response | None:
        """Return the response to a refused request; None if the request may pass."""
        headers = request.headers
        media_type = headers.get("content-type", "")
        if request.method == "POST" and media_type.partition(";")[0].strip().lower() != _JSON:
            remedy = f"must be {_JSON}, even without a body"
            return respond(415, f"Content-Type has value {shorten(media_type)!r}, but {remedy}.")
        if "cookie" not in headers:
            return None
        origin, own_origin = headers.get("origin", ""), self._own_origin(request)
        if origin != own_origin:
            detail = f"Origin has value {shorten(origin)!r}, but must be {own_origin!r} if a cookie is sent."
            return respond(403, detail)
        return None

    def _own_origin(self, request: Request) -> str:
        host = request.headers.get(self._host_header) or request.headers.get("host", "")
        return f"{request.url.scheme}://{host}".lower()
