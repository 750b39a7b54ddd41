"""Trust: which agents are our own, and which URLs an agent's card may name.

Only our own agents learn the owner and the run secret. The operator has chosen any other agent by its URL alone: its
card may not send our data to another origin, nor our requests to an internal address.
"""

from __future__ import annotations

from urllib.parse import unquote

import httpx

from tailrace.config import Settings
from tailrace.errors import AgentError, shorten
from tailrace.network.addresses import is_inside
from tailrace.ports import DEFAULT_PORTS
from tailrace.registry import own_agent_urls

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

# A URL's scheme, host and port.
Origin = tuple[str, str, int | None]


def is_own_agent(url: str, settings: Settings) -> bool:
    """Whether `url` is one of our own agents, or something below it.

    Our own agents are those of `TAILRACE_AGENT_URLS`, `TAILRACE_ORCHESTRATOR_URL`, the registry, and the URLs in
    `TAILRACE_DISPATCH`.
    The origin has to be the same, and the path has to be the agent's or one below it.
    """
    parsed = _parsed(url)
    return parsed is not None and any(_is_below(parsed, own) for own in _own_urls(settings))


def may_be_inside(url: str, settings: Settings) -> bool:
    """Whether the operator allows `url` to lead to an internal address, of this machine or its networks.

    That is so for the origins in `TAILRACE_PEER_ORIGINS`, and for a URL in `TAILRACE_SPECIALIST_URLS` whose host is
    written as an internal one.
    """
    parsed = _parsed(url)
    if parsed is None:
        return False
    internal = [url for url in map(_parsed, settings.specialists) if url is not None and is_inside(url.host)]
    allowed = {_normalised_origin(each) for each in (*internal, *map(httpx.URL, settings.peers))}
    return _normalised_origin(parsed) in allowed


def check_interface(url: str, card_url: str, settings: Settings) -> None:
    """Refuse an interface that is on another origin than the card that names it, unless the operator allows it.

    Raises:
        AgentError: the origin is neither the card's, nor in `TAILRACE_PEER_ORIGINS`, nor one of our own agents'.
    """
    parsed, card = _parsed(url), _parsed(card_url)
    if parsed is not None and card is not None:
        allowed = {_normalised_origin(card), *(_normalised_origin(httpx.URL(origin)) for origin in settings.peers)}
        if _normalised_origin(parsed) in allowed or is_own_agent(url, settings):
            return
    if parsed is None:
        raise AgentError(f"The card at {card_url} leads to {shorten(url)!r}, which is not a URL.")
    raise AgentError(
        f"The card at {card_url} leads to {shorten(url)!r}, which is on another origin; "
        "TAILRACE_PEER_ORIGINS can allow it."
    )


def origin_of(url: httpx.URL) -> Origin:
    """The scheme, host and port of a URL, with the scheme's usual port where the URL names none."""
    return url.scheme, url.host.lower(), url.port or DEFAULT_PORTS.get(url.scheme)


def _normalised_origin(url: httpx.URL) -> Origin:
    """The origin, with one name for loopback: cards write it in different ways."""
    scheme, host, port = origin_of(url)
    return scheme, "localhost" if host in _LOOPBACK else host, port


def _own_urls(settings: Settings) -> list[httpx.URL]:
    urls = [settings.orchestrator_url, *own_agent_urls(settings), *settings.dispatch_places.values()]
    # TAILRACE_DISPATCH may also have names of Lambda functions.
    return [url for url in map(_parsed, urls) if url is not None and url.scheme in DEFAULT_PORTS]


def _is_below(url: httpx.URL, own: httpx.URL) -> bool:
    if origin_of(url) != origin_of(own):
        return False
    base = own.path.rstrip("/")
    return url.path in (base, f"{base}/") or (url.path.startswith(f"{base}/") and ".." not in _segments(url))


def _segments(url: httpx.URL) -> list[str]:
    # httpx resolves `..` but not an encoded one, which the server may resolve.
    return unquote(url.path).replace("\\", "/").split("/")


def _parsed(url: str) -> httpx.URL | None:
    try:
        parsed = httpx.URL(url)
        _ = parsed.host  # It decodes a name with `xn--`.
    except (httpx.InvalidURL, UnicodeError):
        return None
    return parsed
