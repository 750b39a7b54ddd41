"""Who owns the tasks of a request: the one place where the gateway decides it."""

from __future__ import annotations

import hmac
from urllib.parse import unquote

from starlette.requests import Request

from gateway.problems import Problem
from tailrace.network.hosts import host_in, is_from_another_origin, is_loopback
from tailrace.owner import LOCAL_OWNER, DecideOwner, Owner, identify_by_name

SECRET_HEADER = "x-tailrace-secret"  # noqa: S105
# A browser's EventSource cannot set headers, but it sends cookies.
SECRET_COOKIE = "tailrace-secret"  # noqa: S105
# Everybody who knows the secret shares this one owner.
SHARED_OWNER = "shared"


def owner_in(request: Request, decide: DecideOwner) -> Owner:
    """Return the owner of a request's tasks.

    Raises:
        Problem: 401, `decide` knows no owner for the request.
    """
    owner = identify_by_name(decide)(request)
    if owner is None:
        challenge = {"WWW-Authenticate": 'Tailrace realm="tailrace"'}
        raise Problem(401, "The request has no credentials that this gateway knows.", challenge)
    return owner


def local_owner(request: Request) -> str | None:
    """Return the one owner on a laptop for a request that comes from loopback; None for any other request.

    Another site's page can reach loopback through the user's own browser. Its `Origin` shows that; or, if its host name
    was made to point here (DNS rebinding), the `Host` does.
    """
    client, host = request.client, host_in(request)
    if client is None or not is_loopback(client.host) or host is None or not is_loopback(host):
        return None
    if is_from_another_origin(request):
        return None
    return LOCAL_OWNER


def secret_owner(secret: str) -> DecideOwner:
    """Return a function that gives the shared owner to requests with the secret. An empty secret fits no request."""
    expected = secret.encode()

    def decide(request: Request) -> str | None:
        sent = request.headers.get(SECRET_HEADER) or unquote(request.cookies.get(SECRET_COOKIE, ""))
        is_right = hmac.compare_digest(sent.encode(), expected)
        return SHARED_OWNER if is_right and expected else None

    return decide
