"""The gateway's routes (docs/PROTOCOL.md, section 6)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from gateway.account import Account
from gateway.agui.routes import Agui
from gateway.answers import Accepted, AgentList, Begun, Cancelling, Health, OpenStreams, TaskPage
from gateway.api_route import CURSOR, PAGE, STREAM, ApiRoute, Operation, Parameter
from gateway.callers import Caller, Callers
from gateway.chat.routes import Chatting
from gateway.contexts import Contexts
from gateway.conversations import Conversing
from gateway.deletion import Deletion
from gateway.front_door import FrontDoor
from gateway.guard import Guard
from gateway.held_stream import HeldStream
from gateway.limits import Limits
from gateway.metering import Metering
from gateway.openapi import OpenApi
from gateway.own_credentials import OwnCredentials
from gateway.own_webhooks import OwnWebhooks
from gateway.owner import local_owner
from gateway.pipes import Pipes
from gateway.pressure import Pressure
from gateway.problems import HANDLERS, NO_STORE, Problem
from gateway.requests import (
    IDEMPOTENCY_KEY,
    MessageBody,
    TaskBody,
    cursor_in,
    idempotency_key,
    page_size_in,
    read_message,
    read_task,
    task_id_in,
)
from gateway.sending import Sending
from gateway.streams import Streams
from gateway.task_endings import TaskEndings
from gateway.uploads import Uploading
from tailrace.a2a.bundle import Agents
from tailrace.a2a.client import new_http
from tailrace.a2a.task import Task, snapshot, summary
from tailrace.access import Credentials
from tailrace.agent.deletions import Deletions
from tailrace.agent.dispatch import Dispatch
from tailrace.aws import VIEWER_HOST
from tailrace.config import Settings
from tailrace.errors import ConfigError, TailraceError, TaskUnknown
from tailrace.events import encode, ends
from tailrace.log import Batch, EventLog, Head, open_log
from tailrace.owner import DecideOwner, Owner
from tailrace.stream import sse
from tailrace.stream.reader import newest_at
from tailrace.stream.response import forget_earlier_shutdown
from tailrace.tracing.context import Tracing
from tailrace.tracing.setup import flush, set_up

if TYPE_CHECKING:
    from gateway.authors_auth import AuthorsAuth
    from gateway.issuer_tokens import IssuerTokens
    from gateway.oidc import Issuer


class Gateway:
    """The handlers of every route, over one log."""

    def __init__(self, settings: Settings, log: EventLog, callers: Callers, host_header: str) -> None:
        self._settings = settings
        self._log = log
        self._callers = callers
        self.limits = Limits(settings, callers, log)
        self.uploading = Uploading(settings, callers, self.limits)
        self._http = new_http()
        self._agents = Agents(self._http, settings)
        self._contexts = Contexts(log, self._agents)
        self._endings = TaskEndings(log, settings, self._http, self._agents)
        self._pressure = Pressure(log, settings)
        self._http.event_hooks["response"] = [self._pressure.notice]
        self._dispatch = Dispatch(settings, self._http, throttled=lambda name: self._pressure.note(f"429 from {name}"))
        self._pipes = Pipes(log, settings, self._agents, self._endings, self._dispatch, self._pressure)
        self._deletions = Deletions(settings, log, self._agents)
        self.own_webhooks = OwnWebhooks(settings, callers, log)
        self.conversing = Conversing(settings, log, callers, Deletion(log, self._deletions))
        self._streams = Streams(log, self._pipes, settings, self._pressure, self.limits)
        self._sending = Sending(self._agents, self._contexts, self.limits, self.uploading, self._pipes)
        self.chatting = Chatting(settings, log, callers, self._streams, self._sending, self._endings)
        self.agui = Agui(settings, log, callers, self._streams, self._sending, self._endings, self._agents)
        self.front_door = FrontDoor(
            settings, callers, self._agents, self._http, self._streams, self.limits, host_header
        )

    @property
    def routes(self) -> list[BaseRoute]:
        key = Parameter("Idempotency-Key", "The same request again gets the same task.", IDEMPOTENCY_KEY, "header")
        create = Operation(
            *(self.create_task, "Begin a task.", TaskBody, Begun, 201, (key,)),
            also={409: "Its context has an unfinished task.", 422: "Another request has used the key.", 502: ""},
        )
        reply = Operation(
            *(self.reply, "Answer what a task asks.", MessageBody, Accepted, 202),
            also={409: "The task does not wait.", 502: ""},
        )
        cancel = Operation(
            *(self.cancel, "Cancel a task.", None, Cancelling, 202), also={409: "The task is finished.", 502: ""}
        )
        stream = Operation(
            *(self.stream, "Follow a task: its events after the cursor, and then live."),
            parameters=CURSOR,
            also={204: "The task has no more events."},
            media_type=STREAM,
        )
        return [
            ApiRoute(
                "/api/tasks",
                GET=Operation(self.list_tasks, "List your tasks, newest first.", answers=TaskPage, parameters=PAGE),
                POST=create,
            ),
            ApiRoute(
                "/api/tasks/{task_id}", GET=Operation(self.get_task, "Get a task: the sum of its events.", answers=Task)
            ),
            ApiRoute("/api/tasks/{task_id}/messages", POST=reply),
            ApiRoute("/api/tasks/{task_id}/cancel", POST=cancel),
            ApiRoute("/api/stream/{task_id}", GET=stream),
            ApiRoute(
                "/api/streams",
                GET=Operation(self.streams, "List your streams that this process has open.", answers=OpenStreams),
            ),
            ApiRoute("/api/agents", GET=Operation(self.agents, "List the agents' cards.", answers=AgentList)),
            ApiRoute("/api/health", GET=Operation(self.health, "See that it answers.", answers=Health, is_open=True)),
        ]

    async def create_task(self, request: Request) -> Response:
        """POST /api/tasks"""
        caller = await self._callers.caller(request)
        body = await read_task(request, self._settings.max_request_bytes)
        agent = body.agent or self._settings.orchestrator
        head = await self._sending.begin(caller, agent, body.message, idempotency_key(request, body.message))
        return _json(Begun(head.task_id, head.context_id, f"/api/stream/{head.task_id}"), 201)

    async def list_tasks(self, request: Request) -> Response:
        """GET /api/tasks"""
        owner, size = (await self._callers.owner(request)).id, page_size_in(request)
        page = await self._log.list(owner, limit=size, token=request.query_params.get("pageToken", ""))
        return _json(TaskPage([summary(head) for head in page.heads], page.next_token))

    async def get_task(self, request: Request) -> Response:
        """GET /api/tasks/{id}"""
        head = await self._owned(request)
        return _json((await snapshot(self._log, head.task_id)).task)

    async def reply(self, request: Request) -> Response:
        """POST /api/tasks/{id}/messages"""
        head = await self._owned(request)
        sent = await read_message(request, self._settings.max_request_bytes)
        await self._sending.reply(head, sent, sent.message_id or idempotency_key(request, sent))
        return _json(Accepted(head.task_id, head.context_id), 202)

    async def cancel(self, request: Request) -> Response:
        """POST /api/tasks/{id}/cancel"""
        head = await self._owned(request)
        await self._endings.cancel(head.task_id)
        return _json(Cancelling(head.task_id), 202)

    async def stream(self, request: Request) -> Response:
        """GET /api/stream/{id}"""
        caller = await self._callers.caller(request)
        async with AsyncExitStack() as place:
            full = self._held(caller, place)
            # Together, because the first event waits for all. A HEAD is refused as its GET would be, so it has a place.
            head, stored, refused = await asyncio.gather(
                self._head_of(caller.owner, request),
                self._stored(request, full),
                self._limited(caller, place, full),
                return_exceptions=True,
            )
            if isinstance(head, BaseException):
                raise head
            cursor = cursor_in(request)
            newest = await newest_at(self._log, head.task_id, cursor)
            if newest is not None and ends(newest):
                return Response(status_code=204, headers=NO_STORE)
            if isinstance(refused, BaseException):
                raise refused
            if request.method == "HEAD":
                return Response(media_type=sse.MEDIA_TYPE, headers=sse.HEADERS)
            holds, begin = partial(self._callers.holds, caller), stored if isinstance(stored, list) else []
            chunks = self._streams.chunks(head, cursor, newest, holds, begin)
            return HeldStream(chunks, self._settings, place.pop_all())

    async def streams(self, request: Request) -> Response:
        """GET /api/streams"""
        owner = await self._callers.owner(request)
        streams = [msgspec.structs.replace(stream, owner=owner.name) for stream in self._streams.of(owner.id)]
        return _json(OpenStreams(streams, self._settings.max_streams))

    async def agents(self, request: Request) -> Response:
        """GET /api/agents"""
        await self._callers.owner(request)
        return _json(AgentList(await self._agents.listed(), self._settings.prices))

    async def health(self, _: Request) -> Response:
        """GET /api/health"""
        return _json(Health())

    async def close(self) -> None:
        await self._pipes.close()
        await self._dispatch.close()
        await self._deletions.close()
        await self.own_webhooks.close()
        await self._http.aclose()

    def _held(self, caller: Caller, place: AsyncExitStack) -> Problem | None:
        """Take a place of this process for a stream, which `place` gives back; or return why there is none."""
        try:
            place.enter_context(self._streams.held(caller))
        except Problem as problem:
            return problem
        return None

    async def _limited(self, caller: Caller, place: AsyncExitStack, full: Problem | None) -> None:
        """Take a place among the owner's. Raises `full` if there is one, and as `Limits.stream` does."""
        if full is not None:
            raise full
        await place.enter_async_context(self.limits.stream(caller))

    async def _stored(self, request: Request, full: Problem | None) -> list[Batch]:
        """What a reader without a cursor gets first, read while it is found out whether the task is the caller's.

        It is empty if nothing is to be streamed, or if that cannot be read: the stream reads it again, and says why.
        """
        with suppress(Problem, TailraceError):
            if full is None and request.method != "HEAD" and cursor_in(request) == 0:
                return await self._log.read(task_id_in(request))
        return []

    async def _owned(self, request: Request) -> Head:
        """Return the head of the caller's task. Raises as `_head_of` and `Callers.caller` do."""
        return await self._head_of(await self._callers.owner(request), request)

    async def _head_of(self, owner: Owner, request: Request) -> Head:
        """Return the head of the owner's task that the request names.

        Raises:
            TaskUnknown: there is no such task, or it is another owner's.
        """
        task_id = task_id_in(request)
        head = await self._log.head(task_id)
        if head.owner != owner.id:
            raise TaskUnknown(task_id)
        return head


