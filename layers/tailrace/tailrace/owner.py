"""Whose a task is, and who a request to an agent is for.

An owner has a name, which is data (a subject of an identity provider, an e-mail address), and an id, which is made of
it and is what ids, keys and headers are made of. Two names never have the same id:

1. A name of ASCII letters, digits and `. _ - @`, at most 64 of them, that does not begin with `o-` is its own id.
2. Any other name has the id `o-` and 32 hexadecimal digits of the name's SHA-256.

Agents are called by the gateway and by each other, never by a browser. Such a caller says in `x-tailrace-owner` for
whom it asks, so it has to be kept out by other means: on AWS by IAM, in `make run` by the secret of that run.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Iterator

import msgspec
from starlette.requests import Request

OWNER_HEADER = "x-tailrace-owner"
# Whose a task is when nobody says.
LOCAL_OWNER = "local"
_PLAIN = re.compile(r"(?!o-)[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_TASK = r"/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_WITHIN = re.compile(_TASK + r"\Z")
# What our own callers send: an owner's id, and whose tasks' work it is (several, from versions before this one).
_SENT = re.compile(rf"(?:{_PLAIN.pattern}|o-[0-9a-f]{{32}})(?:{_TASK}){{0,8}}")


class Owner(msgspec.Struct, frozen=True):
    """Who tasks belong to: the `id` is used inside, the `name` is shown."""

    id: str
    name: str

    @classmethod
    def named(cls, name: str) -> Owner:
        """The owner of that name, which may be any text."""
        if _PLAIN.fullmatch(name):
            return cls(name, name)
        return cls("o-" + hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:32], name)


# Who asks, by name; None for somebody who is not known.
DecideOwner = Callable[[Request], str | None]
# The same, with what is used inside.
Identify = Callable[[Request], Owner | None]


def owner_of(request: Request) -> str:
    """The name or the id of the owner in whose name an agent's caller asks."""
    return request.headers.get(OWNER_HEADER) or LOCAL_OWNER


def identify_by_header(secret: str) -> Identify:
    """Whom the caller says, if it knows the `secret`; without a secret everybody may say so."""

    def identify(request: Request) -> Owner | None:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        known = scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), secret.encode())
        if secret and not known:
            return None
        said = owner_of(request)
        return Owner(said, said) if _SENT.fullmatch(said) else Owner.named(said)

    return identify


def identify_by_name(decide_owner: DecideOwner) -> Identify:
    """Whom `decide_owner` names."""

    def identify(request: Request) -> Owner | None:
        name = decide_owner(request)
        return Owner.named(name) if name else None

    return identify


def owner_within(owner: str, task_id: str) -> str:
    """Whose the tasks are that the owner's task has at other agents: the task's, and not among the user's own.

    However many agents ask each other in turn, this names who began and the task that asks, and so stays short.
    """
    *_, began = owners_behind(owner)
    return f"{began}/{task_id}"


def owners_behind(owner: str) -> Iterator[str]:
    """The owner and, if it is a task's (`owner_within`), whom that task works for, up to who began."""
    yield owner
    while (asking := _WITHIN.sub("", owner)) != owner:
        owner = asking
        yield owner
