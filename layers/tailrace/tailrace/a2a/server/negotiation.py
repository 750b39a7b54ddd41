"""What a request says about itself: version, extensions, media type (specification, sections 3.2.6, 3.6 and 4.6).

Each is a header; the version may be a query parameter instead, because a browser's EventSource sends no headers.
"""

from __future__ import annotations

from starlette.requests import Request

from tailrace.a2a.card import AgentCard
from tailrace.a2a.errors import (
    content_type_not_supported,
    extension_required,
    from_another_origin,
    misdirected,
    version_not_supported,
)
from tailrace.a2a.types import Message
from tailrace.config import Settings
from tailrace.errors import shorten
from tailrace.events import EXTENSION
from tailrace.inputs.media_types import covers
from tailrace.network.hosts import is_called_right, is_from_another_origin

A2A_JSON, JSON = "application/a2a+json", "application/json"


def version_of(request: Request) -> str:
    """The version asked for as `Major.Minor`, "" when none is: patch numbers mean nothing (section 3.6).

    Raises:
        RpcError: -32009, for any but 1.0 and 0.3.
    """
    asked = request.headers.get("a2a-version") or request.query_params.get("A2A-Version", "")
    version = ".".join(asked.split(".")[:2])
    if version not in ("", "1.0", "0.3"):
        raise version_not_supported(asked)
    return version


def extensions_of(request: Request, card: AgentCard) -> list[str]:
    """The card's extensions that the caller wants to use; those it does not know are ignored (section 4.6.3).

    Raises:
        RpcError: -32008, the card requires one that is not named.
    """
    # 0.3 put an X- in front.
    given = [*request.headers.getlist("a2a-extensions"), *request.headers.getlist("x-a2a-extensions")]
    wanted = {uri.strip() for line in given for uri in line.split(",")}
    missing = [each.uri for each in card.extensions if each.required and each.uri not in wanted]
    if missing:
        raise extension_required(missing)
    return [uri for uri in (EXTENSION, *(each.uri for each in card.extensions)) if uri in wanted]


def check_host(request: Request, settings: Settings) -> None:
    """Refuse a request that calls this agent by a name that is not its own, or comes from another site's page.

    Raises:
        RpcError: HTTP status 421 or 403.
    """
    if not is_called_right(request, settings.own_hosts):
        names = sorted(settings.own_hosts) or ["a name or an address of loopback (TAILRACE_HOSTS adds others)"]
        raise misdirected(request.headers.get("host", ""), " or ".join(names))
    if request.method not in ("GET", "HEAD") and is_from_another_origin(request, settings.own_hosts):
        raise from_another_origin(request.headers["origin"])


def check_json(request: Request) -> None:
    """Refuse a request with a body that it does not say is JSON.

    That also keeps web pages out: a browser sends JSON to another origin only if that origin allows it when asked.
    A request without a body needs no type: the official SDK subscribes by such a POST.

    Raises:
        RpcError: -32005 with HTTP status 415.
    """
    given = _essence(request.headers.get("content-type", ""))
    headers = request.headers
    bodiless = headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers
    if given not in (JSON, A2A_JSON) and (given or not bodiless):
        raise content_type_not_supported(
            f"Content-Type has value {shorten(given)!r}, but must be {JSON} or {A2A_JSON}.", status=415
        )


def check_parts(message: Message, card: AgentCard) -> None:
    """Refuse a message with a part of a media type that the card does not name (section 3.1.1).

    Raises:
        RpcError: -32005.
    """
    for part in message.parts:
        given = _essence(part.media_type or "")
        if given and not covers(card.input_modes, given):
            raise content_type_not_supported(
                f"A part has mediaType {shorten(given)!r}; this agent takes {', '.join(card.input_modes)}."
            )


def answer_type(request: Request) -> str:
    """The media type to answer in over HTTP+JSON.

    Specification 1.0.1 recommends its own (section 11.1); readers of 1.0.0 know `application/json` only. So a caller
    that speaks of the new one, in `Accept` or about its own body, gets it.
    """
    told = (request.headers.get("accept", ""), request.headers.get("content-type", ""))
    return A2A_JSON if any(A2A_JSON in each for each in told) else JSON


def _essence(given: str) -> str:
    """A media type without its parameters."""
    return given.partition(";")[0].strip().lower()
