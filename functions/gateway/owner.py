"""Callers who have no credential of their own: this machine's user, and everybody who knows a shared secret."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from urllib.parse import unquote

from starlette.requests import Request

from tailrace.aws import AUTHORIZATION
from tailrace.network.hosts import host_in, is_from_another_origin, is_loopback
from tailrace.owner import LOCAL_OWNER, SHARED_OWNER, DecideOwner

SECRET_HEADER = "x-tailrace-secret"  # noqa: S105
# A browser's EventSource cannot set headers, but it sends cookies.
SECRET_COOKIE = "tailrace-secret"  # noqa: S105


def bearer_in(request: Request) -> str:
    """The bearer token of a request; "" if it has none. On AWS CloudFront's own signature is in `Authorization`."""
    sent = request.headers.get(AUTHORIZATION) or request.headers.get("authorization", "")
    scheme, _, token = sent.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def secret_in(request: Request) -> str:
    """The secret that a request has, right or wrong; "" if it has none."""
    in_cookie = unquote(request.cookies.get(SECRET_COOKIE, ""))
    return bearer_in(request) or request.headers.get(SECRET_HEADER) or in_cookie


def is_from_here(request: Request) -> bool:
    """Whether a request comes from loopback, and not from another site's page.

    Such a page can reach loopback through the user's own browser. Its `Origin` shows that; or, if its host name was
    made to point here (DNS rebinding), the `Host` does.
    """
    client, host = request.client, host_in(request)
    if client is None or not is_loopback(client.host) or host is None or not is_loopback(host):
        return False
    return not is_from_another_origin(request)


def local_owner(request: Request) -> str | None:
    """Return the one owner for every request that comes from here: where no other user can reach loopback."""
    return LOCAL_OWNER if is_from_here(request) else None


@dataclass(frozen=True)
class LocalUser:
    """This machine's user: who sends the secret of `make run`, or has a session that began with its address.

    Other users of the machine reach loopback too, so it is not enough to come from there. The secret is in
    `secret_file`, which only this user may read; the shell's `command` prints an address that lets a browser in. An
    empty secret fits no request.
    """

    secret: str
    secret_file: str
    command: str

    def __call__(self, request: Request) -> str | None:
        is_right = hmac.compare_digest(bearer_in(request).encode(), self.secret.encode())
        return LOCAL_OWNER if self.secret and is_right and is_from_here(request) else None


def secret_owner(secret: str) -> DecideOwner:
    """As `digest_owner`, for a secret that is known itself. An empty one fits no request."""
    return digest_owner(hashlib.sha256(secret.encode()).digest() if secret else b"")


def digest_owner(expected: bytes) -> DecideOwner:
    """Return a function that gives the shared owner to requests with the secret that has this SHA-256, if not empty."""

    def decide(request: Request) -> str | None:
        sent = hashlib.sha256(secret_in(request).encode()).digest()
        return SHARED_OWNER if hmac.compare_digest(sent, expected) else None

    return decide
