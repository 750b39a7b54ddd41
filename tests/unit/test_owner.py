"""Whose a request is on a laptop: the user's own, and nobody's who comes through the user's browser."""

from __future__ import annotations

import pytest
from starlette.requests import Request

from gateway.owner import local_owner


def request(client: str, host: str, origin: str | None = None) -> Request:
    headers = [(b"host", host.encode())] + ([(b"origin", origin.encode())] if origin is not None else [])
    return Request({"type": "http", "scheme": "http", "path": "/", "headers": headers, "client": (client, 5)})


@pytest.mark.parametrize(
    ("client", "host", "origin", "owner"),
    [
        ("127.0.0.1", "127.0.0.1:8080", None, "local"),
        ("::1", "[::1]:8080", None, "local"),
        ("127.0.0.1", "localhost:8080", "http://localhost:8080", "local"),
        ("192.168.1.5", "127.0.0.1:8080", None, None),
        ("127.0.0.1", "rebound.example:8080", None, None),
        ("127.0.0.1", "127.0.0.1:8080", "https://elsewhere.example", None),
        ("127.0.0.1", "127.0.0.1:8080", "http://127.0.0.1:9999", None),
        ("127.0.0.1", "127.0.0.1:8080", "null", None),
    ],
)
def test_only_the_user_of_this_machine_is_the_local_owner(
    client: str, host: str, origin: str | None, owner: str | None
) -> None:
    assert local_owner(request(client, host, origin)) == owner
