"""An author's own way to know callers: `TAILRACE_AUTH=auth.py:auth`, in the shape of `langgraph_sdk.Auth`.

    @auth.authenticate    who makes the request: an identity, or a user with an `identity` and `permissions`
    @auth.on…             whether this user may do this: None or True, False, or a filter

The object is known by its shape, so nothing of LangGraph is imported here. A user's tasks are under the identity, and
nobody else's are ever found. So the filter `{"owner": IDENTITY}` holds by itself, and any other one, which could not be
kept, refuses the request. What a request does is in LangGraph's words: a conversation is a thread, a message a run.

This module is imported only with `TAILRACE_AUTH`.
"""

from __future__ import annotations

import asyncio
import importlib.util
import inspect
import logging
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.requests import Request

from gateway.problems import CHALLENGE, Problem
from tailrace.aws import AUTHORIZATION
from tailrace.errors import ConfigError, shorten
from tailrace.owner import Owner

logger = logging.getLogger("tailrace.gateway")

_ISSUER = "TAILRACE_AUTH"
_RIGHT = "a Python file and the name of a langgraph_sdk.Auth in it, like auth.py:auth"
# What `@auth.authenticate` may ask for, by the names of its parameters.
_PARAMETERS = ("request", "path", "method", "path_params", "query_params", "headers", "authorization")
_THREADS = "threads"


@dataclass(frozen=True)
class Context:
    """What a handler of `@auth.on` gets as `ctx`."""

    user: Any
    permissions: tuple[str, ...]
    resource: str
    action: str


class User(Mapping[str, Any]):
    """A user that was given as a text or a dict: its members are attributes and items."""

    def __init__(self, members: Mapping[str, Any]) -> None:
        defaults = {"display_name": members.get("identity"), "permissions": (), "is_authenticated": True}
        self._members = {"identity": None, **defaults, **members}

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["_members"][name]
        except KeyError:
            raise AttributeError(name) from None

    def __getitem__(self, name: str) -> Any:
        return self._members[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)


class AuthorsAuth:
    """The object that `setting` (`TAILRACE_AUTH`) names.

    Raises:
        ConfigError: there is no such object, or it has no `@auth.authenticate`.
    """

    def __init__(self, setting: str) -> None:
        auth = _loaded(setting)
        self._authenticate: Callable[..., Any] = getattr(auth, "_authenticate_handler", None)  # type: ignore[assignment]
        if not callable(self._authenticate):
            raise ConfigError("TAILRACE_AUTH", setting, f"{_RIGHT}, with a function under @auth.authenticate")
        self._handlers: Mapping[tuple[str, str], list[Callable[..., Any]]] = getattr(auth, "_handlers", {})
        self._global: list[Callable[..., Any]] = getattr(auth, "_global_handlers", [])
        self._parameters = [name for name, each in inspect.signature(self._authenticate).parameters.items()
                            if each.default is each.empty or name in _PARAMETERS]  # fmt: skip
        if unknown := [name for name in self._parameters if name not in _PARAMETERS]:
            right = f"one whose @auth.authenticate takes no {unknown[0]!r}, but some of {', '.join(_PARAMETERS)}"
            raise ConfigError("TAILRACE_AUTH", setting, right)

    async def user(self, request: Request) -> Any | None:
        """Who makes the request; None if nobody is known.

        Raises:
            Problem: the author's function refuses it in its own words.
        """
        sent = _sent(request)
        found = await _called(self._authenticate, 401, **{name: sent[name] for name in self._parameters})
        if found is None:
            return None
        members = {"identity": found} if isinstance(found, str) else found
        user = User(members) if isinstance(members, Mapping) else members
        identity = getattr(user, "identity", None)
        if not isinstance(identity, str) or not identity:
            right = "a text that is an identity, or a user that has one"
            raise ValueError(f"@auth.authenticate gave a {type(found).__name__}, but must give {right}")
        return user if getattr(user, "is_authenticated", True) else None

    async def check_request(self, user: Any, request: Request, *, reads: bool) -> None:
        """Ask the author's functions whether the user may make this request to the API. Raises as `_check` does."""
        if (does := _what_it_does(request, reads=reads)) is not None:
            await self._check(user, *does)

    async def check_at_agent(self, user: Any, name: str, *, reads: bool, sends: bool) -> None:
        """The same for a request to the agent `name` over A2A."""
        action = "create_run" if sends else "read" if reads else "update"
        await self._check(user, _THREADS, action, {"thread_id": None, "assistant_id": name, "metadata": {}})

    async def _check(self, user: Any, resource: str, action: str, value: dict[str, Any]) -> None:
        """Refuse what the author's functions refuse.

        Raises:
            Problem: 403, or what such a function raises.
        """
        handler = self._handler(resource, action)
        if handler is None:
            return
        permissions = tuple(getattr(user, "permissions", None) or ())
        answer = await _called(handler, 403, ctx=Context(user, permissions, resource, action), value=value)
        if answer is None or answer is True or (isinstance(answer, Mapping) and _holds(answer, user.identity)):
            return
        if isinstance(answer, Mapping):
            logger.warning("@auth.on gave a filter for %s.%s that cannot be kept here: %r", resource, action, answer)
        raise Problem(403, f"You may not do this: {action} of {resource}.")

    @staticmethod
    def owner_of(user: Any) -> Owner:
        """The owner of a user's tasks. No issuer's subject, and no token's name, has the same."""
        name = getattr(user, "display_name", None) or user.identity
        return Owner.of_subject(_ISSUER, user.identity, str(name))

    def _handler(self, resource: str, action: str) -> Callable[..., Any] | None:
        """The most specific one."""
        for key in ((resource, action), (resource, "*"), ("*", action)):
            if self._handlers.get(key):
                return self._handlers[key][-1]
        return self._global[-1] if self._global else None


