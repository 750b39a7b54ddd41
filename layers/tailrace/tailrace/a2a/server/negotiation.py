"""What a request says about itself: version, extensions, media type (specification, sections 3.2.6, 3.6 and 4.6).

Each is a header; the version may be a query parameter instead, because a browser's EventSource sends no headers.
"""

from __future__ import annotations

from collections.abc import Sequence

from starlette.requests import Request

from tailrace.a2a.card import AgentCard
from tailrace.a2a.errors import (
    content_type_not_supported,
    extension_required,
    from_another_origin,
    misdirected,
    version_not_supported,
)
from tailrace.a2a.types import UserMessage
from tailrace.config import Settings
from tailrace.errors import shorten
from tailrace.events import EXTENSION
from tailrace.inputs.media_types import covers, media_type_of, not_taken
from tailrace.network.hosts import is_from_another_origin, names_own_host

A2A_JSON, JSON = "application/a2a+json", "application/json"


def version_of(request: Request) -> str:
    """The version that a request names, as `Major.Minor`; "" without one. Patch numbers mean nothing (section 3.6).

    Raises:
        RpcError: -32009, for any version but 1.0 and 0.3.
    """
    named = request.headers.get("a2a-version") or request.query_params.get("A2A-Version", "")
    version = ".".join(named.split(".")[:2])
    if version not in ("", "1.0", "0.3"):
        raise version_not_supported(named)
    return version


def extensions_of(request: Request, card: AgentCard) -> list[str]:
    """The URIs of the card's extensions that the caller names. Others are ignored (section 4.6.3).

    Raises:
        RpcError: -32008, the card requires an extension that is not named.
    """
    # 0.3 put an X- in front.
    lines = [*request.headers.getlist("a2a-extensions"), *request.headers.getlist("x-a2a-extensions")]
    named = {uri.strip() for line in lines for uri in line.split(",")}
    missing = [each.uri for each in card.extensions if each.required and each.uri not in named]
    if missing:
        raise extension_required(missing)
    return [uri for uri in (EXTENSION, *(each.uri for each in card.extensions)) if uri in named]


def wants_minimal(request: Request) -> bool:
    """Whether the caller prefers a minimal answer (RFC 7240, section 4.2). One that only makes the agent look does."""
    preferences = ",".join(request.headers.getlist("prefer")).lower().split(",")
    return "return=minimal" in (each.partition(";")[0].strip() for each in preferences)


def check_host(request: Request, settings: Settings) -> None:
    """Refuse a request that calls this agent by a host name that is not its own, or comes from another site's page.

    Raises:
        RpcError: with HTTP status 421 for the name, 403 for the page.
    """
    if not names_own_host(request, settings.own_hosts):
        names = sorted(settings.own_hosts) or ["a name or an address of loopback (TAILRACE_HOSTS adds others)"]
        raise misdirected(request.headers.get("host", ""), " or ".join(names))
    if request.method not in ("GET", "HEAD") and is_from_another_origin(request, settings.own_hosts):
        raise from_another_origin(request.headers["origin"])


def check_json(request: Request) -> None:
    """Refuse a request whose body is not declared as JSON.

    That also keeps other sites' pages out: a browser sends JSON to another origin only if that origin allows it.
    A request without a body needs no type: the official SDK subscribes with such a POST.

    Raises:
        RpcError: -32005 with HTTP status 415.
    """
    headers = request.headers
    media_type = _essence(headers.get("content-type", ""))
    bodiless = headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers
    if media_type not in (JSON, A2A_JSON) and (media_type or not bodiless):
        raise content_type_not_supported(
            f"Content-Type has value {shorten(media_type)!r}, but must be {JSON} or {A2A_JSON}.", status=415
        )


def check_parts(message: UserMessage, card: AgentCard) -> None:
    """Refuse a message with a part of a media type that the card does not name (section 3.1.1).

    Raises:
        RpcError: -32005.
    """
    for part in message.parts:
        if refusal := not_taken(part.media_type, card.input_modes):
            raise content_type_not_supported(refusal)


def check_output_modes(accepted: Sequence[str] | None, card: AgentCard) -> None:
    """Refuse a message whose sender takes nothing of what the agent gives (section 3.2.2). A text type means all.

    Raises:
        RpcError: -32005.
    """
    taken = [*(accepted or ()), *("text/*" for mode in accepted or () if media_type_of(mode).startswith("text/"))]
    if taken and not any(covers(taken, mode) for mode in card.output_modes):
        raise content_type_not_supported(
            f"acceptedOutputModes has value {shorten(', '.join(accepted or ()))!r}, but must have one of what this "
            f"agent gives: {', '.join(card.output_modes)}; or be left out."
        )


def answer_type(request: Request) -> str:
    """The media type of a response over HTTP+JSON.

    Specification 1.0.1 recommends `application/a2a+json` (section 11.1), but readers of 1.0.0 know only
    `application/json`. So a caller gets the new type if it names it, in `Accept` or as its body's type.
    """
    named = (request.headers.get("accept", ""), request.headers.get("content-type", ""))
    return A2A_JSON if any(A2A_JSON in header for header in named) else JSON


def _essence(media_type: str) -> str:
    """A media type without its parameters, in lower case."""
    return media_type.partition(";")[0].strip().lower()
