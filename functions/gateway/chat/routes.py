"""The routes of the AI SDK: `useChat` talks to `/api/chat` (docs/FRONTENDS.md).

    POST /api/chat                 a message begins a task, or answers what the task asks; the answer is its stream
    GET  /api/chat/{id}/stream     the stream of the task that runs, from its beginning or a cursor, or of a message;
                                   204 if none runs
    POST /api/chat/{id}/cancel     cancels the chat's task
    GET  /api/chat/{id}            its messages, in pages of tasks

A chat is a conversation with one agent: its id is the `contextId`. A stream shows what is in the log, so closing it
stops nothing.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing, suppress
from functools import partial
from typing import NamedTuple

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from gateway.answers import Cancelling
from gateway.api_route import PAGE, STREAM, ApiRoute, Operation, Parameter
from gateway.callers import Caller, Callers
from gateway.chat.approvals import actions_of, answers_to
from gateway.chat.chunks import HEADER
from gateway.chat.history import messages_of
from gateway.chat.messages import ChatMessages
from gateway.chat.projection import GOES_ON, Projection
from gateway.chat.requests import EXAMPLE, MAX_BODY, ChatBody, UIMessage, responses_in, user_message
from gateway.chat.streaming import ChatFraming, Told, told
from gateway.held_stream import HeldStream
from gateway.problems import NO_STORE, Problem
from gateway.requests import BrowserMessage, BrowserPart, page_size_in, read_json
from gateway.sending import Sending
from gateway.stored_events import latest_task, task_of
from gateway.streams import Streams
from gateway.task_cursor import TASK_CURSOR, task_cursor_in
from gateway.task_endings import TaskEndings
from tailrace.a2a.card import CONVERSATION
from tailrace.a2a.identity import conversation_id_of
from tailrace.a2a.types import convert
from tailrace.config import Settings
from tailrace.errors import RequestError, TaskFinished, TaskUnknown, shorten
from tailrace.events import INTERRUPTED, TERMINAL, encode, ends
from tailrace.log import EventLog, Head
from tailrace.stream import sse
from tailrace.stream.reader import newest_at

# The id of a message of the assistant: its task's, and the seq with which it begins, if that is not 1.
_MESSAGE_ID = re.compile(r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(?:-([0-9]{1,15}))?")


class _Place(NamedTuple):
    """Where a stream begins: after `seq`, with what the page has. `goes_on` is as in `ChatFraming`."""

    head: Head
    projection: Projection
    seq: int
    goes_on: bool


class Chatting:
    """The routes of chats."""

    def __init__(
        self,
        settings: Settings,
        log: EventLog,
        callers: Callers,
        streams: Streams,
        sending: Sending,
        endings: TaskEndings,
    ) -> None:
        self._settings = settings
        self._log = log
        self._callers = callers
        self._streams = streams
        self._sending = sending
        self._endings = endings

    @property
    def routes(self) -> list[BaseRoute]:
        send = Operation(
            *(self.send, "Send a message of the AI SDK, and follow its answer as a UI message stream.", ChatBody),
            parameters=(Parameter("Idempotency-Key", "The same request again gets the same answer.", place="header"),),
            also={409: "The chat's task is not finished, or does not wait.", 422: "Another request has used the key.",
                  502: ""},
            media_type=STREAM,
        )  # fmt: skip
        agent = Parameter("agent", "The name of the chat's agent; the default agent's without it.")
        resume = Operation(
            *(self.resume, "Follow the answer that is being written, from its beginning or a cursor."),
            parameters=(*TASK_CURSOR, Parameter("message", "The id of a message, which comes whole."), agent),
            also={204: "None is being written."},
            media_type=STREAM,
        )
        cancel = Operation(
            *(self.cancel, "Cancel a chat's task.", None, Cancelling, 202, (agent,)),
            also={409: "It is finished.", 502: ""},
        )
        messages = Operation(
            *(self.messages, "Get the messages of a chat's newest tasks, or of older ones.", None, ChatMessages),
            parameters=(agent, *PAGE),
        )
        return [
            ApiRoute("/api/chat", POST=send),
            ApiRoute("/api/chat/{context_id:path}/stream", GET=resume),
            ApiRoute("/api/chat/{context_id:path}/cancel", POST=cancel),
            ApiRoute("/api/chat/{context_id:path}", GET=messages),
        ]

    async def send(self, request: Request) -> Response:
        """POST /api/chat"""
        caller = await self._callers.caller(request)
        body = await read_json(request, MAX_BODY, ChatBody, EXAMPLE)
        async with AsyncExitStack() as stack:
            # All that may be refused comes before anything is begun.
            await stack.enter_async_context(self._streams.place(caller))
            place = await self._sent(caller, body, request.headers.get("idempotency-key"))
            return self._stream(caller, place, stack)

    async def resume(self, request: Request) -> Response:
        """GET /api/chat/{id}/stream"""
        caller = await self._callers.caller(request)
        place = await self._place_of(caller, request)
        if place is None:
            return Response(status_code=204, headers=NO_STORE)
        newest = await newest_at(self._log, place.head.task_id, place.seq)
        if newest is not None and ends(newest):  # The reader has all but the end.
            end = ChatFraming(place.head.task_id, place.projection, goes_on=True).end()
            return Response(end, media_type=sse.MEDIA_TYPE, headers={**sse.HEADERS, **HEADER})
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._streams.place(caller))
            if request.method == "HEAD":
                return Response(media_type=sse.MEDIA_TYPE, headers={**sse.HEADERS, **HEADER})
            return self._stream(caller, place, stack)

    async def cancel(self, request: Request) -> Response:
        """POST /api/chat/{id}/cancel"""
        caller, context_id = await self._callers.caller(request), request.path_params["context_id"]
        head = await latest_task(self._log, caller.owner.id, self._agent_in(request), context_id)
        if head is None:
            raise self._unknown(context_id, self._agent_in(request))
        await self._endings.cancel(head.task_id)
        return Response(encode(Cancelling(head.task_id)), 202, media_type="application/json", headers=NO_STORE)

    async def messages(self, request: Request) -> Response:
        """GET /api/chat/{id}"""
        caller, context_id = await self._callers.caller(request), request.path_params["context_id"]
        agent = self._agent_in(request)
        record = await self._log.conversations.get(conversation_id_of(caller.owner.id, agent, context_id))
        if record is None or record.deleting is not None:
            raise self._unknown(context_id, agent)
        page = await messages_of(self._log, record, page_size_in(request), request.query_params.get("pageToken", ""))
        return Response(encode(page), media_type="application/json", headers=NO_STORE)

    def _unknown(self, context_id: str, agent: str) -> Problem:
        return Problem(404, f"There is no chat {shorten(context_id)!r} with the agent {shorten(agent)!r}.")

    def _stream(self, caller: Caller, place: _Place, stack: AsyncExitStack) -> Response:
        framing = ChatFraming(place.head.task_id, place.projection, goes_on=place.goes_on)
        holds = partial(self._callers.holds, caller)
        frames = self._streams.chunks(place.head, place.seq, None, holds, framing=framing)
        return HeldStream(_until_over(frames, framing), self._settings, stack.pop_all(), headers=HEADER)

    # What a message does

    async def _sent(self, caller: Caller, body: ChatBody, key: str | None) -> _Place:
        """Do what the page's message says, and return where its stream begins. A repeated one does nothing."""
        agent = body.agent or self._settings.orchestrator
        latest = await latest_task(self._log, caller.owner.id, agent, body.id)
        # A reply begins an attempt, so a task that ended in its first one has none. Then its log is not read.
        is_over = latest is not None and latest.state in TERMINAL and latest.attempt == 1
        now = await told(self._log, latest.task_id) if latest is not None and not is_over else None
        if body.last.role == "assistant":
            return await self._approved(latest, now, body.last)
        if body.last.role != "user":
            raise RequestError(f"The last message has role {body.last.role!r}, but must be the user's or the agent's.")
        sent = user_message(body.last, body.id)
        if latest is not None and now is not None and not body.changes_history:
            if (known := now.projection.seen.get(body.last.id)) is not None:
                return await self._from(latest, known)
            if now.projection.state in INTERRUPTED:
                await self._sending.reply(latest, sent, body.last.id)
                return _Place(latest, now.projection, now.seq, goes_on=False)
        if body.changes_history:
            after = await self._after(caller, body)
            if latest is not None and now is not None and now.projection.state in INTERRUPTED:
                with suppress(TaskFinished):  # What it asks no longer counts.
                    await self._endings.cancel(latest.task_id)
            extension = {CONVERSATION: {"after": after}}
            sent = msgspec.structs.replace(sent, metadata={**(sent.metadata or {}), **extension})
        key = key or (str(uuid.uuid4()) if body.changes_history else _key(body))
        return await self._from(await self._sending.begin(caller, agent, sent, key), 1)

    async def _approved(self, latest: Head | None, now: Told | None, message: UIMessage) -> _Place:
        """Answer the open approvals to which the assistant's message has responses."""
        if latest is None or now is None:
            raise Problem(409, "The chat has no task that could ask for an approval.")
        projection, responses = now.projection, responses_in(message)
        digest = hashlib.sha256(encode(sorted(responses.items()))).hexdigest()[:16]
        reply_id = f"{projection.message_id}{GOES_ON}{digest}"
        if (known := projection.seen.get(reply_id)) is not None:
            before = await told(self._log, latest.task_id, known - 1)
            return _Place(latest, before.projection, before.seq, goes_on=True)
        answers = answers_to(projection.questions, responses)
        if not answers:
            asked = ", ".join(each.approval_id for question in projection.questions for each in actions_of(question))
            open_ones = f"Open are {asked}." if asked else "None is open."
            raise Problem(409, f"The last message is the assistant's, and answers no open approval. {open_ones}")
        reply = BrowserMessage(parts=[convert({"data": {"answers": answers}}, BrowserPart)])
        await self._sending.reply(latest, reply, reply_id)
        return _Place(latest, projection, now.seq, goes_on=True)

    async def _after(self, caller: Caller, body: ChatBody) -> str | None:
        """The task after which a changed message begins its own: the last before it that was COMPLETED; None for none.

        Raises:
            RequestError: a message of the assistant is not this chat's.
        """
        for message in reversed(body.messages[:-1]):
            known = _MESSAGE_ID.fullmatch(message.id)
            if message.role != "assistant" or known is None:  # A page may have a greeting of its own.
                continue
            head = await task_of(self._log, caller.owner.id, known[1])
            if head is None or head.context_id != body.id:
                raise RequestError(
                    f"The chat {shorten(body.id)!r} has no message of the assistant {shorten(message.id)!r}."
                )
            if head.state == "TASK_STATE_COMPLETED":
                return head.task_id
        return None

    # Where streams begin

    async def _place_of(self, caller: Caller, request: Request) -> _Place | None:
        """Where a reader goes on; None if it has no cursor and no task runs.

        Raises:
            RequestError: the cursor is none.
            TaskUnknown: the cursor is not of a task of the chat.
            Problem: 404, the chat has no such message.
        """
        context_id, cursor = request.path_params["context_id"], task_cursor_in(request)
        if cursor is not None:
            head = await task_of(self._log, caller.owner.id, cursor.task_id)
            if head is None or head.context_id != context_id:
                raise TaskUnknown(cursor.task_id)
            projection = (await told(self._log, head.task_id, cursor.seq)).projection
            return _Place(head, projection, cursor.seq, goes_on=cursor.seq > 0)
        if message_id := request.query_params.get("message"):
            return await self._beginning_of(caller, context_id, message_id)
        head = await latest_task(self._log, caller.owner.id, self._agent_in(request), context_id)
        if head is None or head.state in TERMINAL:
            return None
        projection = (await told(self._log, head.task_id)).projection
        if projection.state in TERMINAL or projection.state in INTERRUPTED:
            return None
        return await self._from(head, projection.began)

    async def _beginning_of(self, caller: Caller, context_id: str, message_id: str) -> _Place:
        """The place of a reader that wants all of a message, which may be over."""
        known = _MESSAGE_ID.fullmatch(message_id)
        head = await task_of(self._log, caller.owner.id, known[1]) if known else None
        if known is not None and head is not None and head.context_id == context_id:
            seq = int(known[2] or 1)
            if seq == 1 or (await told(self._log, head.task_id, seq)).projection.message_id == message_id:
                return await self._from(head, seq)
        raise Problem(404, f"The chat {shorten(context_id)!r} has no message {shorten(message_id)!r}.")

    async def _from(self, head: Head, seq: int) -> _Place:
        """The place of a reader that has nothing of the message that begins with the event `seq`."""
        before = await told(self._log, head.task_id, seq - 1)
        return _Place(head, before.projection, seq - 1, goes_on=False)

    def _agent_in(self, request: Request) -> str:
        return request.query_params.get("agent") or self._settings.orchestrator


async def _until_over(frames: AsyncGenerator[bytes], framing: ChatFraming) -> AsyncGenerator[bytes]:
    """The frames of one message: another one may follow in the task."""
    async with aclosing(frames):
        async for each in frames:
            yield each
            if framing.is_over:
                return


def _key(body: ChatBody) -> str:
    """The key of a message that begins a task, for a page that sends none: the same message finds the same task."""
    return f"chat {encode([body.id, body.last.id]).decode()}"
