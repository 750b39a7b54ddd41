"""Sending one notification: a POST to a checked address (specification, section 4.3.3). Any 2xx acknowledges it."""

from __future__ import annotations

import ssl
from functools import cache
from types import TracebackType
from urllib.parse import urlsplit

import httpx

from tailrace.errors import AgentError
from tailrace.network import addresses
from tailrace.network.cookies import no_cookies
from tailrace.network.resolver import Resolver
from tailrace.ports import DEFAULT_PORTS
from tailrace.push.webhook import Webhook
from tailrace.tracing.context import headers as trace_headers

# "recommended: 10-30 seconds" (section 4.3.3).
_TIMEOUT_S = 10.0


class Sender:
    """Sends notifications to one webhook, with the headers of the current trace.

    Each sender has its own connections, because httpx pools them by address and not by name.
    """

    def __init__(self, hook: Webhook, resolver: Resolver, *, internal: bool) -> None:
        self._resolver = resolver
        self._internal = internal
        self._parts = urlsplit(hook.url)
        self._host = self._parts.hostname or ""
        self._port = self._parts.port or DEFAULT_PORTS[self._parts.scheme]
        kind = "application/a2a+json" if hook.version == "1.0" else "application/json"
        own_headers = {"Content-Type": kind, "A2A-Version": hook.version, "Host": self._parts.netloc}
        self._headers = {**own_headers, **trace_headers(), **hook.headers}
        # No proxy: it would resolve the name again. No redirects: they could lead to an address inside.
        self._http = httpx.AsyncClient(
            timeout=_TIMEOUT_S, verify=ssl_context(), trust_env=False, follow_redirects=False, cookies=no_cookies()
        )

    async def __aenter__(self) -> Sender:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    @property
    def place(self) -> str:
        """The webhook's host, for errors and logs. Paths and queries may hold secrets."""
        return self._parts.hostname or ""

    async def send(self, body: bytes) -> None:
        """Deliver one notification.

        Raises:
            AgentError: the host cannot be resolved or reached, or its status is not 2xx. The notification may have
                arrived all the same.
        """
        address = await addresses.resolve(self._host, self._port, self._resolver, internal=self._internal)
        host = f"[{address}]" if address.version == 6 else str(address)
        url = httpx.URL(self._parts._replace(netloc=f"{host}:{self._port}", fragment="").geturl())
        try:
            async with self._http.stream(
                # The certificate is checked against the name.
                "POST",
                url,
                content=body,
                headers=self._headers,
                extensions={"sni_hostname": self._host},
            ) as response:
                status = response.status_code  # The body is not read.
        except httpx.HTTPError as error:
            reason = str(error).rstrip(".") or type(error).__name__
            raise AgentError(f"{self.place} could not be reached: {reason}.") from None
        if not 200 <= status < 300:
            raise AgentError(f"{self.place} answered {status}.")


@cache
def ssl_context() -> ssl.SSLContext:
    """The trusted certificates, read once: reading them takes longer than everything else here."""
    return httpx.create_ssl_context(trust_env=False)
