"""The front door for other people's A2A clients (docs/PROTOCOL.md, section 6.13).

    GET /.well-known/agent-card.json                the default agent's card
    GET /agents/NAME/.well-known/agent-card.json    an agent's card
    /agents/NAME/…                                  what the agent serves, in both bindings and both versions

The gateway decides who calls, as on every other route, and asks the agent as one of our own functions does: for the
owner whom it knows. Nothing that a caller says about an owner reaches the agent. What the agent answers is passed on as
it comes. Only the default agent and those of `TAILRACE_PUBLIC_AGENTS` are here.
"""

from __future__ import annotations

import hashlib
import logging
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager, suppress
from urllib.parse import quote, unquote

import httpx
import msgspec
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route, Router

from gateway.asked import asked
from gateway.callers import Caller, Callers
from gateway.held_stream import HeldStream
from gateway.limits import Counted, Limits
from gateway.origin import own_origin
from gateway.problems import HANDLERS, NO_STORE, Problem
from gateway.public_cards import agent_path, public_card
from gateway.streams import Streams
from tailrace.a2a.bundle import Agents
from tailrace.a2a.card import CARD_PATH
from tailrace.a2a.identity import task_id_of
from tailrace.a2a.peer import MAX_ANSWER_BYTES, Peer, body_of, refusal_in, unpacked
from tailrace.access.credential import READ, WRITE
from tailrace.config import Settings
from tailrace.decoding import NOT_JSON
from tailrace.errors import AgentDown, AgentError, LogError, shorten
from tailrace.events import encode
from tailrace.inputs.body import read_body
from tailrace.owner import OWNER_HEADER
from tailrace.registry import plain
from tailrace.stream import sse
from tailrace.tracing.context import headers as trace_headers

logger = logging.getLogger("tailrace.gateway")

AGENTS = "/agents"
# What of a request reaches the agent, and what of its answer comes back.
_ASKED = ("accept", "content-type", "a2a-version", "a2a-extensions", "x-a2a-extensions", "last-event-id")
_ANSWERED = ("content-type", "a2a-version", "a2a-extensions", "x-a2a-extensions", "retry-after", "allow")
_METHODS = ("GET", "HEAD", "POST", "DELETE")


class _Answer(msgspec.Struct):
    error: msgspec.Raw = msgspec.Raw(b"null")


