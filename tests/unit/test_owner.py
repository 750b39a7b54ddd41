"""Whose a request is on a laptop: the user's own, and nobody's who comes through the user's browser."""

from __future__ import annotations

import pytest
from starlette.requests import Request

from gateway.owner import LocalUser, local_owner
from local.serve import app_of, owner_on
from tailrace.config import Settings
from tailrace.errors import ConfigError

SECRET = "correct-horse-battery-staple"


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
def test_only_who_is_on_this_machine_is_the_local_owner(
    client: str, host: str, origin: str | None, owner: str | None
) -> None:
    assert local_owner(request(client, host, origin)) == owner


@pytest.mark.parametrize("sent", [None, "Bearer ", "Bearer wrong", f"Basic {SECRET}", f"Bearer {SECRET}x"])
def test_who_is_on_this_machine_needs_the_secret_of_the_run(sent: str | None) -> None:
    """Other users of the machine reach loopback too."""
    user = owner_on("127.0.0.1", Settings(run_secret=SECRET))
    here = request("127.0.0.1", "127.0.0.1:8080")
    assert user(with_header(here, "authorization", f"Bearer {SECRET}")) == "local"
    assert user(here if sent is None else with_header(here, "authorization", sent)) is None
    assert owner_on("127.0.0.1", Settings())(with_header(here, "authorization", "Bearer ")) is None


def with_header(asked: Request, name: str, value: str) -> Request:
    return Request({**asked.scope, "headers": [*asked.scope["headers"], (name.encode(), value.encode())]})


def test_the_secret_counts_from_this_machine_only() -> None:
    user, bearer = LocalUser(SECRET, "", ""), f"Bearer {SECRET}"
    for elsewhere in (request("192.168.1.5", "127.0.0.1:8080"), request("127.0.0.1", "rebound.example:8080")):
        assert user(with_header(elsewhere, "authorization", bearer)) is None


def test_a_gateway_that_others_can_reach_needs_a_secret() -> None:
    assert isinstance(owner_on("127.0.0.1", Settings()), LocalUser)
    assert isinstance(owner_on("::1", Settings()), LocalUser)
    for host in ("0.0.0.0", "192.0.2.7", "::"):
        with pytest.raises(ConfigError, match=f"TAILRACE_ACCESS_SECRET.*{host}"):
            owner_on(host, Settings())
        assert not isinstance(owner_on(host, Settings(access_secret="correct horse battery")), LocalUser)
        with pytest.raises(ConfigError, match=host):
            app_of("orchestrator", host)
