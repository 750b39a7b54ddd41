"""Owners: which user a task belongs to, and on whose behalf a caller asks an agent.

An owner has a name and an id. The name is data from outside, like an e-mail address or the subject of an identity
provider. The id is derived from it and used in keys, task ids and headers. Two names never have the same id:

1. A name of ASCII letters, digits and `. _ - @`, at most 64 of them, that does not look like an id of 2 or 3 is its
   own id.
2. Any other name has the id `o-` and 32 hexadecimal digits of the name's SHA-256.
3. Who is known by an issuer and a subject there has the id `u-` and the SHA-256 of both in lower-case base32. The
   subject is what an issuer never gives to anybody else (OpenID Connect Core, section 5.7); the name is only shown.

The gateway and other agents call agents; browsers never do. Such a caller names the owner in the header
`x-tailrace-owner`. Strangers must not be able to do that: on AWS, IAM keeps them out, in `make run` the run's secret.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Callable, Iterator

import msgspec
from starlette.requests import Request

OWNER_HEADER = "x-tailrace-owner"
# The owner of a request that names none.
LOCAL_OWNER = "local"
# Everybody who knows a deployment's secret shares this one owner.
SHARED_OWNER = "shared"
_SUBJECT = r"u-[a-z2-7]{52}"
_PLAIN = re.compile(rf"(?!o-|{_SUBJECT}\Z)[A-Za-z0-9][A-Za-z0-9._@-]{{0,63}}")
_TASK = r"/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_WITHIN = re.compile(_TASK + r"\Z")
# What our own callers send: an owner's id, and the id of the task that asks (earlier versions sent several tasks).
_OWNER_ID = re.compile(rf"(?:{_PLAIN.pattern}|o-[0-9a-f]{{32}}|{_SUBJECT})(?:{_TASK}){{0,8}}")


class Owner(msgspec.Struct, frozen=True):
    """An owner of tasks. The `id` is used in keys and headers, the `name` is shown."""

    id: str
    name: str

    @classmethod
    def named(cls, name: str) -> Owner:
        """The owner with this name, which may be any text."""
        if _PLAIN.fullmatch(name):
            return cls(name, name)
        return cls("o-" + hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:32], name)

    @classmethod
    def of_subject(cls, issuer: str, subject: str, name: str) -> Owner:
        """The owner whom `issuer` knows as `subject`. The lengths keep two pairs from having the same bytes."""
        parts = (issuer.encode(errors="surrogatepass"), subject.encode(errors="surrogatepass"))
        digest = hashlib.sha256(b"".join(len(part).to_bytes(8) + part for part in parts)).digest()
        return cls("u-" + base64.b32encode(digest).decode().rstrip("=").lower(), name)


# Returns the name of a request's owner; None for an unknown caller, whose request is refused.
DecideOwner = Callable[[Request], str | None]
# The same as an `Owner`.
Identify = Callable[[Request], Owner | None]


def owner_of(request: Request) -> str:
    """The owner, by name or id, that the request's header names."""
    return request.headers.get(OWNER_HEADER) or LOCAL_OWNER


def identify_by_header(secret: str) -> Identify:
    """Identify the owner by the request's header. With a `secret`, the caller has to send it as a bearer token."""

    def identify(request: Request) -> Owner | None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        knows_secret = scheme.lower() == "bearer" and hmac.compare_digest(token.strip().encode(), secret.encode())
        if secret and not knows_secret:
            return None
        owner = owner_of(request)
        return Owner(owner, owner) if _OWNER_ID.fullmatch(owner) else Owner.named(owner)

    return identify


def identify_by_name(decide_owner: DecideOwner) -> Identify:
    """Identify the owner by the name that `decide_owner` returns."""

    def identify(request: Request) -> Owner | None:
        name = decide_owner(request)
        return Owner.named(name) if name else None

    return identify


def owner_within(owner: str, task_id: str) -> str:
    """The owner of the delegated tasks of the owner's task: `owner/task`, so that they are not in the user's own list.

    If `owner` itself belongs to a delegated task, the result names only the user and `task_id`, and so stays short.
    """
    *_, user = owners_behind(owner)
    return f"{user}/{task_id}"


def asking_task(owner: str) -> str | None:
    """The id of the task that the owner's tasks are delegated by (see `owner_within`); None if the owner is a user."""
    within = _WITHIN.search(owner)
    return within[0][1:] if within is not None else None


def owners_behind(owner: str) -> Iterator[str]:
    """The owner; if it is a task's (see `owner_within`), then the owner of that task, and so on up to the user."""
    yield owner
    while (outer := _WITHIN.sub("", owner)) != owner:
        owner = outer
        yield owner
