"""The issuer where people sign in: OpenID Connect's authorization code flow, with PKCE.

The id token comes from the issuer's token endpoint over TLS, so its signature need not be checked (OpenID Connect Core
1.0, 3.1.3.7, step 6), and no JWT library is needed. Its claims are: `iss`, `aud`, `azp`, `exp`, `nonce`, `sub`.

Sources: OpenID Connect Core 1.0 and Discovery 1.0; RFC 6749 (the flow), RFC 7636 (PKCE), RFC 9207 (`iss`).
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import time
from typing import Any, TypeVar
from urllib.parse import quote, urlencode, urlsplit

import httpx
import msgspec

from gateway.client_secret import ClientSecret
from tailrace.config import Settings
from tailrace.decoding import NOT_JSON
from tailrace.network.cookies import no_cookies
from tailrace.owner import Owner

T = TypeVar("T")

_TIMEOUT_S = 10.0
# What the issuer has published counts for so long.
_METADATA_S = 3600.0
_MAX_BYTES = 262_144
_MAX_TOKEN = 32_768
_MAX_SUBJECT = 255  # OpenID Connect Core, section 2
_MAX_NAME = 200
# How far the issuer's clock may be off.
_LEEWAY_S = 60
_SCOPE = "openid email profile"
_NAMES = ("email", "preferred_username", "name")


class SignInError(Exception):
    """A sign-in failed. The text is for the operator's log: it has no credential, and nothing that a caller sent."""


class IssuerFailed(SignInError):
    """The issuer did not answer, or as it must not: the person has done nothing wrong."""


class NotAllowed(SignInError):
    """The issuer knows the person, but TAILRACE_OIDC_CLAIMS does not let the person in."""


class _Metadata(msgspec.Struct):
    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    userinfo_endpoint: str = ""
    jwks_uri: str = ""
    token_endpoint_auth_methods_supported: list[str] = msgspec.field(default_factory=lambda: ["client_secret_basic"])


class _Keys(msgspec.Struct):
    keys: list[dict[str, Any]]


class _Tokens(msgspec.Struct):
    id_token: str
    access_token: str = ""