class FrontDoor:
    """The routes of the agents that are open to other people's clients."""

    def __init__(
        self,
        settings: Settings,
        callers: Callers,
        agents: Agents,
        http: httpx.AsyncClient,
        streams: Streams,
        limits: Limits,
        host_header: str,
    ) -> None:
        self._settings = settings
        self._callers = callers
        self._agents = agents
        self._http = http
        self._streams = streams
        self._limits = limits
        self._host_header = host_header

    @property
    def routes(self) -> list[BaseRoute]:
        """The routes. Pages of the origins in `TAILRACE_CORS_ORIGINS` may use them, with a token."""
        inside = Router(
            [
                Route(f"/{{name}}/{CARD_PATH}", self.card, methods=["GET"]),
                # API Gateway takes a slash at a path's end away.
                Route("/{name}", self.ask, methods=list(_METHODS)),
                Route("/{name}/{path:path}", self.ask, methods=list(_METHODS)),
            ],
            redirect_slashes=False,
        )
        return [
            Route(f"/{CARD_PATH}", self._shared(Router([Route(f"/{CARD_PATH}", self.card, methods=["GET"])]))),
            Mount(AGENTS, self._shared(inside)),
        ]

    def _shared(self, app: Router) -> CORSMiddleware | Router:
        if not self._settings.cors:
            return app
        return CORSMiddleware(
            ExceptionMiddleware(app, HANDLERS),  # so that these pages can read refusals, too
            allow_origins=self._settings.cors,
            allow_methods=_METHODS,
            allow_headers=["authorization", *_ASKED, "traceparent", "tracestate"],
            expose_headers=[*_ANSWERED, "www-authenticate"],
        )

    async def card(self, request: Request) -> Response:
        """GET /.well-known/agent-card.json and /agents/{name}/.well-known/agent-card.json"""
        name = self._named(request.path_params.get("name", self._settings.orchestrator))
        version = request.headers.get("a2a-version") or request.query_params.get("A2A-Version", "")
        url = own_origin(request, self._host_header) + agent_path(name)
        with _without_addresses(name):
            card = (await self._agents.card(name)).card_json
        body = encode(public_card(card, url, v0_3=not version.startswith("1.")))
        etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        # The addresses in it have the host of this request, so only its caller may keep it.
        headers = {"Cache-Control": "private, max-age=300", "ETag": etag, "Vary": "A2A-Version"}
        if request.headers.get("if-none-match") == etag:
            return Response(status_code=304, headers=headers)
        return Response(body, media_type="application/json", headers=headers)

    async def ask(self, request: Request) -> Response:
        """Any other request for an agent."""
        caller = await self._callers.known(request)
        name, path = self._named(request.path_params["name"]), request.path_params.get("path", "")
        # What is encoded twice an agent's server may decode once more.
        if any(each in (".", "..") for each in unquote(path).replace("\\", "/").split("/")):
            raise Problem(404, f"The agent {name!r} has no path {shorten(path)!r}.")
        headers = self._headers(request, caller)
        body = await read_body(request, self._settings.max_request_bytes)
        does = asked(request.method, path, body)
        caller.check(does.scope)
        reads = does.scope == READ
        await self._callers.check_at_agent(caller, name, reads=reads, sends=does.sends)
        if does.internal:
            raise Problem(
                403, "Only this gateway may ask for that; DELETE /api/conversations/ID deletes a conversation."
            )
        async with AsyncExitStack() as stack:
            stack.enter_context(_without_addresses(name))
            peer = Peer(self._http, _url(await self._agents.url_of(name), path, request.url.query), self._settings)
            # All that may be refused comes before the agent does anything.
            if does.streams:
                await stack.enter_async_context(self._streams.place(caller))
            if does.makes_webhook:
                await self._limits.webhook(caller)
            counted = Counted()
            if does.begins_task:
                task_id = task_id_of(caller.owner.id, name, does.message_id or str(uuid.uuid4()))
                counted = await stack.enter_async_context(self._limits.task(caller, task_id))
            # A message may be answered when its task has ended.
            waits = does.scope == WRITE and not does.streams
            wait_s = self._settings.rotate_s if waits else None
            asking = peer.ask(request.method, headers, body, silence_s=wait_s, head_s=wait_s)
            response = await stack.enter_async_context(asking)
            answered = {name: response.headers[name] for name in _ANSWERED if name in response.headers}
            is_stream = response.is_success and answered.get("content-type", "").startswith(sse.MEDIA_TYPE)
            if is_stream and request.method != "HEAD":
                del answered["content-type"]
                chunks = self._frames(unpacked(response, peer.url), caller)
                return HeldStream(chunks, self._settings, stack.pop_all(), headers=answered)
            answer = b"" if request.method == "HEAD" else await body_of(response, MAX_ANSWER_BYTES, peer.url)
            if not response.is_success or _is_error(answer):
                await counted.refund()
            if refusal := refusal_in(response, answer, peer.url, own=True):
                if refusal.retry_after_s is None:  # the agent's own words
                    raise Problem(502, str(refusal))
                raise refusal
            return Response(answer, response.status_code, headers={**NO_STORE, **answered})

    def _headers(self, request: Request, caller: Caller) -> Mapping[str, str]:
        headers = {name: ", ".join(request.headers.getlist(name)) for name in _ASKED if name in request.headers}
        for name, value in headers.items():
            if not value.isascii():
                raise Problem(400, f"{name} has value {shorten(value)!r}, but must be of ASCII characters.")
        headers |= trace_headers()
        headers[OWNER_HEADER] = caller.owner.id
        if self._settings.run_secret:
            headers["Authorization"] = f"Bearer {self._settings.run_secret}"
        return headers

    async def _frames(self, pieces: AsyncIterator[bytes], caller: Caller) -> AsyncGenerator[bytes]:
        """The whole frames of an agent's stream, for as long as the caller's credential holds."""
        check_s = self._settings.session_check_s
        look_at, buffer = time.monotonic() + check_s, bytearray()
        with suppress(AgentError, LogError, httpx.HTTPError):  # for the reader a cut: it comes back with its cursor
            async for piece in pieces:
                if time.monotonic() >= look_at:
                    if not await self._callers.holds(caller):
                        return
                    look_at = time.monotonic() + check_s
                # Only what is new is searched: a frame may come in thousands of pieces.
                searched = max(0, len(buffer) - 1)
                buffer += piece
                if (end := buffer.rfind(b"\n\n", searched)) >= 0:
                    yield bytes(buffer[: end + 2])
                    del buffer[: end + 2]
                elif len(buffer) > MAX_ANSWER_BYTES:
                    return

    def _named(self, name: str) -> str:
        """The name of a public agent, as its card has it.

        Raises:
            Problem: 404, there is none, or it is not public.
        """
        for public in (self._settings.orchestrator, *self._settings.public):
            # On AWS its address also has the name that the template has for it: without what is no letter or digit.
            if name == public or plain(name) == plain(public) != "":
                return public
        raise Problem(404, f"There is no agent {shorten(name)!r} for clients from outside.")


def _is_error(answer: bytes) -> bool:
    """Whether it is JSON-RPC's response with an error (JSON-RPC 2.0, section 5)."""
    try:
        return bytes(msgspec.json.decode(answer, type=_Answer).error) != b"null"
    except NOT_JSON:
        return False


@contextmanager
def _without_addresses(name: str) -> Iterator[None]:
    """Tell the log alone why an agent has not answered: the reason has its inner address.

    Raises:
        Problem: 502, it has not; 503, it has no room, or does not run.
    """
    try:
        yield
    except AgentDown as error:
        raise Problem(503, str(error)) from None
    except AgentError as error:
        logger.warning("agent %s at the front door: %s", name, error)
        if (wait_s := error.retry_after_s) is not None:
            detail = f"The agent {name!r} takes no requests now. Try again in {wait_s} s."
            raise Problem(503, detail, {"Retry-After": str(wait_s)}) from None
        raise Problem(502, f"The agent {name!r} did not answer; the gateway's log says why.") from None


def _url(base: str, path: str, query: str) -> str:
    url = f"{base.rstrip('/')}/{quote(path, safe='/:')}"
    return f"{url}?{query}" if query else url
