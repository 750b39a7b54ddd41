"""Discovery: an agent's card, and the URL where it is called (specification, sections 4.4 and 8)."""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx

from tailrace.a2a.card import CARD_PATH
from tailrace.a2a.incoming import AgentCard, card_in
from tailrace.a2a.peer import MAX_CARD_BYTES, Peer, body_of, refusal_in
from tailrace.a2a.trust import check_interface
from tailrace.config import Settings
from tailrace.decoding import decode_json
from tailrace.errors import AgentError, JsonError

# How long a whole card may take. Our own agent may be a function whose container is still starting.
_CARD_S, _OWN_CARD_S = 20.0, 60.0


class DiscoveredAgent(NamedTuple):
    """An agent's card as we read it, and its JSON as it came. `url` is where the card was asked for."""

    url: str
    card: AgentCard
    card_json: dict[str, Any]


async def discover(http: httpx.AsyncClient, url: str, settings: Settings) -> DiscoveredAgent:
    """Fetch the card of the agent at `url`, which is the agent's base URL or the URL of the card itself.

    Raises:
        AgentError: the agent cannot be reached, or what comes is not an agent card.
    """
    card_url = url if urlsplit(url).path.endswith(".json") else f"{url.rstrip('/')}/{CARD_PATH}"
    peer = Peer(http, card_url, settings)
    limit_s = _OWN_CARD_S if peer.own else _CARD_S
    try:
        async with asyncio.timeout(limit_s), peer.ask("GET", {}) as response:
            body = await body_of(response, MAX_CARD_BYTES, card_url)
            if refusal := refusal_in(response, body, card_url, own=peer.own):
                raise refusal
            if response.status_code != 200:
                raise AgentError(f"{card_url} answered {response.status_code} instead of an agent card.")
    except TimeoutError:
        raise AgentError(f"{card_url} did not give its card within {limit_s:g} s.") from None
    try:
        card_json = decode_json(body, "It")
    except JsonError as error:
        raise AgentError(f"{card_url} is not an agent card: {error}") from None
    return DiscoveredAgent(url, card_in(card_json, card_url), card_json)


def interface_of(agent: DiscoveredAgent, settings: Settings) -> str:
    """The URL where the agent speaks JSON-RPC, in 1.0 if it does, else in 0.3.

    Raises:
        AgentError: the card names no such URL, or one on another origin than the card's.
    """
    url = _interface(agent.card)
    if url is None:
        name = agent.card.name
        raise AgentError(f"The agent {name!r} at {agent.url} offers no JSON-RPC interface of A2A 1.0 or 0.3.")
    check_interface(url, agent.url, settings)
    return url


def _interface(card: AgentCard) -> str | None:
    for interface in card.supported_interfaces:
        version = interface.protocol_version
        if interface.protocol_binding == "JSONRPC" and version.startswith("1.") and interface.url:
            return interface.url
    if card.url and card.preferred_transport == "JSONRPC":
        return card.url
    others = (interface.url for interface in card.additional_interfaces if interface.transport == "JSONRPC")
    return next((url for url in others if url), None)
