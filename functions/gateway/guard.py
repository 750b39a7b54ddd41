"""Protection against cross-site request forgery: another site's page may not change anything here.

A browser sends a cross-site request with the user's cookies if the request is simple (Fetch standard, "CORS-safelisted
request-header"). Before any other cross-site request it asks the server, and this gateway allows none. So:

1. A POST or PATCH must have the content type `application/json`, which is not simple. A PUT or DELETE never is.
2. A request with a cookie, or with an `Origin`, must come from this gateway's own page: its `Origin` must be exactly
   the gateway's. For the browser a page of a sibling domain is the same site, and `SameSite` cookies go with its
   requests.
3. Only the gateway's own pages open streams: another site's could not read one, but would take its place. A browser
   says in `Sec-Fetch-Site` where a request comes from (W3C, "Fetch Metadata Request Headers").
4. Pages of the origins that the operator allows (`TAILRACE_CORS_ORIGINS`) may ask the agents, without a cookie. Which
   bodies an agent takes it checks itself: there are more kinds of JSON in A2A, and requests without a body.

The guard stands in front of all routes, so that no new route can be without it.
"""

from __future__ import annotations

from collections.abc import Collection

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.callers import READS
from gateway.origin import own_origin
from gateway.problems import respond
from tailrace.errors import shorten

_JSON = "application/json"
_STREAM, _CHAT, _AGENTS = "/api/stream/", "/api/chat/", "/agents/"
# The gateway's own page, or a person who has entered the address.
_OWN_SITES = ("same-origin", "none")


class Guard:
    """ASGI middleware that refuses what another site's page could send. `host_header` has the host that viewers see."""

    def __init__(self, app: ASGIApp, *, host_header: str = "host", cors: Collection[str] = ()) -> None:
        self._app = app
        self._cors = cors
        self._host_header = host_header

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = self._refusal(Request(scope)) if scope["type"] == "http" else None
        await (refusal or self._app)(scope, receive, send)

    def _refusal(self, request: Request) -> Response | None:
        """Return the response to a refused request; None if the request may pass."""
        headers, to_agent = request.headers, request.url.path.startswith(_AGENTS)
        if to_agent and "\n" in request.scope["path"]:  # Starlette would take a part of it for another agent's name.
            return respond(404, f"No agent has the path {shorten(request.url.path)!r}.")
        if to_agent and "cookie" not in headers and headers.get("origin") in self._cors:
            return None
        if request.method in READS:
            return self._refusal_to_stream(request)
        media_type = headers.get("content-type", "")
        is_json = media_type.partition(";")[0].strip().lower() == _JSON
        if request.method in ("POST", "PATCH") and not is_json and not to_agent:
            remedy = f"must be {_JSON}, even without a body"
            return respond(415, f"Content-Type has value {shorten(media_type)!r}, but {remedy}.")
        if "cookie" not in headers and "origin" not in headers:
            return None
        origin, own = headers.get("origin", ""), own_origin(request, self._host_header)
        if origin != own:
            detail = f"Origin has value {shorten(origin)!r}, but must be {own!r}; without a cookie it may be left out."
            return respond(403, detail)
        return None

    def _refusal_to_stream(self, request: Request) -> Response | None:
        site = request.headers.get("sec-fetch-site", "none")
        if request.url.path.startswith((_STREAM, _CHAT, _AGENTS)) and site not in _OWN_SITES:
            return respond(403, f"Sec-Fetch-Site has value {shorten(site)!r}: only pages of this gateway open streams.")
        return None
