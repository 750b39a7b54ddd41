"""The A2A server: an agent's card, and its operations in both bindings and both versions (specification, section 5).

docs/ARCHITECTURE.md, section 5, says why it is not the official SDK's server, with which the tests compare it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from email.utils import formatdate

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tailrace.a2a.card import CARD_PATH, AgentCard, card_json
from tailrace.a2a.errors import RpcError
from tailrace.a2a.server.jsonrpc import JsonRpc
from tailrace.a2a.server.negotiation import check_host
from tailrace.a2a.server.operations import DirectAnswer, ExtendedCard, Operations
from tailrace.a2a.server.rest import Rest
from tailrace.a2a.server.services import Serving
from tailrace.config import Settings
from tailrace.events import encode
from tailrace.owner import Identify

_STARTED = formatdate(usegmt=True)


class A2AServer:
    """The A2A server of one agent. The paths of `routes` are relative to the agent's URL.

    `serving` opens what the agent serves from, at the first request. `identify` says who calls.
    """

    def __init__(
        self,
        card: AgentCard,
        settings: Settings,
        serving: Callable[[], Awaitable[Serving]],
        identify: Identify,
        *,
        answer: DirectAnswer | None = None,
        extended_card: ExtendedCard | None = None,
    ) -> None:
        self._card = card
        self._settings = settings
        self._extended = extended_card is not None
        operations = Operations(card, settings, serving, answer=answer, extended_card=extended_card)
        self._rpc = JsonRpc(card, settings, operations, identify, _base_of)
        self._rest = Rest(card, settings, operations, identify, _base_of)

    def routes(self) -> list[Route]:
        """The routes of the card and of both bindings, relative to the agent's URL."""
        return [
            Route("/", self._rpc.__call__, methods=["POST"]),
            Route("/message/stream", self._rpc.__call__, methods=["POST"]),
            Route(f"/{CARD_PATH}", self.card, methods=["GET"]),
            *self._rest.routes(),
        ]

    async def card(self, request: Request) -> Response:
        """GET /.well-known/agent-card.json, cacheable (section 8.6). A caller that names 1.0 gets no fields of 0.3."""
        try:
            check_host(request, self._settings)
        except RpcError as error:
            problem = {"error": {"code": error.status, "status": "INVALID_ARGUMENT", "message": str(error)}}
            return Response(encode(problem), error.status or 400, media_type="application/json")
        version = request.headers.get("a2a-version") or request.query_params.get("A2A-Version", "")
        v0_3 = not version.startswith("1.")
        body = encode(card_json(self._card, _base_of(request), extended=self._extended, v0_3=v0_3))
        etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        headers = {
            # The URLs in it have the host of this request, so only its caller may keep it.
            "Cache-Control": "private, max-age=300",
            "ETag": etag,
            "Last-Modified": _STARTED,
            "Vary": "A2A-Version",
        }
        if request.headers.get("if-none-match") == etag:
            return Response(status_code=304, headers=headers)
        return Response(body, media_type="application/json", headers=headers)


def _base_of(request: Request) -> str:
    """The agent's URL as its caller knows it, also behind a path that leads to several agents."""
    # Not `base_url`, which leaves out the path of a mount.
    return str(request.url.replace(path=f"{request.scope.get('root_path', '')}/", query=""))
