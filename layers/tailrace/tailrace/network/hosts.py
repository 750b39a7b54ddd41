"""By what names a process may be called (the `Host` of a request), and by whose pages (its `Origin`).

A web page whose name was made to point at this machine (DNS rebinding) reaches a port here as its own origin. Its
browser then names the page's host, which is not one of ours.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection

from starlette.requests import Request

_HOST = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:\d{1,5})?")
_ORIGIN = re.compile(rf"https?://(?P<place>{_HOST.pattern})")


def is_loopback(host: str) -> bool:
    """Whether `host`, an address or a name, is this machine's own, which nobody else can give a name of theirs."""
    if host.lower() == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def host_in(request: Request) -> str | None:
    """The name or the address by which a request calls this process, without its port; None if it is none.

    A request of HTTP/1.0 names nobody; then it is the address that it came to.
    """
    given = request.headers.get("host")
    if given is None:
        return str(request.scope["server"][0]) if request.scope.get("server") else None
    match = _HOST.fullmatch(given)
    return match["name"].strip("[]").lower() if match else None


def is_called_right(request: Request, hosts: Collection[str]) -> bool:
    """Whether a request calls this process by a name that is its own: one of `hosts` (in lower case).

    Loopback's own names are right as well where the request came to a loopback address. Where it came to another
    address and there are no `hosts`, any name is right: only who has set up that address knows its names.
    """
    host, server = host_in(request), request.scope.get("server")
    if host is None:
        return False
    if server and is_loopback(server[0]):
        return is_loopback(host) or host in hosts
    return not hosts or host in hosts


def is_from_another_origin(request: Request, hosts: Collection[str] = ()) -> bool:
    """Whether a web page sent this which is neither this process's own nor one of `hosts` (in lower case).

    Browsers name the page's origin with every request that is no GET; whoever is no browser names none.
    """
    origin = request.headers.get("origin")
    if origin is None:
        return False
    match = _ORIGIN.fullmatch(origin.lower())
    if match is None:
        return True
    return match["place"] != request.headers.get("host", "").lower() and match["name"].strip("[]") not in hosts
