"""The gateway's routes (docs/PROTOCOL.md, section 6)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.contexts import Contexts
from gateway.conversations import Conversing
from gateway.deletion import Deletion
from gateway.guard import Guard
from gateway.owner import local_owner, owner_in
from gateway.pipes import Pipes
from gateway.problems import NO_STORE, Problem, on_problem
from gateway.requests import complete, cursor_in, idempotency_key, page_size_in, read_message, read_task, task_id_in
from gateway.streams import Streams
from gateway.task_endings import TaskEndings
from gateway.uploads import Uploading
from tailrace.a2a.bundle import Agents
from tailrace.a2a.client import new_http
from tailrace.a2a.identity import fingerprint_of, task_id_of
from tailrace.a2a.task import snapshot, summary
from tailrace.agent.deletions import Deletions
from tailrace.aws import on_lambda
from tailrace.config import Settings
from tailrace.errors import TailraceError, TaskUnknown
from tailrace.events import encode
from tailrace.log import EventLog, Head, open_log
from tailrace.owner import DecideOwner, Owner
from tailrace.stream import sse
from tailrace.stream.reader import end_at
from tailrace.stream.response import EventStreamResponse, forget_earlier_shutdown


class Gateway:
    """The handlers of every route, over one log."""

    def __init__(self, settings: Settings, log: EventLog, decide_owner: DecideOwner) -> None:
        self._settings = settings
        self._log = log
        self._decide_owner = decide_owner
        self.uploading = Uploading(settings, decide_owner)
        self._http = new_http()
        self._agents = Agents(self._http, settings)
        self._contexts = Contexts(log, self._agents)
        self._endings = TaskEndings(log, settings, self._http, self._agents)
        self._pipes = Pipes(log, settings, self._agents, self._endings)
        self._deletions = Deletions(settings, log, self._agents)
        self.conversing = Conversing(settings, log, decide_owner, Deletion(log, self._deletions))
        self._streams = Streams(log, self._pipes, settings)

    async def tasks(self, request: Request) -> Response:
        """/api/tasks: one route, so that a 405 names both methods."""
        return await (self.create_task if request.method == "POST" else self.list_tasks)(request)

    async def create_task(self, request: Request) -> Response:
        """POST /api/tasks"""
        owner = self._owner(request).id
        body = await read_task(request, self._settings.max_request_bytes)
        sent, agent = body.message, body.agent or self._settings.orchestrator
        await self._agents.check(agent)
        key = idempotency_key(request, sent)
        task_id = task_id_of(owner, agent, key)
        # Derived like the task's id, so that the same request has the same fingerprint.
        context_id = sent.context_id or task_id_of(owner, agent, f"context {key}")
        message = complete(sent, message_id=sent.message_id or task_id, task_id=task_id, context_id=context_id)
        stored = message.stored()
        await self.uploading.check(stored, owner)
        head = Head(
            task_id=task_id, owner=owner, context_id=context_id, agent=agent, fingerprint=fingerprint_of(message)
        )
        head = await self._contexts.create(head, stored, new=sent.context_id is None)
        if not on_lambda():  # there a pipe would be frozen with this request; the first viewer opens it
            await self._pipes.open(head)
        stream_url = f"/api/stream/{task_id}"
        return _json({"id": task_id, "contextId": context_id, "streamUrl": stream_url}, 201)

    async def list_tasks(self, request: Request) -> Response:
        """GET /api/tasks"""
        owner, size = self._owner(request).id, page_size_in(request)
        page = await self._log.list(owner, limit=size, token=request.query_params.get("pageToken", ""))
        return _json({"tasks": [summary(head) for head in page.heads], "nextPageToken": page.next_token})

    async def get_task(self, request: Request) -> Response:
        """GET /api/tasks/{id}"""
        head = await self._owned(request)
        return _json((await snapshot(self._log, head.task_id)).task)

    async def reply(self, request: Request) -> Response:
        """POST /api/tasks/{id}/messages"""
        head = await self._owned(request)
        sent = await read_message(request, self._settings.max_request_bytes)
        message_id = sent.message_id or idempotency_key(request, sent)
        context_id = sent.context_id or head.context_id  # The agent refuses another one.
        message = complete(sent, message_id=message_id, task_id=head.task_id, context_id=context_id)
        stored = message.stored()
        await self.uploading.check(stored, head.owner)
        await self._contexts.keep(head)
        await (await self._agents.client(head.agent, head.owner)).send(stored)
        return _json({"id": head.task_id, "contextId": head.context_id}, 202)

    async def cancel(self, request: Request) -> Response:
        """POST /api/tasks/{id}/cancel"""
        head = await self._owned(request)
        await self._endings.cancel(head.task_id)
        return _json({"id": head.task_id}, 202)

    async def stream(self, request: Request) -> Response:
        """GET /api/stream/{id}"""
        head = await self._owned(request)
        cursor = cursor_in(request)
        if await end_at(self._log, head.task_id, cursor) is not None:
            return Response(status_code=204, headers=NO_STORE)
        if request.method == "HEAD":
            return Response(media_type=sse.MEDIA_TYPE, headers=sse.HEADERS)
        self._streams.refuse_when_full()
        return EventStreamResponse(self._streams.chunks(head, cursor), self._settings)

    async def streams(self, request: Request) -> Response:
        """GET /api/streams"""
        owner = self._owner(request)
        streams = [msgspec.structs.replace(stream, owner=owner.name) for stream in self._streams.of(owner.id)]
        return _json({"streams": msgspec.to_builtins(streams), "limit": self._settings.max_streams})

    async def agents(self, request: Request) -> Response:
        """GET /api/agents"""
        self._owner(request)
        return _json({"agents": await self._agents.listed(), "prices": self._settings.prices})

    async def health(self, _: Request) -> Response:
        """GET /api/health"""
        return _json({"status": "ok"})

    async def close(self) -> None:
        await self._pipes.close()
        await self._deletions.close()
        await self._http.aclose()

    def _owner(self, request: Request) -> Owner:
        return owner_in(request, self._decide_owner)

    async def _owned(self, request: Request) -> Head:
        """Return the head of the caller's task.

        Raises:
            TaskUnknown: there is no such task, or it is another owner's.
        """
        owner, task_id = self._owner(request).id, task_id_in(request)
        head = await self._log.head(task_id)
        if head.owner != owner:
            raise TaskUnknown(task_id)
        return head


def create_app(
    settings: Settings | None = None,
    *,
    log: EventLog | None = None,
    decide_owner: DecideOwner = local_owner,
    host_header: str = "host",
) -> Starlette:
    """Return the gateway as an ASGI app.

    `settings` are the environment's by default. A `log` that is passed in stays open when the app closes.
    `decide_owner` says who owns a request's tasks. `host_header` names the header with the host that the browser asked
    for: a proxy may change `Host`.

    Raises:
        ConfigError: a setting has a wrong value.
    """
    settings = settings or Settings.load()
    the_log = log or open_log(settings)
    gateway = Gateway(settings, the_log, decide_owner)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        forget_earlier_shutdown()
        yield
        await gateway.close()
        if log is None:
            await the_log.close()

    return Starlette(
        routes=[
            Route("/api/tasks", gateway.tasks, methods=["GET", "POST"]),
            Route("/api/tasks/{task_id}", gateway.get_task, methods=["GET"]),
            Route("/api/tasks/{task_id}/messages", gateway.reply, methods=["POST"]),
            Route("/api/tasks/{task_id}/cancel", gateway.cancel, methods=["POST"]),
            Route("/api/stream/{task_id}", gateway.stream, methods=["GET"]),
            Route("/api/streams", gateway.streams, methods=["GET"]),
            Route("/api/agents", gateway.agents, methods=["GET"]),
            Route("/api/health", gateway.health, methods=["GET"]),
            *gateway.uploading.routes,
            *gateway.conversing.routes,
        ],
        exception_handlers=dict.fromkeys(
            (Exception, ClientDisconnect, HTTPException, Problem, TailraceError), on_problem
        ),
        middleware=[Middleware(Guard, host_header=host_header)],
        lifespan=lifespan,
    )


def _json(value: Any, status: int = 200) -> Response:
    return Response(encode(value), status, media_type="application/json", headers=NO_STORE)
