"""A process on loopback answers to its own names: a page that was rebound to it calls it by another."""

from __future__ import annotations

import pytest
from starlette.requests import Request

from tailrace.network.hosts import is_from_another_origin, names_own_host


def request(host: str | None, server: str | None) -> Request:
    headers = [] if host is None else [(b"host", host.encode("latin-1"))]
    return Request({"type": "http", "headers": headers, "server": server and (server, 8081)})


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8081", "localhost", "LOCALHOST:8081", "[::1]:8081", "localhost:9000", None]
)
@pytest.mark.parametrize("server", ["127.0.0.1", "::1", "::ffff:127.0.0.1", "127.0.0.2"])
def test_on_loopback_its_own_names_are_right(host: str | None, server: str) -> None:
    assert names_own_host(request(host, server), ())


ODD = ["evil.example", "evil.example:8081", "localhost.evil.example", "localhost.", "", "a@127.0.0.1", "127.0.0.1/x",
       "192.0.2.7:8081", "127.0.0.1:8081, evil.example", "[::1", "127.0.0.1:port", "\xff"]  # fmt: skip


@pytest.mark.parametrize("host", ODD)
def test_on_loopback_any_other_name_is_wrong(host: str) -> None:
    assert not names_own_host(request(host, "127.0.0.1"), ())


def test_names_that_are_set_are_right_too() -> None:
    for server in ("127.0.0.1", "192.0.2.7", None):
        assert names_own_host(request("Agents.example:443", server), {"agents.example"})
        assert not names_own_host(request("evil.example", server), {"agents.example"})
    assert names_own_host(request("localhost", "127.0.0.1"), {"agents.example"})
    assert not names_own_host(request("localhost", "192.0.2.7"), {"agents.example"})


def test_elsewhere_any_name_is_right_where_none_is_set() -> None:
    assert names_own_host(request("x.lambda-url.eu-central-1.on.aws", "x.lambda-url.eu-central-1.on.aws"), ())
    assert not names_own_host(request("a/b", "192.0.2.7"), ())


@pytest.mark.parametrize("origin", ["http://localhost:8081", "https://agents.example", None])
def test_a_page_of_our_own_may_ask(origin: str | None) -> None:
    assert not is_from_another_origin(asked("localhost:8081", origin), {"agents.example"})


@pytest.mark.parametrize(
    "origin",
    ["http://localhost:3000", "http://localhost", "http://evil.example", "null", "", "//", "http://[::1", "\xff"],
)
def test_a_page_of_another_origin_is_told_from_our_own(origin: str) -> None:
    assert is_from_another_origin(asked("localhost:8081", origin))


def asked(host: str, origin: str | None) -> Request:
    headers = [(b"host", host.encode())]
    if origin is not None:
        headers.append((b"origin", origin.encode("latin-1")))
    return Request({"type": "http", "headers": headers})