class Issuer:
    """The issuer `settings.oidc_issuer`. It is asked when somebody signs in; `close` closes the connections."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._secret = ClientSecret(settings)
        self._metadata: _Metadata | None = None
        self._metadata_until = 0.0
        self._http: httpx.AsyncClient | None = None

    async def address(self, *, state: str, nonce: str, verifier: str, callback: str) -> str:
        """Where a person's browser is sent to sign in.

        Raises:
            IssuerFailed
        """
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
        query = {
            "response_type": "code",
            "client_id": self._settings.oidc_client_id,
            "redirect_uri": callback,
            "scope": _SCOPE,
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        endpoint = (await self._published()).authorization_endpoint
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(query)}"

    async def person(self, code: str, *, nonce: str, verifier: str, callback: str) -> Owner:
        """Who has signed in, by the code that the browser came back with.

        Raises:
            IssuerFailed
            NotAllowed: the person may not come in.
            SignInError: the code or the id token is not of this sign-in.
            ConfigError: the client's secret cannot be read.
        """
        metadata = await self._published()
        tokens = await self._tokens(metadata, code, verifier, callback)
        claims = claims_in(tokens.id_token)
        check_claims(claims, self._settings, nonce=nonce, now=time.time())
        wanted = self._settings.allowed_claims
        lacks = wanted.keys() - claims.keys() or not any(claims.get(name) for name in _NAMES)
        if lacks and metadata.userinfo_endpoint and tokens.access_token:
            claims = {**await self._more(metadata.userinfo_endpoint, tokens.access_token, claims["sub"]), **claims}
        if not allows(wanted, claims):
            raise NotAllowed("the person has no claim that TAILRACE_OIDC_CLAIMS asks for")
        return Owner.of_subject(metadata.issuer, claims["sub"], name_in(claims))

    async def keys(self) -> list[dict[str, Any]]:
        """The issuer's published keys, each a JSON Web Key (RFC 7517).

        Raises:
            IssuerFailed
        """
        metadata = await self._published()
        if not metadata.jwks_uri:
            raise IssuerFailed("the issuer publishes no keys")
        return (await self._ask("GET", metadata.jwks_uri, _Keys)).keys

    def is_own(self, issuer: str | None) -> bool:
        """Whether a redirect names this issuer, or none (RFC 9207): not another one that was mixed up with it."""
        return issuer is None or hmac.compare_digest(issuer.encode(), self._settings.oidc_issuer.encode())

    async def close(self) -> None:
        if self._http is not None:
            await self._http.aclose()

    async def _published(self) -> _Metadata:
        if self._metadata is None or time.monotonic() > self._metadata_until:
            address = f"{self._settings.oidc_issuer.rstrip('/')}/.well-known/openid-configuration"
            metadata = await self._ask("GET", address, _Metadata)
            if metadata.issuer != self._settings.oidc_issuer:
                raise IssuerFailed("the issuer names itself otherwise than TAILRACE_OIDC_ISSUER does")
            _check_endpoints(metadata)
            self._metadata, self._metadata_until = metadata, time.monotonic() + _METADATA_S
        return self._metadata

    async def _tokens(self, metadata: _Metadata, code: str, verifier: str, callback: str) -> _Tokens:
        client_id, secret = self._settings.oidc_client_id, await self._secret.current()
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": callback, "code_verifier": verifier}
        headers = {}
        if secret and "client_secret_basic" in metadata.token_endpoint_auth_methods_supported:
            known = f"{quote(client_id, safe='')}:{quote(secret, safe='')}"
            headers["Authorization"] = f"Basic {base64.b64encode(known.encode()).decode()}"
        else:
            form |= {"client_id": client_id, **({"client_secret": secret} if secret else {})}
        return await self._ask("POST", metadata.token_endpoint, _Tokens, data=form, headers=headers)

    async def _more(self, endpoint: str, access_token: str, subject: str) -> dict[str, Any]:
        """What the issuer tells of the person besides the id token (OpenID Connect Core, section 5.3)."""
        more: dict[str, Any] = await self._ask(
            "GET", endpoint, dict, headers={"Authorization": f"Bearer {access_token}"}
        )
        if more.get("sub") != subject:
            raise IssuerFailed("the issuer told of another person than the one who signed in")
        return more

    async def _ask(self, method: str, address: str, kind: type[T], **request: Any) -> T:
        if self._http is None:
            self._http = httpx.AsyncClient(
                cookies=no_cookies(), timeout=_TIMEOUT_S, headers={"Accept": "application/json"}
            )
        what, body = f"{method} {urlsplit(address).path}", b""
        try:
            # In all: one that sends a byte now and then would never be too slow for httpx.
            async with asyncio.timeout(_TIMEOUT_S), self._http.stream(method, address, **request) as response:
                async for chunk in response.aiter_bytes():
                    body += chunk
                    if len(body) > _MAX_BYTES:
                        raise IssuerFailed(f"the issuer's answer to {what} is too large")
        except (TimeoutError, httpx.HTTPError) as error:
            raise IssuerFailed(f"the issuer did not answer {what}: {type(error).__name__}") from None
        if response.status_code == 400 and method == "POST":
            raise SignInError("the issuer does not know the code")
        if response.status_code != 200:
            raise IssuerFailed(f"the issuer answered {what} with {response.status_code}")
        try:
            return msgspec.json.decode(body, type=kind)
        except NOT_JSON as error:
            raise IssuerFailed(f"the issuer's answer to {what} cannot be used: {error}") from None


def _check_endpoints(metadata: _Metadata) -> None:
    """Refuse addresses that a browser or this gateway must not or cannot go to. Raises `IssuerFailed`."""
    schemes = ("https",) if metadata.issuer.startswith("https:") else ("https", "http")
    names = [name for name in metadata.__struct_fields__ if name.endswith(("_endpoint", "_uri"))]
    for name, endpoint in ((name, getattr(metadata, name)) for name in names):
        if not endpoint and name in ("userinfo_endpoint", "jwks_uri"):
            continue
        try:
            parts = urlsplit(endpoint)
            is_right = bool(parts.scheme in schemes and parts.hostname and parts.port != 0)
            httpx.URL(endpoint)
        except (ValueError, httpx.InvalidURL):
            is_right = False
        if not is_right:
            raise IssuerFailed(f"the issuer's {name} is no URL with {' or '.join(schemes)}")


def claims_in(id_token: str) -> dict[str, Any]:
    """The claims of an id token (RFC 7519, section 7.2).

    Raises:
        SignInError: it is none.
    """
    parts = id_token.split(".")
    if len(parts) != 3 or len(id_token) > _MAX_TOKEN:
        raise SignInError("the id token is not a signed token")
    try:
        payload = base64.b64decode(parts[1] + "=" * (-len(parts[1]) % 4), altchars=b"-_", validate=True)
        claims: dict[str, Any] = msgspec.json.decode(payload, type=dict)
    except (ValueError, *NOT_JSON):
        raise SignInError("the id token's claims are not JSON") from None
    return claims


def check_claims(claims: dict[str, Any], settings: Settings, *, nonce: str, now: float) -> None:
    """Check the claims of an id token (OpenID Connect Core, 3.1.3.7). `now` is in seconds since the epoch.

    Raises:
        SignInError: it is another issuer's, another client's, of another sign-in, or expired.
    """
    issuer, audience, party, expires = (claims.get(name) for name in ("iss", "aud", "azp", "exp"))
    audiences = audience if isinstance(audience, list) else [audience]
    if issuer != settings.oidc_issuer:
        raise SignInError("the id token is another issuer's")
    if settings.oidc_client_id not in audiences or (party is None and len(audiences) > 1):
        raise SignInError("the id token is for another client")
    if party is not None and party != settings.oidc_client_id:
        raise SignInError("the id token was given to another client")
    if not isinstance(expires, int | float) or isinstance(expires, bool) or now >= expires + _LEEWAY_S:
        raise SignInError("the id token has expired")
    if not hmac.compare_digest(str(claims.get("nonce", "")).encode(errors="surrogatepass"), nonce.encode()):
        raise SignInError("the id token is of another sign-in")
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= _MAX_SUBJECT:
        raise SignInError("the id token names nobody")


def allows(allowed: dict[str, list[str]], claims: dict[str, Any]) -> bool:
    """Whether each claim that is named has one of its allowed values. An address counts if the issuer verified it."""
    return all(_has_one(claim, values, claims) for claim, values in allowed.items())


def _has_one(claim: str, values: list[str], claims: dict[str, Any]) -> bool:
    had = claims.get(claim)
    if claim == "email":
        if not isinstance(had, str) or claims.get("email_verified") is not True:
            return False
        address = had.lower()
        return any(address == each.lower() or (each[0] == "@" and address.endswith(each.lower())) for each in values)
    return any(each in values for each in (had if isinstance(had, list) else [had]))


def name_in(claims: dict[str, Any]) -> str:
    """What a person is called: the first of the usual claims, else the subject."""
    named = (claims.get(name) for name in (*_NAMES, "sub"))
    name = next(each for each in named if isinstance(each, str) and each)
    return "".join(char for char in name if char.isprintable())[:_MAX_NAME]
