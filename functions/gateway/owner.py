"""Whose a request is: the one place where the gateway decides it."""

from __future__ import annotations

from collections.abc import Callable

from starlette.requests import Request

from tailrace.owner import LOCAL_OWNER

DecideOwner = Callable[[Request], str | None]


def local_owner(request: Request) -> str | None:
    """The owner on a laptop, where everybody who reaches loopback is the one user. None for anybody else."""
    client = request.client
    return LOCAL_OWNER if client is not None and client.host in ("127.0.0.1", "::1") else None
