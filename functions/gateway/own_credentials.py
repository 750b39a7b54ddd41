"""The caller's own sessions and tokens: which there are, and how one is ended.

GET    /api/auth/sessions         the sessions of the owner, on every device
DELETE /api/auth/sessions/{id}    ends one: no copy of its cookie is of use any more
GET    /api/auth/tokens           the tokens that act as the owner: those of one name
DELETE /api/auth/tokens/{id}      revokes one
"""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.account import log
from gateway.callers import Caller, Callers
from gateway.problems import NO_STORE, Problem
from tailrace.access import Credential
from tailrace.access.credential import TOKENS
from tailrace.errors import shorten
from tailrace.events import encode, timestamp


class OwnCredentials:
    """The routes of an owner's credentials. A credential of somebody else is as unknown as none."""

    def __init__(self, callers: Callers) -> None:
        self._callers = callers

    @property
    def routes(self) -> list[Route]:
        return [
            Route("/api/auth/sessions", self.sessions, methods=["GET"]),
            Route("/api/auth/sessions/{credential_id}", self.end_session, methods=["DELETE"]),
            Route("/api/auth/tokens", self.tokens, methods=["GET"]),
            Route("/api/auth/tokens/{credential_id}", self.end_token, methods=["DELETE"]),
        ]

    async def sessions(self, request: Request) -> Response:
        """GET /api/auth/sessions"""
        caller = await self._callers.caller(request)
        found = await self._of(caller, caller.owner.id, "session")
        return _json({"sessions": [_shown(each, caller) for each in found]})

    async def end_session(self, request: Request) -> Response:
        """DELETE /api/auth/sessions/{credential_id}"""
        caller = await self._callers.caller(request)
        return await self._end(request, caller, caller.owner.id, "session")

    async def tokens(self, request: Request) -> Response:
        """GET /api/auth/tokens"""
        caller = await self._callers.caller(request)
        found = await self._of(caller, TOKENS, "token")
        return _json({"tokens": [{**_shown(each, caller), "scopes": each.scopes} for each in found]})

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


def _shown(credential: Credential, caller: Caller) -> dict[str, Any]:
    return {
        "id": credential.id,
        "name": credential.name,
        "created": timestamp(credential.created * 1000),
        "used": timestamp(credential.used * 1000),
        "expires": timestamp(credential.ends * 1000),
        "current": caller.credential is not None and caller.credential.id == credential.id,
    }


def _json(value: Any) -> Response:
    return Response(encode(value), media_type="application/json", headers=NO_STORE)