def create_app(
    settings: Settings | None = None,
    *,
    log: EventLog | None = None,
    credentials: Credentials | None = None,
    decide_owner: DecideOwner = local_owner,
    host_header: str = "host",
) -> Starlette:
    """Return the gateway as an ASGI app.

    `settings` are the environment's by default. A `log` or `credentials` that are passed in stay open when the app
    closes. `decide_owner` says who owns the tasks of a request without a token. `host_header` names the header with the
    host that the browser asked for: a proxy may change `Host`.

    Raises:
        ConfigError: a setting has a wrong value.
    """
    settings = settings or Settings.load()
    set_up("gateway")
    the_log = log or open_log(settings)
    issuer = _issuer(settings)
    callers = Callers(
        settings,
        decide_owner,
        credentials=credentials,
        issuer_tokens=_issuer_tokens(settings, issuer),
        author=_authors_auth(settings),
        behind_distribution=host_header == VIEWER_HOST,
    )
    gateway = Gateway(settings, the_log, callers, host_header)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        forget_earlier_shutdown()
        yield
        await gateway.close()
        if issuer is not None:
            await issuer.close()
        await callers.close()
        if log is None:
            await the_log.close()
        await flush(last=True)

    routes = [
        *gateway.routes,
        *Account(settings, callers, gateway.limits).routes,
        *OwnCredentials(callers).routes,
        *_sign_in_routes(settings, callers, issuer, host_header),
        *gateway.own_webhooks.routes,
        *gateway.uploading.routes,
        *gateway.conversing.routes,
        *gateway.chatting.routes,
        *gateway.agui.routes,
        *gateway.front_door.routes,
    ]
    routes += OpenApi(routes).routes
    app = Starlette(
        routes=routes,
        exception_handlers=HANDLERS,
        middleware=[
            Middleware(Tracing),
            Middleware(Metering),
            Middleware(Guard, host_header=host_header, cors=settings.cors),
        ],
        lifespan=lifespan,
    )
    app.state.callers = callers
    return app