def _what_it_does(request: Request, *, reads: bool) -> tuple[str, str, dict[str, Any]] | None:
    """What a request to the API does in LangGraph's words: resource, action and value; None if it needs no leave."""
    path, ids = request.url.path, request.path_params
    value: dict[str, Any] = {"metadata": {}}
    value["thread_id"] = next((ids[name] for name in ("context_id", "task_id") if name in ids), None)
    if path.startswith("/api/auth/"):
        return None
    if path == "/api/agents":
        return "assistants", "search", {}
    begins = path in ("/api/tasks", "/api/chat") or path.endswith("/messages") or path.startswith("/api/agui/")
    if not reads and begins:
        return _THREADS, "create_run", value
    if request.method == "DELETE":
        return _THREADS, "delete", value
    if reads:
        return _THREADS, "read" if ids else "search", value
    return _THREADS, "update", value


def _sent(request: Request) -> dict[str, Any]:
    """What of a request the author's function may ask for. On AWS CloudFront's own signature is in `Authorization`."""
    headers = {name: value for name, value in request.scope["headers"] if name != AUTHORIZATION.encode()}
    authorization = request.headers.get(AUTHORIZATION) or request.headers.get("authorization")
    if authorization is not None:
        headers[b"authorization"] = authorization.encode("latin-1")
    return {
        "request": request,
        "path": request.url.path,
        "method": request.method,
        "path_params": dict(request.path_params),
        "query_params": dict(request.query_params),
        "headers": headers,
        "authorization": authorization,
    }


async def _called(function: Callable[..., Any], refused: int, **arguments: Any) -> Any:
    """What the author's function gives. As in LangGraph, its exception with a status and a detail is the answer, and
    its failed assertion is one with the status `refused`.
    """
    try:
        if inspect.iscoroutinefunction(function):
            return await function(**arguments)
        answer = await asyncio.to_thread(function, **arguments)
        return await answer if inspect.isawaitable(answer) else answer
    except AssertionError as error:
        raise _refusal(refused, str(error) or "The request is refused.") from None
    except Exception as error:
        status = getattr(error, "status_code", None)
        if not isinstance(status, int) or not 400 <= status <= 599:
            raise
        raise _refusal(status, str(getattr(error, "detail", "")), getattr(error, "headers", None)) from None


def _refusal(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Problem:
    if status != 401:
        return Problem(status, detail, headers)
    return Problem(401, detail, {**CHALLENGE, **(headers or {})}, {"custom": True})


def _holds(wanted: Mapping[str, Any], identity: str) -> bool:
    """Whether a filter is one that is kept in any case."""
    return all(name == "owner" and value in (identity, {"$eq": identity}) for name, value in wanted.items())


def _loaded(setting: str) -> Any:
    file, _, name = setting.rpartition(":")
    path = Path(file)
    if not name.isidentifier() or path.suffix != ".py" or not path.is_file():
        raise ConfigError("TAILRACE_AUTH", shorten(setting), _RIGHT)
    spec = importlib.util.spec_from_file_location("tailrace_authors_auth", path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except ImportError as error:
        right = f"{_RIGHT}, whose packages functions/gateway/requirements.txt has to name: {error}"
        raise ConfigError("TAILRACE_AUTH", shorten(setting), right) from None
    if not hasattr(module, name):
        raise ConfigError("TAILRACE_AUTH", shorten(setting), f"{_RIGHT}: the file has no {name!r}")
    return getattr(module, name)
