"""The server to play against: a gateway or an agent, and where and in what an agent speaks."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import httpx

from tailrace.conformance.interfaces import VIAS, Interface, card_url
from tailrace.conformance.wire import UNREADABLE

_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_RPC_VIAS, _REST_VIAS = ("subscribe", "send"), ("rest", "rest-send")


@dataclass(frozen=True)
class Target:
    """The URLs of a server, the headers that identify the user, and the `others` that identify another user.

    `rpc` and `rest` are where the agent speaks JSON-RPC and HTTP+JSON, by default at its own URL. `vias` are the
    interfaces that it has. With a `text` every task is begun with it, as the agent does not know the vocabulary.
    """

    browser: str | None = None
    agent: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    others: dict[str, str] | None = None
    rpc: str | None = None
    rest: str | None = None
    vias: tuple[str, ...] = VIAS
    text: str | None = None

    def url(self, via: str) -> str | None:
        """The URL of an interface; None if the server has none."""
        if via not in self.vias:
            return None
        if via == "browser" or self.agent is None:
            return self.browser if via == "browser" else None
        return (self.rest or self.agent) if via in ("rest", "rest-send") else self.agent

    def interface(self, via: str, headers: dict[str, str]) -> Interface:
        """The interface, as the user whom the headers identify."""
        url = self.url(via)
        assert url is not None, f"there is no URL for {via}"
        return Interface(via, url, headers, rpc=self.rpc or f"{(self.agent or '').rstrip('/')}/")


class NoServer(Exception):
    """There is nothing to play against. The text says what was there instead."""


def located(url: str, target: Target) -> Target:
    """Add `url` to the target: as an agent if it serves a card, else as a gateway.

    Raises:
        NoServer: it is neither, or cannot be reached.
    """
    try:
        if _is_gateway(url, target.headers):
            return replace(target, browser=url)
        answer = httpx.get(card_url(url), headers=target.headers)
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
        raise NoServer(f"{url} cannot be reached: {error}") from None
    try:
        card = answer.json() if answer.is_success else None
    except UNREADABLE:
        card = None
    if not isinstance(card, dict):
        raise NoServer(
            f"{url} is no gateway (GET /api/auth/me) and has no agent card: it answers {answer.status_code}."
        )
    return as_agent(url, card, target)


def as_agent(url: str, card: dict[str, Any], target: Target) -> Target:
    """Add the agent with this card, which was at `url`, to the target.

    Raises:
        NoServer: it does not speak JSON-RPC of A2A 1.0, or says so of another origin.
    """
    listed = card.get("supportedInterfaces")
    interfaces = [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
    rpc = _place(interfaces, "JSONRPC", "1.")
    rest = _place(interfaces, "HTTP+JSON", "1.")
    if rpc is None:
        raise NoServer(f"The card at {url} has no JSONRPC interface of A2A 1.0; there are {str(interfaces)[:300]}.")
    for place in filter(None, (rpc, rest)):
        try:
            same = _origin(place) == _origin(url)
        except (httpx.InvalidURL, UnicodeError) as error:
            raise NoServer(f"The card at {url} leads to {place[:300]!r}, which is no URL: {error}") from None
        if not same:
            raise NoServer(f"The card at {url} leads to {place[:300]!r}, which is on another origin.")
    speaks_0_3 = _place(interfaces, "JSONRPC", "0.3") is not None or str(card.get("protocolVersion")).startswith("0.3")
    vias = (*_RPC_VIAS, *(_REST_VIAS if rest else ()), *(("0.3",) if speaks_0_3 else ()))
    return replace(target, agent=url, rpc=rpc, rest=rest, vias=(*vias, "browser"))


def _is_gateway(url: str, headers: dict[str, str]) -> bool:
    """Whether it answers as a gateway does to the question who asks (docs/PROTOCOL.md, section 6.1)."""
    if card_url(url) == url:
        return False
    answer = httpx.get(f"{url.rstrip('/')}/api/auth/me", headers=headers)
    kind = answer.headers.get("content-type", "").partition(";")[0]
    return (answer.status_code, kind) in ((200, "application/json"), (401, "application/problem+json"))


def _place(interfaces: list[dict[str, Any]], binding: str, version: str) -> str | None:
    fitting = (
        each
        for each in interfaces
        if each.get("protocolBinding") == binding and str(each.get("protocolVersion", "")).startswith(version)
    )
    return next((str(each["url"]) for each in fitting if each.get("url")), None)


def _origin(url: str) -> tuple[str, str, int | None]:
    parsed = httpx.URL(url)
    return parsed.scheme, "localhost" if parsed.host in _LOOPBACK else parsed.host, parsed.port
