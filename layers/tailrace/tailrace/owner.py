"""Who a request to an agent is for.

Agents are called by the gateway and by each other, never by a browser: on AWS a request reaches one only if
IAM lets it, on a laptop only from loopback. Such a caller says for whom it asks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from starlette.requests import Request

OWNER_HEADER = "x-tailrace-owner"
# Whose a task is when nobody says.
LOCAL_OWNER = "local"
_WITHIN = re.compile(r"/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")


def owner_of(request: Request) -> str:
    """The owner in whose name an agent's caller asks."""
    return request.headers.get(OWNER_HEADER) or LOCAL_OWNER


def owner_within(owner: str, task_id: str) -> str:
    """Whose the tasks are that the owner's task has at other agents: the task's, and not among the user's own."""
    return f"{owner}/{task_id}"


def owners_behind(owner: str) -> Iterator[str]:
    """The owner and, if it is a task's (`owner_within`), whom that task works for, up to who began."""
    yield owner
    while (asking := _WITHIN.sub("", owner)) != owner:
        owner = asking
        yield owner
