"""No cookies: one HTTP client serves many owners, and what a server sets for one of them is nobody else's."""

from __future__ import annotations

from http.cookiejar import CookieJar, DefaultCookiePolicy


def no_cookies() -> CookieJar:
    """A jar for an HTTP client that keeps no cookie of any server."""
    return CookieJar(DefaultCookiePolicy(allowed_domains=[]))
