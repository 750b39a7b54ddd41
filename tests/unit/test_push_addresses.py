"""Where a webhook may be: nowhere inside (specification, section 13.2)."""

from __future__ import annotations

import ipaddress
import socket
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.errors import AgentError, RequestError
from tailrace.network import resolver
from tailrace.network.addresses import is_outside, resolve
from tailrace.network.resolver import Resolver
from tailrace.push.webhook import Webhook, check

INSIDE = [
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
    "192.168.0.0/16", "198.18.0.0/15", "224.0.0.0/4", "240.0.0.0/4",
]  # fmt: skip


def inside_v4() -> st.SearchStrategy[Any]:
    return st.sampled_from(INSIDE).flatmap(lambda net: st.ip_addresses(v=4, network=net))


@given(inside_v4())
def test_no_address_of_a_network_inside_is_outside_however_it_is_wrapped(address: ipaddress.IPv4Address) -> None:
    number = int(address)
    assert not is_outside(address)
    assert not is_outside(ipaddress.IPv6Address(f"::ffff:{address}"))
    assert not is_outside(ipaddress.IPv6Address(f"::{address}"))
    assert not is_outside(ipaddress.IPv6Address(f"64:ff9b::{address}"))
    assert not is_outside(ipaddress.IPv6Address(f"64:ff9b:1::{address}"))
    assert not is_outside(ipaddress.IPv6Address((0x2002 << 112) | (number << 80)))
    assert not is_outside(ipaddress.IPv6Address((0x20010000 << 96) | (number ^ 0xFFFFFFFF)))


@pytest.mark.parametrize(
    "address",
    ["::", "::1", "fe80::1", "fc00::1", "fd00:ec2::254", "fec0::1", "ff02::1", "2001:db8::1", "169.254.169.254"],
)
def test_no_address_of_a_machine_s_own_or_of_a_cloud_s_metadata_is_outside(address: str) -> None:
    assert not is_outside(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", ["1.1.1.1", "93.184.215.14", "2606:4700:4700::1111", "::ffff:1.1.1.1"])
def test_the_internet_is_outside(address: str) -> None:
    assert is_outside(ipaddress.ip_address(address))


def hook(url: str, **fields: str) -> Webhook:
    return Webhook(task_id="t", id="a", url=url, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST", "x.localhost", "127.0.0.1", "127.1", "0x7f.1", "2130706433", "0177.0.0.1", "[::1]",
     "[::ffff:10.0.0.1]", "10.1.2.3", "169.254.169.254", "metadata.google.internal", "0", "[fe80::1%25eth0]"],
)  # fmt: skip
def test_a_host_inside_is_refused_by_its_spelling(host: str) -> None:
    with pytest.raises(RequestError, match="must have a public one"):
        check(hook(f"https://{host}/hook"), internal=False)
    check(hook(f"http://{host}/hook"), internal=True)


@pytest.mark.parametrize(
    "url",
    ["", "hook", "/hook", "//example.com/", "https://", "https:///x", "http://example.com/", "ftp://example.com/",
     "file:///etc/passwd", "https://example.com:99999/", "https://[::1/", "https://exämple.com/", "https://a b/",
     "https://user:secret@example.com/", "https://example.com/\r\nX: y", "https://" + "e" * 3000],
)  # fmt: skip
def test_what_is_no_url_of_a_webhook_is_refused(url: str) -> None:
    with pytest.raises(RequestError, match="url"):
        check(hook(url), internal=False)


@pytest.mark.parametrize(
    "fields",
    [
        {"token": "a\r\nX: y"},
        {"credentials": "ä"},
        {"credentials": "x" * 5000},
        {"scheme": "Bearer x"},
        {"scheme": "\n"},
    ],
)
def test_what_cannot_be_a_header_is_refused(fields: dict[str, str]) -> None:
    with pytest.raises(RequestError, match=next(iter(fields))):
        check(hook("https://example.com/", **fields), internal=False)


@given(st.text())
def test_any_text_is_a_url_or_is_refused(url: str) -> None:
    try:
        check(hook(url), internal=False)
    except RequestError:
        return
    assert url.startswith("https://")


def answer(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    def getaddrinfo(*_: Any, **__: Any) -> list[Any]:
        return [(socket.AF_INET6 if ":" in a else socket.AF_INET, 1, 6, "", (a, 443)) for a in addresses]

    monkeypatch.setattr(resolver, "getaddrinfo", getaddrinfo)


async def test_a_name_is_refused_if_any_of_its_addresses_is_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, "93.184.215.14", "10.0.0.7")
    with pytest.raises(AgentError, match=r"10\.0\.0\.7"):
        await resolve("rebound.example", 443, Resolver(), internal=False)
    assert str(await resolve("rebound.example", 443, Resolver(), internal=True)) == "93.184.215.14"


async def test_a_name_that_leads_nowhere_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch)
    with pytest.raises(AgentError, match="has no address"):
        await resolve("nowhere.example", 443, Resolver(), internal=False)


async def test_ipv4_is_preferred(monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, "2606:4700:4700::1111", "1.1.1.1")
    assert str(await resolve("both.example", 443, Resolver(), internal=False)) == "1.1.1.1"
