"""What both bindings share: who calls, and how a response is built."""

from __future__ import annotations

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response

from tailrace.a2a import errors
from tailrace.a2a.card import AgentCard
from tailrace.a2a.server.negotiation import extensions_of, wants_minimal
from tailrace.a2a.server.open_streams import OpenStream
from tailrace.a2a.server.operations import Caller, Operations
from tailrace.a2a.types import Version
from tailrace.config import Settings
from tailrace.owner import Identify
from tailrace.stream import sse
from tailrace.stream.reader import parse_cursor
from tailrace.stream.response import EventStreamResponse


class Binding:
    """One way to call an agent's operations. `base_of` gives the agent's URL as the caller of a request knows it."""

    def __init__(
        self,
        card: AgentCard,
        settings: Settings,
        operations: Operations,
        identify: Identify,
        base_of: Callable[[Request], str],
    ) -> None:
        self.card = card
        self.settings = settings
        self.operations = operations
        self._identify = identify
        self._base_of = base_of

    def caller(self, request: Request, *, version: Version = "1.0", strict: bool = True) -> tuple[Caller, list[str]]:
        """The caller, and the URIs of the extensions that are active for this request.

        Raises:
            RpcError: -32000, the agent does not know the caller; -32008, a required extension is not named.
            RequestError: the cursor is not a seq.
        """
        owner = self._identify(request)
        if owner is None:
            raise errors.unauthenticated()
        extensions = extensions_of(request, self.card)
        caller = Caller(
            owner=owner.id,
            name=owner.name,
            url=self._base_of(request),
            cursor=cursor_of(request),
            version=version,
            strict=strict,
            minimal=wants_minimal(request),
        )
        return caller, extensions

    def respond(
        self,
        body: bytes,
        extensions: list[str],
        *,
        version: Version = "1.0",
        status: int = 200,
        media_type: str = "application/json",
        retry_after_s: int | None = None,
    ) -> Response:
        """A response with the whole `body`. A 401 says how to authenticate."""
        headers = _headers(extensions, version)
        if retry_after_s is not None:
            headers["Retry-After"] = str(retry_after_s)
        if status == 401:
            headers["WWW-Authenticate"] = challenge(self.card)
        return Response(body, status_code=status, media_type=media_type, headers=headers)

    def respond_stream(
        self, answer: OpenStream, framing: sse.Framing, extensions: list[str], *, version: Version = "1.0"
    ) -> Response:
        """A response that streams."""
        chunks = answer.chunks(framing, version)
        return EventStreamResponse(chunks, self.settings, headers=_headers(extensions, version))


def cursor_of(request: Request) -> int | None:
    """The cursor in `Last-Event-ID`; None without that header.

    Raises:
        RequestError: the cursor is not a seq.
    """
    cursor = request.headers.get("last-event-id")
    return None if cursor is None else parse_cursor(cursor, "Last-Event-ID")


def challenge(card: AgentCard) -> str:
    """The value of `WWW-Authenticate` (RFC 9110, section 11.6.1): the HTTP schemes that the card names."""
    schemes = [
        scheme["httpAuthSecurityScheme"]["scheme"]
        for scheme in card.security_schemes.values()
        if "httpAuthSecurityScheme" in scheme
    ]
    return ", ".join(schemes) or "A2A"


def _headers(extensions: list[str], version: Version) -> dict[str, str]:
    """The version, and the active extensions: those that the caller named and the card has."""
    headers: dict[str, str] = {"A2A-Version": version}
    if extensions:
        # 0.3 put an X- in front.
        headers["X-A2A-Extensions" if version == "0.3" else "A2A-Extensions"] = ", ".join(extensions)
    return headers
