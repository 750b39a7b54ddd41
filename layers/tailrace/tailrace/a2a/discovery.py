"""Finding an agent: its card, and where it is called (specification, sections 4.4 and 8)."""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx

from tailrace.a2a.card import CARD_PATH
from tailrace.a2a.incoming import AgentCard, card_in
from tailrace.a2a.peer import MAX_CARD_BYTES, Peer, body_of
from tailrace.a2a.trust import check_interface
from tailrace.config import Settings
from tailrace.decoding import decode_json
from tailrace.errors import AgentError, JsonError, shorten

# How long a card may take as a whole. Our own agent may be a function whose container is only being started.
_CARD_S, _OWN_CARD_S = 20.0, 60.0
# Of what is told in place of a card.
_WHY_CHARS = 500


class DiscoveredAgent(NamedTuple):
    """The card of the agent at `url`: as far as we read it, and all of it as it came."""

    url: str
    card: AgentCard
    whole: dict[str, Any]


async def discover(http: httpx.AsyncClient, url: str, settings: Settings) -> DiscoveredAgent:
    """The card of the agent at `url`: its base URL, or that of the card itself.

    Raises:
        AgentError: there is no card there.
    """
    place = url if urlsplit(url).path.endswith(".json") else f"{url.rstrip('/')}/{CARD_PATH}"
    peer = Peer(http, place, settings)
    limit_s = _OWN_CARD_S if peer.own else _CARD_S
    try:
        async with asyncio.timeout(limit_s), peer.ask("GET", {}) as response:
            if response.status_code != 200:
                raise AgentError(await _why_not(response, place, own=peer.own))
            body = await body_of(response, MAX_CARD_BYTES, place)
    except TimeoutError:
        raise AgentError(f"{place} did not give its card within {limit_s:g} s.") from None
    try:
        whole = decode_json(body, "It")
    except JsonError as error:
        raise AgentError(f"{place} is no agent card: {error}") from None
    return DiscoveredAgent(url, card_in(whole, place), whole)


async def _why_not(response: httpx.Response, place: str, *, own: bool) -> str:
    """Why there is no card, as a sentence: for one of our own agents that does not run, what is told in its place."""
    if own and response.headers.get("content-type", "").startswith("text/plain"):
        told = (await body_of(response, MAX_CARD_BYTES, place)).decode(errors="replace").strip()
        if told:
            return shorten(told, _WHY_CHARS)
    return f"{place} answered {response.status_code} instead of an agent card."


def interface_of(found: DiscoveredAgent, settings: Settings) -> str:
    """The URL where a card's agent speaks JSON-RPC: in 1.0 if it does, else in 0.3.

    Raises:
        AgentError: the card names none, or one that is elsewhere than the card.
    """
    place = _interface(found.card)
    if place is None:
        name = found.card.name
        raise AgentError(f"The agent {name!r} at {found.url} offers no JSON-RPC interface of A2A 1.0 or 0.3.")
    check_interface(place, found.url, settings)
    return place


def _interface(card: AgentCard) -> str | None:
    for each in card.supported_interfaces:
        if each.protocol_binding == "JSONRPC" and each.protocol_version.startswith("1.") and each.url:
            return each.url
    if card.url and card.preferred_transport == "JSONRPC":
        return card.url
    return next((each.url for each in card.additional_interfaces if each.transport == "JSONRPC" and each.url), None)
