"""Requests of a client: its token goes to the server's own origin, and to nobody else."""

from __future__ import annotations

from collections.abc import Generator

import httpx

from tailrace.a2a.peer import body_of
from tailrace.a2a.received import MAX_BYTES
from tailrace.a2a.trust import origin_of
from tailrace.aws import FunctionUrlAuth
from tailrace.client.errors import client_errors
from tailrace.network.cookies import no_cookies

# For how long a stream may be silent, in seconds: three of the server's signs of life (docs/PROTOCOL.md, (4.3a)).
SILENCE_S = 45.0
# How long a stream may take to begin.
OPENING_S = 15.0
# Refusals that another try would get again (docs/PROTOCOL.md, (6.9c)).
FINAL = frozenset({400, 401, 403, 404, 405, 409, 410, 413, 415, 421, 422})
_CONNECT_S = 10.0


class Bearer(httpx.Auth):
    """Sends the bearer `token` to the origin of `url`, and nowhere else."""

    def __init__(self, url: str, token: str) -> None:
        self._origin = origin_of(httpx.URL(url))
        self._token = token

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        if origin_of(request.url) == self._origin:
            request.headers["Authorization"] = f"Bearer {self._token}"
        yield request


async def whole(response: httpx.Response, url: str) -> bytes:
    """The body of an answer that is no stream.

    Raises:
        ServerRefused: it is larger than a client takes.
    """
    with client_errors():
        return await body_of(response, MAX_BYTES, url)


def new_http(url: str, token: str) -> httpx.AsyncClient:
    """An HTTP client for the server at `url`. It keeps no cookies, and follows no redirect by itself.

    Without a token, requests to a Lambda Function URL are signed.
    """
    return httpx.AsyncClient(
        timeout=httpx.Timeout(_CONNECT_S, read=SILENCE_S, pool=None),
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=8),
        auth=Bearer(url, token) if token else FunctionUrlAuth(),
        cookies=no_cookies(),
        headers={"Accept-Encoding": "gzip"},
    )
