"""The caller's own sessions and tokens: which there are, and how one is ended.

GET    /api/auth/sessions         the sessions of the owner, on every device
DELETE /api/auth/sessions/{id}    ends one: no copy of its cookie is of use any more
GET    /api/auth/tokens           the tokens that act as the owner: those of one name
DELETE /api/auth/tokens/{id}      revokes one
"""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from gateway.account import log
from gateway.api_route import ApiRoute, Operation
from gateway.callers import Caller, Callers
from gateway.problems import NO_STORE, Problem
from tailrace.access import Credential
from tailrace.access.credential import TOKENS
from tailrace.errors import shorten
from tailrace.events import encode, timestamp


class Shown(msgspec.Struct, omit_defaults=True):
    """A credential without its secret. Times are ISO 8601; `current` is the one of the request."""

    id: str
    name: str
    created: str
    used: str
    expires: str
    current: bool
    scopes: list[str] | None = None


class Sessions(msgspec.Struct):
    sessions: list[Shown]


class Tokens(msgspec.Struct):
    tokens: list[Shown]


class OwnCredentials:
    """The routes of an owner's credentials. A credential of somebody else is as unknown as none."""

    def __init__(self, callers: Callers) -> None:
        self._callers = callers

    @property
    def routes(self) -> list[BaseRoute]:
        sessions = Operation(self.sessions, "List your sessions, on every device.", answers=Sessions)
        end_session = Operation(self.end_session, "End one of your sessions.", status=204)
        tokens = Operation(self.tokens, "List the tokens that act as you.", answers=Tokens)
        end_token = Operation(self.end_token, "Revoke one of your tokens.", status=204)
        return [
            ApiRoute("/api/auth/sessions", GET=sessions),
            ApiRoute("/api/auth/sessions/{credential_id}", DELETE=end_session),
            ApiRoute("/api/auth/tokens", GET=tokens),
            ApiRoute("/api/auth/tokens/{credential_id}", DELETE=end_token),
        ]

    async def sessions(self, request: Request) -> Response:
        """GET /api/auth/sessions"""
        caller = await self._callers.caller(request)
        found = await self._of(caller, caller.owner.id, "session")
        return _json(Sessions([_shown(each, caller) for each in found]))

    async def end_session(self, request: Request) -> Response:
        """DELETE /api/auth/sessions/{credential_id}"""
        caller = await self._callers.caller(request)
        return await self._end(request, caller, caller.owner.id, "session")

    async def tokens(self, request: Request) -> Response:
        """GET /api/auth/tokens"""
        caller = await self._callers.caller(request)
        found = await self._of(caller, TOKENS, "token")
        return _json(Tokens([_shown(each, caller, list(each.scopes)) for each in found]))

    async def end_token(self, request: Request) -> Response:
        """DELETE /api/auth/tokens/{credential_id}"""
        return await self._end(request, await self._callers.caller(request), TOKENS, "token")

    async def _of(self, caller: Caller, holder: str, kind: str) -> list[Credential]:
        found = await self._callers.credentials.of(holder)
        return [each for each in found if each.kind == kind and each.owner == caller.owner.id]

    async def _end(self, request: Request, caller: Caller, holder: str, kind: str) -> Response:
        wanted = request.path_params["credential_id"]
        if wanted not in [each.id for each in await self._of(caller, holder, kind)]:
            raise Problem(404, f"You have no {kind} {shorten(wanted)!r}.")
        await self._callers.credentials.end(holder, wanted)
        log(f"{kind}_ended", owner=caller.owner.id, id=wanted)
        return Response(status_code=204, headers=NO_STORE)


def _shown(credential: Credential, caller: Caller, scopes: list[str] | None = None) -> Shown:
    return Shown(
        id=credential.id,
        name=credential.name,
        created=timestamp(credential.created * 1000),
        used=timestamp(credential.used * 1000),
        expires=timestamp(credential.ends * 1000),
        current=caller.credential is not None and caller.credential.id == credential.id,
        scopes=scopes,
    )


def _json(value: Any) -> Response:
    return Response(encode(value), media_type="application/json", headers=NO_STORE)
