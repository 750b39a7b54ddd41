"""How requests to other agents are connected: one that leads outside never reaches an address inside.

The name is resolved once, every address that it has is checked, and the connection goes to a checked one: what the
name leads to a moment later changes nothing (DNS rebinding). A proxy of the environment's would resolve the name by
itself, so none is used.
"""

from __future__ import annotations

import httpx

from tailrace.errors import AgentError
from tailrace.network import addresses
from tailrace.network.resolver import Resolver

# The request's extension that says: to an address of the Internet, or not at all.
OUTSIDE = "tailrace.outside"
_PORTS = {"https": 443, "http": 80}
_LIMITS = httpx.Limits(max_connections=None, max_keepalive_connections=64)


class Transport(httpx.AsyncBaseTransport):
    """Requests with the extension `OUTSIDE` go to addresses of the Internet only, all others wherever they lead.

    Raises:
        AgentError: a host could not be resolved, or is inside.
    """

    def __init__(self) -> None:
        self._certificates = httpx.create_ssl_context()
        self._anywhere = self._new()
        # One for each host, because a connection that is reused is known by its address, and its certificate by the
        # host. The operator has named the hosts, so they are few.
        self._outside: dict[str, httpx.AsyncHTTPTransport] = {}
        self._resolver = Resolver()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if not request.extensions.get(OUTSIDE):
            return await self._anywhere.handle_async_request(request)
        host = request.url.host
        port = request.url.port or _PORTS.get(request.url.scheme, 443)
        try:
            address = await addresses.resolve(host, port, self._resolver, internal=False)
        except addresses.Inside as error:
            raise AgentError(f"{error} TAILRACE_PEER_ORIGINS can allow its origin.") from None
        extensions = dict(request.extensions)
        if str(address) != host:
            # The certificate is checked against the name.
            extensions["sni_hostname"] = host
        pinned = httpx.Request(
            request.method,
            request.url.copy_with(host=str(address)),
            headers=request.headers,  # with the name as Host
            stream=request.stream,
            extensions=extensions,
        )
        if host not in self._outside:
            self._outside[host] = self._new()
        return await self._outside[host].handle_async_request(pinned)

    async def aclose(self) -> None:
        for transport in (self._anywhere, *self._outside.values()):
            await transport.aclose()

    def _new(self) -> httpx.AsyncHTTPTransport:
        return httpx.AsyncHTTPTransport(verify=self._certificates, limits=_LIMITS)
