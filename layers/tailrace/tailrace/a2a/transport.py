"""How requests to other agents connect: a request to an outside agent never reaches an internal address.

The host name is resolved once, all its addresses are checked, and the connection goes to a checked address. So a name
that leads elsewhere a moment later does no harm (DNS rebinding). No proxy of the environment is used, because it would
resolve the name itself.

The first request imports httpcore and reads the certificates of the authorities: many processes never make one, and all
of them have to start.
"""

from __future__ import annotations

import os
from functools import cached_property
from typing import TYPE_CHECKING

import httpx

from tailrace.errors import AgentError
from tailrace.network import addresses
from tailrace.network.resolver import Resolver
from tailrace.ports import DEFAULT_PORTS

if TYPE_CHECKING:
    import ssl

    from tailrace.network.connections import HTTPTransport

# The httpx extension of a request that may go to public addresses only.
OUTSIDE = "tailrace.outside"


class Transport(httpx.AsyncBaseTransport):
    """Sends requests with the extension `OUTSIDE` to public addresses only, and all others to any address.

    Raises:
        AgentError: a host could not be resolved, or has an internal address; or the certificates cannot be read.
    """

    def __init__(self) -> None:
        # The one for any address has the key None, and each outside host has its own: a pool finds a connection by its
        # address, but the certificate is the host's. The operator names the hosts, so there are few.
        self._transports: dict[str | None, HTTPTransport] = {}
        self._resolver = Resolver()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if not request.extensions.get(OUTSIDE):
            return await self._to(None).handle_async_request(request)
        host = request.url.host
        port = request.url.port or DEFAULT_PORTS.get(request.url.scheme, 443)
        try:
            address = await addresses.resolve(host, port, self._resolver, internal=False)
        except addresses.Inside as error:
            raise AgentError(f"{error} TAILRACE_PEER_ORIGINS can allow its origin.") from None
        extensions = dict(request.extensions)
        if str(address) != host:
            # The certificate is checked against the host name.
            extensions["sni_hostname"] = host
        pinned = httpx.Request(
            request.method,
            request.url.copy_with(host=str(address)),
            headers=request.headers,  # `Host` is the host name
            stream=request.stream,
            extensions=extensions,
        )
        return await self._to(host).handle_async_request(pinned)

    async def aclose(self) -> None:
        for transport in self._transports.values():
            await transport.aclose()

    def _to(self, host: str | None) -> HTTPTransport:
        if host not in self._transports:
            from tailrace.network.connections import HTTPTransport

            self._transports[host] = HTTPTransport(self._certificates)
        return self._transports[host]

    @cached_property
    def _certificates(self) -> ssl.SSLContext:
        try:
            return httpx.create_ssl_context()
        except OSError as error:
            path = os.environ.get("SSL_CERT_FILE", "")
            raise AgentError(
                f"The certificates of the authorities cannot be read ({error}). SSL_CERT_FILE has value {path!r}, but "
                "must be empty or the path of a file of certificates (PEM)."
            ) from None
