"""By which address a browser has asked: the gateway's own origin, as its viewers see it."""

from __future__ import annotations

from starlette.requests import Request


def own_origin(request: Request, host_header: str) -> str:
    """The origin, in lower case. `host_header` is the header that has the viewer's host: a proxy may change `Host`."""
    host = request.headers.get(host_header) or request.headers.get("host", "")
    return f"{request.url.scheme}://{host}".lower()
