"""The A2A server: JSON-RPC over HTTP and SSE, protocol 1.0 and 0.3 at one URL (specification, sections 3 and 9).

Why not the official SDK's: see the design, section 6. It is our partner in the tests instead.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from email.utils import formatdate
from typing import Any

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from tailrace import sse
from tailrace.a2a import jsonrpc, v03
from tailrace.a2a.card import CARD_PATH, AgentCard, card_json
from tailrace.a2a.jsonrpc import Call, RpcError
from tailrace.a2a.task import snapshot, summary
from tailrace.a2a.types import ListTasks, SendMessage, TaskId, convert
from tailrace.agent.tasks import Tasks
from tailrace.body import read_body
from tailrace.config import Settings
from tailrace.errors import LogError, RequestTooLarge, TailraceError
from tailrace.events import EXTENSION, INTERRUPTED, TERMINAL, State, encode
from tailrace.log import Batch
from tailrace.owner import owner_of
from tailrace.reader import Gap, Idle, end_at, follow, parse_cursor
from tailrace.streaming import EventStreamResponse

logger = logging.getLogger("tailrace.a2a")

# A stream of the gateway is rotated first, and takes its pipe with it.
_GRACE_S = 5.0
_STARTED = formatdate(usegmt=True)
_STREAMS = frozenset({"SendStreamingMessage", "SubscribeToTask"})


class A2AServer:
    """Answers A2A requests from an agent's tasks."""

    def __init__(self, card: AgentCard, settings: Settings, tasks: Callable[[], Awaitable[Tasks]]) -> None:
        self._card = card
        self._settings = settings
        self._tasks = tasks
        self._methods: dict[str, Callable[[Any, str], Awaitable[Any]]] = {
            "SendMessage": self._send,
            "GetTask": self._get,
            "CancelTask": self._cancel,
            "ListTasks": self._list,
        }

    async def card(self, request: Request) -> Response:
        """GET /.well-known/agent-card.json, cacheable (section 8.6)."""
        # Where the card is, the agent is: also behind a path that leads to several agents.
        url = str(request.url.replace(query="")).removesuffix(CARD_PATH)
        body = encode(card_json(self._card, url))
        etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        headers = {"Cache-Control": "public, max-age=300", "ETag": etag, "Last-Modified": _STARTED}
        if request.headers.get("if-none-match") == etag:
            return Response(status_code=304, headers=headers)
        return Response(body, media_type="application/json", headers=headers)

    async def rpc(self, request: Request) -> Response:
        """POST /: one JSON-RPC request. Its errors are JSON-RPC errors with HTTP status 200, or 413 for its size."""
        call, method, old = Call(None, "", {}), "", False
        try:
            call = jsonrpc.parse_call(await read_body(request, self._settings.max_request_bytes))
            method, old = _version(call, request)
            params = v03.params_from_03(call.params) if old else call.params
            tasks = await self._tasks()
            if method in _STREAMS:
                return await self._stream(method, params, call, request, tasks, old=old)
            if method not in self._methods:
                raise _unserved(method, call.method, old=old)
            result = await self._methods[method](params, owner_of(request))
            if old:
                result = v03.task_to_03(result.get("task", result))
            return _answer(jsonrpc.success(call.id, result), old=old)
        except RequestTooLarge as error:
            status = 413 if not call.method else 200
            return _answer(jsonrpc.failure(call.id, jsonrpc.as_rpc_error(error)), old=old, status=status)
        except TailraceError as error:
            body = jsonrpc.failure(call.id, jsonrpc.as_rpc_error(error))
            if old and method in _STREAMS:
                # The 0.3 SDKs read nothing but a stream here. Whatever is wrong, it is the only thing in it.
                return Response(b"data: %b\n\n" % body, media_type=sse.MEDIA_TYPE, headers=sse.HEADERS)
            return _answer(body, old=old)
        except ClientDisconnect:
            return Response(status_code=400)  # to nobody
        except Exception:
            logger.exception("%s failed", call.method)
            return _answer(jsonrpc.failure(call.id, jsonrpc.internal_error()), old=old)

    # Methods that answer once

    async def _send(self, params: Any, owner: str) -> Any:
        tasks = await self._tasks()
        sent = convert(params, SendMessage)
        head = await tasks.send(sent.message, owner)
        if not sent.configuration.return_immediately:
            async for _ in self._events(tasks, head.task_id, await tasks.log.last(head.task_id) - 1):
                pass
        shot = await snapshot(tasks.log, head.task_id, history_length=sent.configuration.history_length)
        return {"task": shot.task}

    async def _get(self, params: Any, owner: str) -> Any:
        tasks, asked = await self._tasks(), convert(params, TaskId)
        await tasks.revive(await tasks.owned(asked.id, owner))
        return (await snapshot(tasks.log, asked.id, history_length=asked.history_length)).task

    async def _cancel(self, params: Any, owner: str) -> Any:
        tasks, asked = await self._tasks(), convert(params, TaskId)
        await tasks.cancel(asked.id, owner)
        return (await snapshot(tasks.log, asked.id)).task

    async def _list(self, params: Any, owner: str) -> Any:
        tasks, asked = await self._tasks(), convert(params, ListTasks)
        page = await tasks.log.list(owner, limit=asked.page_size, token=asked.page_token)
        shown = [
            summary(head)
            for head in page.heads
            if head.agent == self._card.name
            and asked.context_id in ("", head.context_id)
            and asked.status in ("", "TASK_STATE_UNSPECIFIED", head.state)
        ]
        return {
            "tasks": shown,
            "nextPageToken": page.next_token,
            "pageSize": asked.page_size,
            "totalSize": len(shown),
        }

    # Methods that stream

    async def _stream(
        self, method: str, params: Any, call: Call, request: Request, tasks: Tasks, *, old: bool
    ) -> Response:
        """The SSE answer; everything that can be refused is refused before it begins."""
        owner, resumed = owner_of(request), cursor_of(request)
        past_input = method == "SubscribeToTask"
        if past_input:
            head = await tasks.owned(convert(params, TaskId).id, owner)
            if resumed is None and head.state in TERMINAL:
                raise jsonrpc.unsupported_operation(
                    f"Task {head.task_id!r} is finished ({head.state}); GetTask has its result, and Last-Event-ID: 0 "
                    "replays its events."
                )
        else:
            message = convert(params, SendMessage).message
            head = await tasks.send(message, owner)
            if resumed is None and message.task_id is None:
                resumed = 0  # a new task's first event is the task itself
        over = resumed is not None and _is_end(await end_at(tasks.log, head.task_id, resumed), past_input)
        frames = self._frames(tasks, head.task_id, resumed, call, past_input=past_input, old=old, over=over)
        headers = {"A2A-Version": "0.3" if old else "1.0", "A2A-Extensions": EXTENSION}
        return EventStreamResponse(frames, limit_s=self._settings.rotate_s + _GRACE_S, headers=headers)

    async def _frames(
        self,
        tasks: Tasks,
        task_id: str,
        resumed: int | None,
        call: Call,
        *,
        past_input: bool,
        old: bool,
        over: bool,
    ) -> AsyncGenerator[bytes]:
        if over:
            return
        envelope = sse.Envelope(call.id)
        try:
            cursor = resumed
            if cursor is None:
                shot = await snapshot(tasks.log, task_id)
                first = {"task": shot.task}
                yield envelope.frame(shot.seq, encode(v03.event_to_03(first) if old else first))
                cursor = shot.seq
                if _is_end(shot.task["status"]["state"], past_input):
                    return
            async for batch in self._events(tasks, task_id, cursor, past_input=past_input):
                if batch is None:
                    yield sse.HEARTBEAT
                elif old:
                    yield envelope.frames(_converted(batch))
                else:
                    yield envelope.frames(batch)
        except LogError as error:
            # The stream ends without an end: the client sees a cut and comes back.
            logger.warning("stream of task %s is cut: %s", task_id, error)

    async def _events(
        self, tasks: Tasks, task_id: str, cursor: int, *, past_input: bool = False
    ) -> AsyncGenerator[Batch | None]:
        """The task's events after the cursor until it ends; None after a silence."""
        items = follow(
            tasks.log, tasks.feeds, task_id, max(cursor, 0), idle_s=self._settings.heartbeat_s, past_input=past_input
        )
        async for item in items:
            if isinstance(item, Batch):
                yield item
            elif isinstance(item, Idle):
                yield None
            elif isinstance(item, Gap):
                logger.warning("events %d to %d of task %s are gone", item.first, item.last, task_id)


