"""Whom we trust: which agents are this bundle's own, and where a card may lead.

Our own agents alone learn for whom we ask, and what else only we may know. Any other agent is the operator's choice by
its URL alone: its card may not lead our data to another origin, nor our requests to an address inside.
"""

from __future__ import annotations

from urllib.parse import unquote

import httpx

from tailrace.config import Settings
from tailrace.errors import AgentError, shorten
from tailrace.network.addresses import is_inside

_PORTS = {"http": 80, "https": 443}
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

# A URL's scheme, host and port.
Origin = tuple[str, str, int | None]


def is_own_agent(url: str, settings: Settings) -> bool:
    """Whether `url` is one of our own agents, or something below it.

    Our own agents are those of `TAILRACE_AGENT_URLS`, `TAILRACE_ORCHESTRATOR_URL` and the URLs in `TAILRACE_DISPATCH`.
    The origin has to be the same, and the path has to be the agent's or one below it.
    """
    parsed = _parsed(url)
    return parsed is not None and any(_is_below(parsed, own) for own in _own_urls(settings))


def may_be_inside(url: str, settings: Settings) -> bool:
    """Whether the operator has named `url` so that it may be an address of this machine or its networks.

    That is an origin of `TAILRACE_PEER_ORIGINS`, or one of `TAILRACE_SPECIALIST_URLS` that is inside by its spelling.
    """
    parsed = _parsed(url)
    if parsed is None:
        return False
    named = [place for place in map(_parsed, settings.specialists) if place is not None and is_inside(place.host)]
    return _place_of(parsed) in {_place_of(place) for place in (*named, *map(httpx.URL, settings.peers))}


def check_interface(place: str, card_url: str, settings: Settings) -> None:
    """Refuse an agent's interface that is elsewhere than its card, unless the operator allows it.

    Raises:
        AgentError: its origin is another one, and neither one of `TAILRACE_PEER_ORIGINS` nor our own agent's.
    """
    parsed, card = _parsed(place), _parsed(card_url)
    if parsed is not None and card is not None:
        allowed = {_place_of(card), *(_place_of(httpx.URL(origin)) for origin in settings.peers)}
        if _place_of(parsed) in allowed or is_own_agent(place, settings):
            return
    if parsed is None:
        raise AgentError(f"The card at {card_url} leads to {shorten(place)!r}, which is no URL.")
    raise AgentError(
        f"The card at {card_url} leads to {shorten(place)!r}, which is on another origin; "
        "TAILRACE_PEER_ORIGINS can allow it."
    )


def origin_of(url: httpx.URL) -> Origin:
    """The scheme, host and port of a URL, with the scheme's usual port where the URL names none."""
    return url.scheme, url.host.lower(), url.port or _PORTS.get(url.scheme)


def _place_of(url: httpx.URL) -> Origin:
    """The origin, with one name for this machine's loopback: cards spell it as their authors do."""
    scheme, host, port = origin_of(url)
    return scheme, "localhost" if host in _LOOPBACK else host, port


def _own_urls(settings: Settings) -> list[httpx.URL]:
    places = [settings.orchestrator_url, *settings.agents, *settings.dispatch_places.values()]
    # In TAILRACE_DISPATCH there may be names of functions.
    return [url for url in map(_parsed, places) if url is not None and url.scheme in _PORTS]


def _is_below(url: httpx.URL, own: httpx.URL) -> bool:
    if origin_of(url) != origin_of(own):
        return False
    base = own.path.rstrip("/")
    return url.path in (base, f"{base}/") or (url.path.startswith(f"{base}/") and ".." not in _segments(url))


def _segments(url: httpx.URL) -> list[str]:
    # httpx resolves `..`, and leaves what is encoded to the server, which may resolve it too.
    return unquote(url.path).replace("\\", "/").split("/")


def _parsed(url: str) -> httpx.URL | None:
    try:
        return httpx.URL(url)
    except httpx.InvalidURL:
        return None
