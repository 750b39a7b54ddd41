"""What keeps other sites' pages from changing something here by the browser of somebody who may.

A browser sends a cross-site request with the user's cookies as long as the request is of a simple kind (Fetch
standard, "CORS-safelisted request-header"); for any other it asks first, and this gateway allows nobody. So:

1. A POST has the content type `application/json`, which is not of that kind. Nor is a PUT, whatever its type.
2. A request with a cookie comes from this gateway's own page: its `Origin` is exactly the gateway's. To the browser a
   page of a sibling domain is the same site, and `SameSite` cookies go with its requests.

It is in front of all routes, so that a new one cannot be without it.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.problems import respond
from tailrace.errors import shorten

_READS = ("GET", "HEAD", "OPTIONS")
_JSON = "application/json"
# Where CloudFront, which has to change `Host`, tells which one the viewer asked for. Viewers cannot set it: the
# distribution's function always does (template.yaml).
VIEWER_HOST = "x-tailrace-host"


class Guard:
    """Refuses changes that could come from another site's page. `host_header` has the host that viewers see."""

    def __init__(self, app: ASGIApp, *, host_header: str = "host") -> None:
        self._app = app
        self._host_header = host_header

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        changes = scope["type"] == "http" and scope["method"] not in _READS
        refusal = self._refusal(Request(scope)) if changes else None
        await (refusal or self._app)(scope, receive, send)

    def _refusal(self, request: Request) -> Response | None:
        """The answer to a request that may not go on; None if it may."""
        headers = request.headers
        kind = headers.get("content-type", "")
        if request.method == "POST" and kind.partition(";")[0].strip().lower() != _JSON:
            right = f"must be {_JSON}, also where there is no body"
            return respond(415, f"Content-Type has value {shorten(kind)!r}, but {right}.")
        if "cookie" not in headers:
            return None
        origin, right = headers.get("origin", ""), self._origin(request)
        if origin != right:
            return respond(403, f"Origin has value {shorten(origin)!r}, but must be {right!r} where a cookie is sent.")
        return None

    def _origin(self, request: Request) -> str:
        host = request.headers.get(self._host_header) or request.headers.get("host", "")
        return f"{request.url.scheme}://{host}".lower()