def cursor_of(request: Request) -> int | None:
    """The cursor in `Last-Event-ID`, None when there is none.

    Raises:
        RequestError: it is no seq.
    """
    given = request.headers.get("last-event-id")
    return None if given is None else parse_cursor(given, "Last-Event-ID")


def _version(call: Call, request: Request) -> tuple[str, bool]:
    """The method by its 1.0 name, and whether the caller speaks 0.3.

    The header decides, but for its patch number; without one it is 0.3, unless the method's name is one of
    1.0's (section 3.6).
    """
    asked = request.headers.get("a2a-version") or request.query_params.get("A2A-Version", "")
    version = ".".join(asked.split(".")[:2])
    if version not in ("", "1.0", "0.3"):
        raise jsonrpc.version_not_supported(asked)
    old = call.method in v03.METHODS
    if version and old != (version == "0.3"):
        raise jsonrpc.method_not_found(call.method)
    return v03.METHODS.get(call.method, call.method), old


def _is_end(state: State | None, past_input: bool) -> bool:
    """Whether a stream has no more to say once it has told `state`."""
    return state in TERMINAL or (state in INTERRUPTED and not past_input)


def _unserved(method: str, name: str, *, old: bool) -> RpcError:
    if method.endswith(("PushNotificationConfig", "PushNotificationConfigs")):
        return jsonrpc.push_not_supported()
    if method == "GetExtendedAgentCard":
        if old:
            return jsonrpc.no_extended_card()
        return jsonrpc.unsupported_operation("This agent has no extended card.")
    return jsonrpc.method_not_found(name)


def _converted(batch: Batch) -> Batch:
    converted = [encode(v03.event_to_03(msgspec.json.decode(event))) for event in batch.events]
    return Batch(batch.seq, batch.attempt, converted)


def _answer(body: bytes, *, old: bool, status: int = 200) -> Response:
    headers = {"A2A-Version": "0.3" if old else "1.0"}
    return Response(body, status_code=status, media_type="application/json", headers=headers)
