"""One notification: a POST to a checked address, answered by 2xx or not delivered (specification, section 4.3.3)."""

from __future__ import annotations

import ssl
from functools import cache
from types import TracebackType
from urllib.parse import urlsplit

import httpx

from tailrace.errors import AgentError
from tailrace.network import addresses
from tailrace.network.resolver import Resolver
from tailrace.push.webhook import Webhook

# "recommended: 10-30 seconds"
_TIMEOUT_S = 10.0
_PORTS = {"https": 443, "http": 80}


class Sender:
    """Notifications to one webhook, over connections of its own: they are told apart by address, not by name."""

    def __init__(self, hook: Webhook, resolver: Resolver, *, internal: bool) -> None:
        self._resolver = resolver
        self._internal = internal
        self._parts = urlsplit(hook.url)
        self._host = self._parts.hostname or ""
        self._port = self._parts.port or _PORTS[self._parts.scheme]
        kind = "application/a2a+json" if hook.version == "1.0" else "application/json"
        about = {"Content-Type": kind, "A2A-Version": hook.version, "Host": self._parts.netloc}
        self._headers = {**about, **hook.headers}
        # No proxy of the environment's: it would resolve the name anew. No redirects: they would lead elsewhere.
        self._http = httpx.AsyncClient(
            timeout=_TIMEOUT_S, verify=_ssl_context(), trust_env=False, follow_redirects=False
        )

    async def __aenter__(self) -> Sender:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    @property
    def place(self) -> str:
        """Where it goes, as far as it may be logged: paths and queries hold secrets."""
        return self._parts.hostname or ""

    async def send(self, body: bytes) -> None:
        """Deliver one notification.

        Raises:
            AgentError: it was not acknowledged. It may have been delivered all the same.
        """
        address = await addresses.resolve(self._host, self._port, self._resolver, internal=self._internal)
        shown = f"[{address}]" if address.version == 6 else str(address)
        url = httpx.URL(self._parts._replace(netloc=f"{shown}:{self._port}", fragment="").geturl())
        try:
            async with self._http.stream(
                # The certificate is checked against the name.
                "POST",
                url,
                content=body,
                headers=self._headers,
                extensions={"sni_hostname": self._host},
            ) as response:
                status = response.status_code  # what else it says is not read
        except httpx.HTTPError as error:
            what = str(error).rstrip(".") or type(error).__name__
            raise AgentError(f"{self.place} could not be reached: {what}.") from None
        if not 200 <= status < 300:
            raise AgentError(f"{self.place} answered {status}.")


@cache
def _ssl_context() -> ssl.SSLContext:
    """The certificates to trust; reading them takes longer than everything else here."""
    return httpx.create_ssl_context(trust_env=False)