def _issuer(settings: Settings) -> Issuer | None:
    """Where people sign in; None if nowhere. Nothing is imported then, here and below."""
    if not settings.oidc_issuer:
        return None
    from gateway.oidc import Issuer

    return Issuer(settings)


def _authors_auth(settings: Settings) -> AuthorsAuth | None:
    """An author's own way to know callers. Raises as `AuthorsAuth` does, and as the author's file does."""
    if not settings.auth:
        return None
    from gateway.authors_auth import AuthorsAuth

    return AuthorsAuth(settings.auth)


def _sign_in_routes(settings: Settings, callers: Callers, issuer: Issuer | None, host_header: str) -> list[BaseRoute]:
    if issuer is None:
        return []
    from gateway.sign_in import SignIn

    return SignIn(settings, callers, issuer, host_header).routes


def _issuer_tokens(settings: Settings, issuer: Issuer | None) -> IssuerTokens | None:
    """The tokens that the issuer signs for this gateway; None if they are not taken.

    Raises:
        ConfigError: what checks them is not installed.
    """
    if issuer is None or not settings.oidc_audience:
        return None
    try:
        from gateway.issuer_tokens import IssuerTokens
    except ImportError:
        right = "left out, or PyJWT[crypto] named in functions/gateway/requirements.txt: it checks the issuer's tokens"
        raise ConfigError("TAILRACE_OIDC_AUDIENCE", settings.oidc_audience, right) from None
    return IssuerTokens(settings, issuer)


def _json(value: Any, status: int = 200) -> Response:
    return Response(encode(value), status, media_type="application/json", headers=NO_STORE)
