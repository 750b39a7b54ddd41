"""Which agents are this bundle's own: they alone learn for whom we ask, and what else only we may know."""

from __future__ import annotations

from urllib.parse import unquote

import httpx

from tailrace.config import Settings

_PORTS = {"http": 80, "https": 443}

# A URL's scheme, host and port.
Origin = tuple[str, str, int | None]


def is_own_agent(url: str, settings: Settings) -> bool:
    """Whether `url` is one of our own agents, or something below it.

    Our own agents are those of `TAILRACE_AGENT_URLS`, `TAILRACE_ORCHESTRATOR_URL` and the URLs in `TAILRACE_DISPATCH`.
    The origin has to be the same, and the path has to be the agent's or one below it.
    """
    parsed = _parsed(url)
    return parsed is not None and any(_is_below(parsed, own) for own in _own_urls(settings))


def origin_of(url: httpx.URL) -> Origin:
    """The scheme, host and port of a URL, with the scheme's usual port where the URL names none."""
    return url.scheme, url.host.lower(), url.port or _PORTS.get(url.scheme)


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
