"""Whose a request is on a laptop: the user's own, and nobody's who comes through the user's browser."""

from __future__ import annotations

import pytest
from starlette.requests import Request

from gateway.owner import local_owner
from local.serve import app_of, owner_on
from tailrace.config import Settings
from tailrace.errors import ConfigError


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


def test_a_gateway_that_others_can_reach_needs_a_secret() -> None:
    assert owner_on("127.0.0.1", Settings()) is local_owner
    assert owner_on("::1", Settings()) is local_owner
    for host in ("0.0.0.0", "192.0.2.7", "::"):
        with pytest.raises(ConfigError, match=f"TAILRACE_ACCESS_SECRET.*{host}"):
            owner_on(host, Settings())
        assert owner_on(host, Settings(access_secret="correct horse battery")) is not local_owner
        with pytest.raises(ConfigError, match=host):
            app_of("orchestrator", host)
