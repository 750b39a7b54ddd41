"""Errors as `application/problem+json` (RFC 9457): each says what was wrong and what would be right."""

from __future__ import annotations

import http
import logging
from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from tailrace.errors import (
    AgentDown,
    AgentError,
    AgentUnknown,
    ContextBusy,
    ContextDamaged,
    EventTooLarge,
    LogUnavailable,
    RequestError,
    RequestTooLarge,
    TailraceError,
    TaskConflict,
    TaskFinished,
    TaskUnknown,
    UploadDamaged,
    UploadsUnavailable,
)
from tailrace.events import encode

logger = logging.getLogger("tailrace.gateway")

# What every 401 says of the credentials that would be right (RFC 9110, section 11.6.1).
CHALLENGE = {"WWW-Authenticate": 'Bearer realm="tailrace"'}
# A task changes all the time, so no response about it may be cached.
NO_STORE = {"Cache-Control": "no-store"}


class ProblemDocument(msgspec.Struct, frozen=True):
    """The body of every refusal (RFC 9457). There may be further members."""

    type: str
    title: str
    status: int
    detail: str


class Problem(Exception):
    """An error response, raised by a route. `more` are further members of the problem (RFC 9457, section 3.2)."""

    def __init__(
        self,
        status: int,
        detail: str,
        headers: Mapping[str, str] | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers
        self.more = more or {}


_PHRASES = {int(status): status.phrase for status in http.HTTPStatus}
# HTTP's status for an agent's JSON-RPC error. Any other error of an agent is 502.
_STATUS_OF_CODE = {-32001: 404, -32002: 409, -32004: 409, -32602: 400}
_STATUS_OF: dict[type[Exception], int] = {
    RequestTooLarge: 413,
    RequestError: 400,
    TaskUnknown: 404,
    TaskFinished: 409,
    TaskConflict: 422,
    ContextBusy: 409,
    ContextDamaged: 409,
    EventTooLarge: 413,
    LogUnavailable: 503,
    UploadDamaged: 400,
    UploadsUnavailable: 503,
}


def respond(
    status: int, detail: str, headers: Mapping[str, str] | None = None, more: Mapping[str, Any] | None = None
) -> Response:
    """Return a problem document of the type `about:blank`: its title is the meaning of `status` (RFC 9457, 4.2.1).

    A status that is not registered means what the first of its class means (RFC 9110, section 15).
    """
    title = _PHRASES.get(status) or _PHRASES[status // 100 * 100]
    document = msgspec.structs.asdict(ProblemDocument("about:blank", title, status, detail))
    body = encode({**document, **(more or {})})
    return Response(body, status, media_type="application/problem+json", headers={**NO_STORE, **(headers or {})})


async def on_problem(_: Request, error: Exception) -> Response:
    """Return the response for an exception that a route raised."""
    if isinstance(error, ClientDisconnect):
        return Response(status_code=400)  # the caller has gone
    if isinstance(error, Problem):
        return respond(error.status, error.detail, error.headers, error.more)
    if isinstance(error, HTTPException):
        return respond(error.status_code, error.detail, error.headers)
    if isinstance(error, AgentError):
        return _on_agent_error(error)
    for kind, status in _STATUS_OF.items():
        if isinstance(error, kind):
            return respond(status, str(error))
    logger.error("unexpected", exc_info=error)
    return respond(500, "The gateway failed to answer; its log says why.")


def _on_agent_error(error: AgentError) -> Response:
    """Only an agent's own words, and those in its place, are for callers: others may have its inner address."""
    if isinstance(error, AgentDown):
        return respond(503, str(error))
    if isinstance(error, AgentUnknown) or (error.code is not None and error.retry_after_s is None):
        return respond(_STATUS_OF_CODE.get(error.code or 0, 502), str(error))
    logger.warning("an agent: %s", error)
    if (wait_s := error.retry_after_s) is not None:
        detail = f"The agent takes no requests now. Try again in {wait_s} s."
        return respond(503, detail, {"Retry-After": str(wait_s)})
    return respond(502, "The agent did not answer; the gateway's log says why.")


# Which exceptions a route may raise, for Starlette.
HANDLERS: Mapping[Any, Any] = dict.fromkeys(
    (Exception, ClientDisconnect, HTTPException, Problem, TailraceError), on_problem
)
