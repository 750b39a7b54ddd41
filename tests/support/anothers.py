"""All requests that name something of another owner: each has to get the answer for what is not there."""

from __future__ import annotations

import re
import uuid
from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

from starlette.routing import BaseRoute, Route

_PARAMETER = re.compile(r"\{(\w+)(?::path)?\}")
# What has no owner.
_NOBODYS = ("/api/health", "/api/agents", "/api/openapi.json", "/.well-known/agent-card.json")
BODIES: dict[str, Any] = {"title": "mine now", "message": {"parts": [{"text": "hello"}]}}


class Attempt(NamedTuple):
    """A request, with the ids of another owner and with made-up ones in its path."""

    method: str
    theirs: str
    nothing: str
    body: Any


def attempts(routes: Iterable[BaseRoute], theirs: Mapping[str, str], nothing: Mapping[str, str]) -> list[Attempt]:
    """A request for each method of each route that has ids in its path; `theirs` are ids by their names there."""
    made = []
    for route in (each for each in routes if isinstance(each, Route) and _names_a_thing(each.path)):
        of_theirs, of_nobody = (_with(ids, route.path) for ids in (theirs, nothing))
        for method in sorted(route.methods or ()):
            body = {"title": BODIES["title"]} if method == "PATCH" else {"message": BODIES["message"]}
            made.append(Attempt(method, of_theirs, of_nobody, body if method in ("POST", "PATCH", "PUT") else None))
    return made


def _names_a_thing(path: str) -> bool:
    """Whether it has an id of something that an owner has; an agent is nobody's."""
    return any(name != "agent" for name in _PARAMETER.findall(path))


def _with(ids: Mapping[str, str], path: str) -> str:
    return _PARAMETER.sub(lambda named: ids[named[1]], path)


def lists(routes: Iterable[BaseRoute]) -> list[str]:
    """The paths without ids where an owner gets what is its own."""
    plain = [each for each in routes if isinstance(each, Route) and not _PARAMETER.search(each.path)]
    return [each.path for each in plain if "GET" in (each.methods or ()) and each.path not in _NOBODYS]


def made_up(theirs: Mapping[str, str]) -> dict[str, str]:
    """Ids that nobody has."""
    return {name: str(uuid.uuid4()) for name in theirs}


def without(status: int, text: str, ids: Collection[str]) -> tuple[int, str]:
    """An answer without the ids that it quotes."""
    for each in ids:
        text = text.replace(each[:20], "ID").replace(each, "ID")
    return status, re.sub(r"'ID[^']*'", "'ID'", text)


def is_refusal(path: str, status: int) -> bool:
    """Whether a status says that there is nothing at the path. A chat without a task that runs has no stream."""
    return status == 204 if "/chat/" in path and path.endswith("/stream") else status in (403, 404)
