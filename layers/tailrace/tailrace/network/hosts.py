"""Which `Host` and which `Origin` a request may have.

A web page can make its own name resolve to this machine (DNS rebinding), and so reach a port here as its own origin.
The browser's `Host` is then the page's host, which is not one of ours.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection
from functools import lru_cache

from starlette.requests import Request

_HOST = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:\d{1,5})?")
_ORIGIN = re.compile(rf"https?://(?P<place>{_HOST.pattern})")


@lru_cache(maxsize=128)  # Each request asks several times, and mostly for the same few.
def is_loopback(host: str) -> bool:
    """Whether `host`, an address or a name, is this machine's loopback. Nobody else can own these names."""
    if host.lower() == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def host_in(request: Request) -> str | None:
    """The host that a request names, in lower case and without its port; None if it is malformed.

    A request of HTTP/1.0 may name no host. Then this is the address that the request came to.
    """
    header = request.headers.get("host")
    if header is None:
        return str(request.scope["server"][0]) if request.scope.get("server") else None
    match = _HOST.fullmatch(header)
    return match["name"].strip("[]").lower() if match else None


def names_own_host(request: Request, hosts: Collection[str]) -> bool:
    """Whether a request names a host of this process: one of `hosts` (in lower case).

    If the request came to a loopback address, loopback's names are allowed too. If it came to another address and
    `hosts` is empty, any name is allowed: this process cannot know the names of that address.
    """
    host, server = host_in(request), request.scope.get("server")
    if host is None:
        return False
    if server and is_loopback(server[0]):
        return is_loopback(host) or host in hosts
    return not hosts or host in hosts


def is_from_another_origin(request: Request, hosts: Collection[str] = ()) -> bool:
    """Whether a web page of another site sent this: one from neither this process nor one of `hosts` (in lower case).

    Browsers send the page's origin with every request except GET and HEAD. Other clients usually send none.
    """
    origin = request.headers.get("origin")
    if origin is None:
        return False
    match = _ORIGIN.fullmatch(origin.lower())
    if match is None:
        return True
    return match["place"] != request.headers.get("host", "").lower() and match["name"].strip("[]") not in hosts
