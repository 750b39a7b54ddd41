"""Which addresses a webhook or a peer may have: only public ones (A2A specification, section 13.2; OWASP,
"Server-Side Request Forgery").

A name is resolved once, all its addresses are checked, and the connection goes to a checked address. So it does not
matter if the name resolves to another address a moment later (DNS rebinding). Redirects are not followed.

In this module "inside" means an address that is not public, or a name that stands for one.
"""

from __future__ import annotations

import ipaddress
import socket

from tailrace.errors import AgentError, RequestError, shorten
from tailrace.network.resolver import Address, Resolver

# Networks that are not public (IANA, "IPv4 Special-Purpose Address Registry"), and multicast. They are listed here
# because `ipaddress.is_global` differs between versions of Python.
_SPECIAL_V4 = [
    ipaddress.IPv4Network(each)
    for each in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
        "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
        "224.0.0.0/3",
    )
]  # fmt: skip
# The public range of IPv6, and the parts of it that are not public: documentation, and obsolete tunnels to IPv4.
_PUBLIC_V6 = ipaddress.IPv6Network("2000::/3")
_SPECIAL_V6 = [ipaddress.IPv6Network(each) for each in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")]
# IPv4 addresses as a network without IPv4 writes them (RFC 6052).
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class Inside(AgentError):
    """A host resolves to an address that is not public."""


def is_outside(address: Address) -> bool:
    """Whether an address is public: not loopback, private, link-local (where clouds have their metadata services),
    shared, reserved or multicast. An IPv6 address that stands for an IPv4 address counts as that one.
    """
    if isinstance(address, ipaddress.IPv4Address):
        return not any(address in network for network in _SPECIAL_V4)
    if address.ipv4_mapped is not None or address in _NAT64:
        return is_outside(ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF))
    return address in _PUBLIC_V6 and not any(address in network for network in _SPECIAL_V6)


def refuse_literal(host: str) -> None:
    """Refuse a host that `is_inside`. Any other name passes here and is checked when it is resolved.

    Raises:
        RequestError: it is an address that is not public, or a local name.
    """
    if is_inside(host):
        raise RequestError(f"url has the host {shorten(host)!r}, but must have a public one.")


def is_inside(host: str) -> bool:
    """Whether a host is inside. It is not resolved: `localhost`, names in `.localhost` and `.internal`, and addresses
    that are not public are inside.
    """
    address = _literal(host)
    if address is None:
        return host == "localhost" or host.endswith((".localhost", ".internal"))
    return not is_outside(address)


async def resolve(host: str, port: int, resolver: Resolver, *, internal: bool) -> Address:
    """Resolve `host` to an address that may be connected to. `internal` allows addresses that are not public.

    Raises:
        AgentError: the host has no address, or the lookup took too long.
        Inside: one of its addresses is not public, and `internal` is false.
    """
    literal = _literal(host)
    addresses = [literal] if literal is not None else await resolver.addresses(host, port)
    if not internal:
        for address in addresses:
            if not is_outside(address):
                raise Inside(f"{shorten(host)!r} resolves to {address}, which is not a public address.")
    # IPv4 first: functions in a VPC often have no route for IPv6.
    return min(addresses, key=lambda address: address.version)


def _literal(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        pass
    try:  # 127.1, 0x7f000001, 2130706433: the C library accepts these as addresses.
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except OSError:
        return None
