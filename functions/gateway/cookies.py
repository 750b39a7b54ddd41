"""The two cookies of people who sign in.

`__Host-` makes the browser refuse such a cookie from a sibling domain, and over plain HTTP (RFC 6265bis, 4.1.3.2). On
loopback there is only plain HTTP, and cookies do not distinguish ports, so there the name has the port.

The session's is Strict: no other site's page can make a request with it. The login's has to come back from the issuer's
site, so it is Lax, and lives for ten minutes.
"""

from __future__ import annotations

from typing import Literal

from starlette.requests import Request
from starlette.responses import Response

_SESSION, _LOGIN = "tailrace", "tailrace-login"
# So much of a sign-in's `state` tells it from the others of the browser.
_STATE = 12


def session_cookie(request: Request) -> str:
    """The name of the session's cookie."""
    return _name(request, _SESSION)


def login_cookie(request: Request, state: str) -> str:
    """The name of the cookie of the sign-in with this `state`, which is under way."""
    return f"{_name(request, _LOGIN)}-{state[:_STATE]}"


def login_cookies(request: Request) -> list[str]:
    """The names of the cookies of all sign-ins that the browser has under way, in the order in which it sends them."""
    return [name for name in request.cookies if name.startswith(f"{_name(request, _LOGIN)}-")]


def set_cookie(
    request: Request, response: Response, name: str, value: str, *, lasts_s: int, same_site: Literal["strict", "lax"]
) -> None:
    """Set a cookie that no script can read; one that lasts 0 s is taken away."""
    response.set_cookie(
        name, value, max_age=lasts_s, path="/", secure=_is_secure(request), httponly=True, samesite=same_site
    )


def _name(request: Request, name: str) -> str:
    return f"__Host-{name}" if _is_secure(request) else f"{name}-{request.url.port or 80}"


def _is_secure(request: Request) -> bool:
    return request.url.scheme == "https"
