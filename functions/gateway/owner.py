"""Whose a request is: the one place where the gateway decides it."""

from __future__ import annotations

import hmac
from urllib.parse import unquote

from starlette.requests import Request

from gateway.problems import Problem
from tailrace.network.hosts import host_in, is_from_another_origin, is_loopback
from tailrace.owner import LOCAL_OWNER, DecideOwner, Owner, identify_by_name

SECRET_HEADER = "x-tailrace-secret"  # noqa: S105
# A browser's EventSource sends no headers of its own, but its cookies.
SECRET_COOKIE = "tailrace-secret"  # noqa: S105
# Whose the tasks are of everybody who knows the one secret.
SHARED_OWNER = "shared"


def owner_in(request: Request, decide: DecideOwner) -> Owner:
    """Whose a request is.

    Raises:
        Problem: 401, nobody's that this gateway knows.
    """
    owner = identify_by_name(decide)(request)
    if owner is None:
        challenge = {"WWW-Authenticate": 'Tailrace realm="tailrace"'}
        raise Problem(401, "The request has no credentials that this gateway knows.", challenge)
    return owner


def local_owner(request: Request) -> str | None:
    """The owner on a laptop, where whoever reaches loopback is the one user. None for anybody else.

    A web page from elsewhere reaches loopback too, through the user's own browser. It gives itself away:
    by its `Origin`, or, when its name was made to point here (DNS rebinding), by the `Host` it asks for.
    """
    client, host = request.client, host_in(request)
    if client is None or not is_loopback(client.host) or host is None or not is_loopback(host):
        return None
    if is_from_another_origin(request):
        return None
    return LOCAL_OWNER


def secret_owner(secret: str) -> DecideOwner:
    """Whoever knows the secret is the one shared owner. Without a secret nobody is."""
    expected = secret.encode()

    def decide(request: Request) -> str | None:
        given = request.headers.get(SECRET_HEADER) or unquote(request.cookies.get(SECRET_COOKIE, ""))
        known = hmac.compare_digest(given.encode(), expected)
        return SHARED_OWNER if known and expected else None

    return decide
