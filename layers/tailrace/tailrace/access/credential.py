"""Credentials: what a session, a machine's token and an address of `make run` are, and how one is told from a guess.

Only the SHA-256 of a secret is kept. A secret has 256 random bits, so nobody finds it from its hash, and a slow hash
for passwords would add nothing (OWASP, "Password Storage Cheat Sheet"; NIST SP 800-63B, 5.1.2.2, on look-up secrets).

    a session's cookie        OWNER.SECRET, so that one read finds it
    a machine's bearer token  trk_ID_SECRET
    an address of `make run`  http://127.0.0.1:PORT/?token=SECRET
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from typing import Literal

import msgspec

from tailrace.owner import LOCAL_OWNER, Owner

# A token without `write` may only read.
READ, WRITE = "read", "write"
SCOPES = (READ, WRITE)
# Where all tokens are kept, and all addresses. A person's sessions are kept under the owner.
TOKENS, ADDRESSES = "tokens", "addresses"
_SECRET_BYTES = 32
_ID_BYTES = 8
_TOKEN = re.compile(r"trk_(?P<id>[0-9a-f]{16})_(?P<secret>[A-Za-z0-9_-]{43})")
_COOKIE = re.compile(rf"(?P<owner>u-[a-z2-7]{{52}}|{LOCAL_OWNER})\.(?P<secret>[A-Za-z0-9_-]{{43}})")


class Presented(msgspec.Struct, frozen=True):
    """What a caller has sent: the place and the id that a credential would be kept under, and the secret's hash."""

    holder: str
    id: str
    digest: str


class Credential(msgspec.Struct, frozen=True, kw_only=True):
    """A session, a token or an address, as it is kept; or a token of the issuer, which is kept nowhere.

    Times are in seconds since the epoch.

    It ends at `expires`; a session also `idle_s` seconds after it was `used`, if that is not 0. `name` is shown: a
    person's, or the one that a token was given.
    """

    kind: Literal["session", "token", "address", "jwt"]
    id: str
    digest: str
    owner: str
    name: str
    scopes: tuple[str, ...] = SCOPES
    created: int
    used: int
    expires: int
    idle_s: int = 0

    @property
    def holder(self) -> str:
        """Under which key it is kept."""
        return {"token": TOKENS, "address": ADDRESSES}.get(self.kind, self.owner)

    @property
    def ends(self) -> int:
        """When it ends unless it is used again."""
        return min(self.expires, self.used + self.idle_s) if self.idle_s else self.expires

    def fits(self, presented: Presented) -> bool:
        """Whether the secret that was sent is its own. Takes the same time for every wrong one."""
        return hmac.compare_digest(self.digest, presented.digest)


def new_session(owner: Owner, *, now: int, idle_s: int, lasts_s: int) -> tuple[Credential, str]:
    """A new session of a person, and the value of its cookie, which is kept nowhere. `idle_s` may be 0: never idle."""
    secret = secrets.token_urlsafe(_SECRET_BYTES)
    digest = _digest(secret)
    session = Credential(
        kind="session",
        id=_id_of(digest),
        digest=digest,
        owner=owner.id,
        name=owner.name,
        created=now,
        used=now,
        expires=now + lasts_s,
        idle_s=idle_s,
    )
    return session, f"{owner.id}.{secret}"


def new_token(name: str, scopes: tuple[str, ...], *, now: int, lasts_s: int) -> tuple[Credential, str]:
    """A new token of a machine, and its text, which is kept nowhere.

    Tokens of one name have one owner, so a machine that gets a new token keeps its tasks.
    """
    token_id, secret = secrets.token_hex(_ID_BYTES), secrets.token_urlsafe(_SECRET_BYTES)
    token = Credential(
        kind="token",
        id=token_id,
        digest=_digest(secret),
        owner=Owner.of_subject(TOKENS, name, name).id,
        name=name,
        scopes=scopes,
        created=now,
        used=now,
        expires=now + lasts_s,
    )
    return token, f"trk_{token_id}_{secret}"


def presented_token(text: str) -> Presented | None:
    """What a bearer token says; None if it is none of ours."""
    match = _TOKEN.fullmatch(text)
    return Presented(TOKENS, match["id"], _digest(match["secret"])) if match else None


def presented_session(cookie: str) -> Presented | None:
    """What a session's cookie says; None if it is none of ours."""
    match = _COOKIE.fullmatch(cookie)
    if match is None:
        return None
    digest = _digest(match["secret"])
    return Presented(match["owner"], _id_of(digest), digest)


def new_address(*, now: int, lasts_s: int) -> tuple[Credential, str]:
    """What lets a browser of this machine's user in, once, and the token in its address, which is kept nowhere."""
    # A terminal that finds addresses in a text may leave out what is no letter or digit at an end.
    secret = secrets.token_hex(_SECRET_BYTES)
    digest = _digest(secret)
    address = Credential(
        kind="address",
        id=_id_of(digest),
        digest=digest,
        owner=LOCAL_OWNER,
        name=LOCAL_OWNER,
        created=now,
        used=now,
        expires=now + lasts_s,
    )
    return address, secret


def presented_address(token: str) -> Presented:
    """What the token in an address says."""
    digest = _digest(token)
    return Presented(ADDRESSES, _id_of(digest), digest)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode(errors="surrogatepass")).hexdigest()


def _id_of(digest: str) -> str:
    return digest[: 2 * _ID_BYTES]
