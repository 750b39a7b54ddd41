"""Whoever is known, by a session or otherwise.

GET  /api/auth/me       who is asking, and what is left of the limits
POST /api/auth/logout   ends the session in the store: no copy of its cookie is of use any more
"""

from __future__ import annotations

import logging

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from gateway.api_route import ApiRoute, Operation
from gateway.callers import Callers
from gateway.cookies import session_cookie, set_cookie
from gateway.limits import Limits
from gateway.problems import NO_STORE, Problem
from gateway.requests import read_json
from tailrace.config import Settings
from tailrace.events import encode, now_ms, timestamp
from tailrace.owner import LOCAL_OWNER

logger = logging.getLogger("tailrace.gateway")


class LogoutBody(msgspec.Struct, forbid_unknown_fields=True):
    """`everywhere` ends all sessions of the owner, on every device."""

    everywhere: bool = False


class Me(msgspec.Struct, rename="camel", omit_defaults=True):
    """Who is asking. `left` is what it may still use, and `secret_file` has what this machine's user sends."""

    id: str
    name: str
    kind: str | None = None
    scopes: list[str] | None = None
    expires: str | None = None
    left: dict[str, int] | None = None
    secret_file: str | None = None


class Account:
    """The routes of callers who are known."""

    def __init__(self, settings: Settings, callers: Callers, limits: Limits) -> None:
        self._settings = settings
        self._callers = callers
        self._limits = limits

    @property
    def routes(self) -> list[BaseRoute]:
        logout = Operation(
            *(self.logout, "End your session.", LogoutBody, None, 204), also={409: "The request has no session."}
        )
        return [
            ApiRoute(
                "/api/auth/me", GET=Operation(self.me, "See who you are, and what you may still use.", answers=Me)
            ),
            ApiRoute("/api/auth/logout", POST=logout),
        ]

    async def me(self, request: Request) -> Response:
        """GET /api/auth/me"""
        caller = await self._callers.caller(request)
        me = Me(caller.owner.id, caller.owner.name)
        if (credential := caller.credential) is not None:
            me.kind, me.scopes = credential.kind, list(credential.scopes)
            me.expires = timestamp(credential.ends * 1000)
        if credential is not None or caller.is_limited:
            me.left = await self._limits.left(caller)
        if (user := self._callers.local_user) is not None and caller.owner.id == LOCAL_OWNER:
            me.secret_file = user.secret_file  # what a shell sends, as the page tells it
        return Response(encode(me), media_type="application/json", headers=NO_STORE)

    async def logout(self, request: Request) -> Response:
        """POST /api/auth/logout"""
        caller = await self._callers.caller(request)
        session = caller.credential
        if session is None or session.kind != "session":
            raise Problem(409, "This request is not made with a session, so there is none to end.")
        body = await read_json(request, self._settings.max_request_bytes, LogoutBody, '{"everywhere": false}')
        if body.everywhere:
            await self._callers.credentials.end_all_of(session.owner)
        else:
            await self._callers.credentials.end(session.holder, session.id)
        log("signed_out", owner=session.owner, everywhere=body.everywhere)
        response = Response(status_code=204, headers=NO_STORE)
        set_cookie(request, response, session_cookie(request), "", lasts_s=0, same_site="strict")
        return response


def log(event: str, **details: object) -> None:
    """Write a log line about somebody's coming or going."""
    logger.info(encode({"event": event, "ts": now_ms(), **details}).decode())
