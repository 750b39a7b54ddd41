"""Whose a request is: the one place where the gateway decides it."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

from starlette.requests import Request

from tailrace.owner import LOCAL_OWNER

DecideOwner = Callable[[Request], str | None]

_LOOPBACK = ("127.0.0.1", "::1", "localhost")


def local_owner(request: Request) -> str | None:
    """The owner on a laptop, where whoever reaches loopback is the one user. None for anybody else.

    A web page from elsewhere reaches loopback too, through the user's own browser. It gives itself away:
    by its `Origin`, or, when its name was made to point here (DNS rebinding), by the `Host` it asks for.
    """
    client, origin = request.client, request.headers.get("origin")
    if client is None or client.host not in _LOOPBACK or request.url.hostname not in _LOOPBACK:
        return None
    if origin is not None and urlsplit(origin).netloc != request.url.netloc:
        return None
    return LOCAL_OWNER
