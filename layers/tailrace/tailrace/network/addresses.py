"""Where a webhook may be: nowhere inside (specification, section 13.2; OWASP, "Server-Side Request Forgery").

A name is resolved once, every address it has is checked, and the connection goes to a checked address: what the name
leads to a moment later changes nothing (DNS rebinding). Redirects are not followed at all.
"""

from __future__ import annotations

import ipaddress
import socket

from tailrace.errors import AgentError, RequestError, shorten
from tailrace.network.resolver import Address, Resolver

# What is not for everybody on the Internet (IANA, "IPv4 Special-Purpose Address Registry"), and multicast. Listed here,
# because what `ipaddress` takes for global is another in every version of Python.
_SPECIAL_V4 = [
    ipaddress.IPv4Network(each)
    for each in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
        "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
        "224.0.0.0/3",
    )
]  # fmt: skip
# Of IPv6 only this is given to networks; in it are documentation, and tunnels to IPv4 that nobody needs any more.
_GIVEN_V6 = ipaddress.IPv6Network("2000::/3")
_SPECIAL_V6 = [ipaddress.IPv6Network(each) for each in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")]
# How a network without IPv4 reaches an IPv4 address (RFC 6052).
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class Inside(AgentError):
    """A host leads to an address that is not one of the Internet's."""


def is_outside(address: Address) -> bool:
    """Whether an address is one of the Internet's: not loopback, private, link-local (which the metadata services of
    clouds are), shared, reserved or multicast, also not by way of an IPv6 address that leads to such an IPv4 one.
    """
    if isinstance(address, ipaddress.IPv4Address):
        return not any(address in network for network in _SPECIAL_V4)
    if address.ipv4_mapped is not None or address in _NAT64:
        return is_outside(ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF))
    return address in _GIVEN_V6 and not any(address in network for network in _SPECIAL_V6)


def refuse_literal(host: str) -> None:
    """Refuse a host that is inside by its spelling. A name passes: it is looked at when it is resolved.

    Raises:
        RequestError: it is an address inside, or `localhost`.
    """
    if is_inside(host):
        raise RequestError(f"url leads to {shorten(host)!r}, which is no address of the Internet.")


def is_inside(host: str) -> bool:
    """Whether a host is inside by its spelling: `localhost`, or an address that is not one of the Internet's."""
    address = _literal(host)
    if address is None:
        return host == "localhost" or host.endswith((".localhost", ".internal"))
    return not is_outside(address)


async def resolve(host: str, port: int, resolver: Resolver, *, internal: bool) -> Address:
    """An address of `host` that may be connected to.

    Raises:
        AgentError: there is none, or none in time.
        Inside: one of them is inside while `internal` is not allowed.
    """
    literal = _literal(host)
    addresses = [literal] if literal is not None else await resolver.addresses(host, port)
    if not internal:
        for address in addresses:
            if not is_outside(address):
                raise Inside(f"{shorten(host)!r} leads to {address}, which is no address of the Internet.")
    # IPv4 first: functions in a VPC often have no way out over IPv6.
    return min(addresses, key=lambda address: address.version)


def _literal(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        pass
    try:  # 127.1, 0x7f000001, 2130706433: what the C library takes for an address
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except OSError:
        return None
