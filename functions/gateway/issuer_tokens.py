"""Tokens that the issuer has signed: programs of people who are known there send them as `Authorization: Bearer`.

A token counts if one of the issuer's published keys has signed it, by the algorithm that the key is for, and if `iss`,
`aud` (`TAILRACE_OIDC_AUDIENCE`), `exp` and `nbf` say so (RFC 7519; RFC 8725, the best current practice). Its owner is
who the same subject is after a sign-in. Only a token with that audience counts: one that was made for another API must
not be of use here.

This module is imported only with an audience, and needs PyJWT with cryptography.
"""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Mapping
from typing import Any

import cryptography  # noqa: F401 - PyJWT can be imported without it, and would then know no key
import jwt
import msgspec

from gateway.account import log
from gateway.oidc import Issuer, IssuerFailed, allows, name_in
from gateway.problems import Problem
from tailrace.access import Credential
from tailrace.config import Settings
from tailrace.decoding import NOT_JSON
from tailrace.owner import Owner

# By a key pair: with a shared secret as the key, whoever can check a token could make one.
_ALGORITHMS = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"})
_REQUIRED = ("iss", "aud", "exp", "sub")
_MAX_TOKEN = 16_384
_MAX_SUBJECT = 255
_LEEWAY_S = 60
# The issuer's keys count for so long, and are asked for again at most so often.
_KEYS_S, _AGAIN_S = 3600.0, 60.0
_NEVER = float("-inf")


class _Header(msgspec.Struct):
    kid: str = ""


class IssuerTokens:
    """The tokens of `issuer` for the audience `settings.oidc_audience`."""

    def __init__(self, settings: Settings, issuer: Issuer) -> None:
        self._settings = settings
        self._keys = _Keys(issuer)

    async def known(self, token: str) -> Credential | None:
        """What a token says, as a credential that is kept nowhere; None if it does not count.

        Raises:
            Problem: 503, the issuer's keys cannot be had.
        """
        key = await self._keys.named(header.kid) if (header := _header_in(token)) is not None else None
        if key is None or key.algorithm_name not in _ALGORITHMS:
            return None
        settings = self._settings
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=[key.algorithm_name],
                issuer=settings.oidc_issuer,
                audience=settings.oidc_audience,
                leeway=_LEEWAY_S,
                options={"require": list(_REQUIRED)},
            )
        except (jwt.PyJWTError, TypeError, ValueError, OverflowError, *NOT_JSON):
            return None
        subject = claims["sub"]
        if not (isinstance(subject, str) and 0 < len(subject) <= _MAX_SUBJECT):
            return None
        if not allows(settings.allowed_claims, claims):
            return None
        owner, ends = Owner.of_subject(settings.oidc_issuer, subject, name_in(claims)), int(claims["exp"]) + _LEEWAY_S
        now = int(time.time())
        return Credential(
            kind="jwt", id="", digest="", owner=owner.id, name=owner.name, created=now, used=now, expires=ends
        )


class _Keys:
    """The issuer's published keys, by their ids."""

    def __init__(self, issuer: Issuer) -> None:
        self._issuer = issuer
        self._keys: Mapping[str, jwt.PyJWK] = {}
        self._read_at = self._asked_at = _NEVER
        self._asking = asyncio.Lock()

    async def named(self, key_id: str) -> jwt.PyJWK | None:
        """The key with this id; without an id, the only key.

        A new id may be one that the issuer has just begun to use. It is asked at most once a minute, whatever callers
        send.

        Raises:
            Problem: 503, it does not answer, and never has.
        """
        if self._is_worth_asking(key_id):
            async with self._asking:
                if self._is_worth_asking(key_id):
                    await self._ask()
        if self._read_at == _NEVER:
            detail = "The issuer of the token does not answer, so the token cannot be checked."
            raise Problem(503, detail, {"Retry-After": str(int(_AGAIN_S))})
        if not key_id and len(self._keys) == 1:
            return next(iter(self._keys.values()))
        return self._keys.get(key_id)

    def _is_worth_asking(self, key_id: str) -> bool:
        now = time.monotonic()
        is_stale = key_id not in self._keys or now - self._read_at > _KEYS_S
        return is_stale and now - self._asked_at >= _AGAIN_S

    async def _ask(self) -> None:
        self._asked_at = time.monotonic()
        try:
            published = await self._issuer.keys()
        except IssuerFailed as error:  # what is known goes on: the issuer may be down for a while
            log("issuer_keys_failed", reason=str(error))
            return
        self._keys = {key.key_id or "": key for each in published if (key := _usable(each)) is not None}
        self._read_at = self._asked_at


def _header_in(token: str) -> _Header | None:
    if not token.isascii() or len(token) > _MAX_TOKEN:
        return None
    header = token.partition(".")[0]
    try:
        return msgspec.json.decode(base64.b64decode(header + "=" * (-len(header) % 4), altchars=b"-_"), type=_Header)
    except (ValueError, *NOT_JSON):
        return None


def _usable(published: dict[str, Any]) -> jwt.PyJWK | None:
    """A key that signs; None for one for encryption, of a kind that is unknown here, or that is malformed."""
    if published.get("use", "sig") != "sig" or not isinstance(published.get("kid") or "", str):
        return None
    try:
        return jwt.PyJWK(published)
    # PyJWT has no error of its own for some of what is malformed. One key must not cost the issuer's others.
    except (jwt.PyJWTError, NotImplementedError, LookupError, TypeError, ValueError):
        return None
