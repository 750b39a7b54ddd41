"""The routes of AG-UI (docs/FRONTENDS.md).

    POST /api/agui/{agent}            a run: it begins a task, or answers what the thread's task asks
    POST /api/agui/{agent}/connect    the thread as it is: its messages, and the run that is under way

A thread is a conversation with the agent, its id the `contextId`. A request with the `runId` of a run that exists joins
it, so a client whose request was cut makes it again. A stream shows what is in the log: closing it stops nothing.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing
from functools import partial
from typing import Any, NamedTuple

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from gateway.agui import events as ag
from gateway.agui.input import EXAMPLE, MAX_BODY, RunAgentInput
from gateway.agui.projection import Projection, Run
from gateway.agui.streaming import RunFraming, tell
from gateway.api_route import STREAM, ApiRoute, Operation
from gateway.callers import Caller, Callers
from gateway.conversations import tasks_of
from gateway.held_stream import HeldStream
from gateway.problems import NO_STORE, Problem
from gateway.requests import read_json
from gateway.sending import Sending
from gateway.stored_events import latest_task, task_of
from gateway.streams import Streams
from gateway.task_cursor import TASK_CURSOR, TaskCursor, task_cursor_in
from gateway.task_endings import TaskEndings
from tailrace.a2a.bundle import Agents
from tailrace.a2a.identity import conversation_id_of, task_id_of
from tailrace.config import Settings
from tailrace.errors import RequestError, TaskFinished, TaskUnknown, shorten
from tailrace.events import INTERRUPTED, TERMINAL, encode
from tailrace.log import EventLog, Head
from tailrace.stream import sse

# So many tasks of a thread are in the messages of who joins it.
_TASKS = 50


class _Place(NamedTuple):
    """Where a stream goes on: after `seq`, with what the client has. `run` is the one that it joins, if it does."""

    head: Head
    projection: Projection
    seq: int
    run: Run | None = None


class Agui:
    """The routes of runs and threads."""

    def __init__(
        self,
        settings: Settings,
        log: EventLog,
        callers: Callers,
        streams: Streams,
        sending: Sending,
        endings: TaskEndings,
        agents: Agents,
    ) -> None:
        self._settings = settings
        self._log = log
        self._callers = callers
        self._streams = streams
        self._sending = sending
        self._endings = endings
        self._agents = agents

    @property
    def routes(self) -> list[BaseRoute]:
        shape: dict[str, Any] = {"takes": RunAgentInput, "parameters": TASK_CURSOR[:1], "media_type": STREAM}
        over = {204: "The run is over at this cursor."}
        run = Operation(
            *(self.run, "Run an agent: AG-UI's run input, and its events."),
            also={**over, 409: "The thread has an unfinished run, or none that asks.", 502: ""},
            **shape,
        )
        connect = Operation(
            *(self.connect, "Join a thread of AG-UI: its messages, and the run that is under way."), also=over, **shape
        )
        return [ApiRoute("/api/agui/{agent}", POST=run), ApiRoute("/api/agui/{agent}/connect", POST=connect)]

    async def run(self, request: Request) -> Response:
        """POST /api/agui/{agent}"""
        caller, agent = await self._callers.caller(request), request.path_params["agent"]
        body = await read_json(request, MAX_BODY, RunAgentInput, EXAMPLE)
        async with AsyncExitStack() as stack:
            # All that may be refused comes before anything is begun.
            await stack.enter_async_context(self._streams.place(caller))
            if (cursor := task_cursor_in(request)) is not None:
                return self._resumed(caller, await self._after(caller, agent, body, cursor, body.messages), stack)
            if (cancelled := await self._abandoned(caller, agent, body)) is not None:
                return cancelled
            return self._stream(caller, await self._sent(caller, agent, body), stack)

    async def connect(self, request: Request) -> Response:
        """POST /api/agui/{agent}/connect"""
        caller, agent = await self._callers.caller(request, reads=True), request.path_params["agent"]
        body = await read_json(request, MAX_BODY, RunAgentInput, EXAMPLE)
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._streams.place(caller))
            latest = await latest_task(self._log, caller.owner.id, agent, body.thread_id)
            cursor = task_cursor_in(request)
            if latest is None:
                raise Problem(404, f"There is no thread {shorten(body.thread_id)!r} with the agent {shorten(agent)!r}.")
            if cursor is not None:
                latest = await self._head_of(caller, cursor.task_id, agent, body.thread_id)
            earlier = await self._history(latest)
            if cursor is not None:
                return self._resumed(caller, await self._after(caller, agent, body, cursor, earlier), stack)
            place = await self._joining(latest, body, earlier)
            return self._stream(caller, place._replace(run=place.projection.runs[-1]), stack)

    def _resumed(self, caller: Caller, place: _Place, stack: AsyncExitStack) -> Response:
        """The rest of the run that was under way at a cursor; 204 if there is none."""
        if place.projection.run is None:
            return Response(status_code=204, headers=NO_STORE)
        return self._stream(caller, place, stack)

    def _stream(self, caller: Caller, place: _Place, stack: AsyncExitStack) -> Response:
        framing = RunFraming(place.projection)
        first = b"" if place.run is None else framing.told(place.seq, place.projection.joined(place.run))
        if framing.is_over:
            return Response(first, media_type=sse.MEDIA_TYPE, headers=sse.HEADERS)
        holds = partial(self._callers.holds, caller)
        frames = self._streams.chunks(place.head, place.seq, None, holds, framing=framing)
        return HeldStream(_of_run(first, frames, framing), self._settings, stack.pop_all())

    # What a run's input does

    async def _sent(self, caller: Caller, agent: str, body: RunAgentInput) -> _Place:
        """Do what the input says, and return where its run begins. A repeated one does nothing."""
        latest = await latest_task(self._log, caller.owner.id, agent, body.thread_id)
        key = f"ag-ui {body.thread_id} {body.run_id}"
        known = await task_of(self._log, caller.owner.id, task_id_of(caller.owner.id, agent, key))
        if known is not None:
            return await self._joining(known, body, body.messages)
        if latest is not None and (body.resume or latest.state not in TERMINAL):
            place = await self._joining(latest, body, body.messages)
            if place.run is not None:
                return place
            if place.projection.task_state in INTERRUPTED:
                await self._sending.reply(latest, *self._reply(body, place.projection))
                return place
        if body.resume:
            raise Problem(409, f"The thread {shorten(body.thread_id)!r} has no run that waits for a `resume`.")
        try:
            await self._agents.check(agent)
        except RequestError as error:
            raise Problem(404, str(error)) from None
        sent: list[str] = []
        if latest is not None and len(body.newest()) > 1:  # an earlier run may have ended without a word
            sent = (await self._joining(latest, body, [])).projection.transcript.of_user
        head = await self._sending.begin(caller, agent, body.message(sent), key)
        return _Place(head, self._projection(head, body, body.messages), 0)

    def _reply(self, body: RunAgentInput, projection: Projection) -> tuple[Any, str]:
        """The answer to what the task asks, and its id: a run that is made again sends the same."""
        if not body.resume:
            message = body.message(projection.transcript.of_user)
            return message, message.message_id or f"ag-ui {body.run_id}"
        asked = projection.asked
        answers = {each.interrupt_id: each.payload for each in body.resume}
        part: dict[str, Any] = {"data": {"answers": answers}}
        if asked is not None and list(answers) == [asked.message_id]:  # a question without an id of its own
            (payload,) = answers.values()
            part = {"text": payload} if isinstance(payload, str) else {"data": payload}
        message_id = f"ag-ui {body.run_id}"
        return body.reply(part, message_id), message_id

    async def _abandoned(self, caller: Caller, agent: str, body: RunAgentInput) -> Response | None:
        """Cancel the task whose question is abandoned: its graph cannot go on without an answer. None if none is."""
        if not any(each.status == "cancelled" for each in body.resume or ()):
            return None
        latest = await latest_task(self._log, caller.owner.id, agent, body.thread_id)
        # The log knows it before the task's head does.
        projection = None if latest is None else (await self._joining(latest, body, [])).projection
        state = None if projection is None else projection.task_state
        if latest is None or projection is None or state not in (*INTERRUPTED, "TASK_STATE_CANCELED"):
            raise Problem(409, f"The thread {shorten(body.thread_id)!r} has no run that waits for a `resume`.")
        if state in INTERRUPTED:
            _check_open(body, projection)
            try:
                await self._endings.cancel(latest.task_id)
            except TaskFinished as error:
                raise Problem(409, str(error)) from None
        run = ag.RunMetadata(ag.OfRun(latest.task_id, agent))
        told = [
            ag.RunStarted(body.thread_id, body.run_id, ag.VERSION, run),
            ag.RunFinished(body.thread_id, body.run_id, ag.Cancelled()),
        ]
        frames = b"".join(b"data: %b\n\n" % encode(each) for each in told)
        return Response(frames, media_type=sse.MEDIA_TYPE, headers=sse.HEADERS)

    # Where streams begin

    async def _joining(self, head: Head, body: RunAgentInput, earlier: list[Any]) -> _Place:
        """The place of a client that has nothing of a task yet. Its `run` is the one that the input names."""
        projection = self._projection(head, body, earlier)
        seq = await tell(self._log, projection)
        return _Place(head, projection, seq, projection.run_named(body.run_id))

    async def _after(
        self, caller: Caller, agent: str, body: RunAgentInput, cursor: TaskCursor, earlier: list[Any]
    ) -> _Place:
        """The place of a client that has all up to the cursor.

        Raises:
            TaskUnknown: it is not of a task of the thread.
            RequestError: it is beyond the task's events.
        """
        head = await self._head_of(caller, cursor.task_id, agent, body.thread_id)
        projection = self._projection(head, body, earlier)
        seq = await tell(self._log, projection, cursor.seq)
        if seq < cursor.seq:
            raise RequestError(f"The cursor is {cursor.seq}, but the newest event of the task is {seq}.")
        return _Place(head, projection, seq)

    def _projection(self, head: Head, body: RunAgentInput, earlier: list[Any]) -> Projection:
        return Projection.of(head.task_id, body.thread_id, earlier=earlier, state=body.state)

    async def _history(self, latest: Head) -> list[Any]:
        """The messages of the thread's tasks before the latest one."""
        record = await self._log.conversations.get(conversation_id_of(latest.owner, latest.agent, latest.context_id))
        tasks = [] if record is None else (await tasks_of(self._log, record, _TASKS))[0]
        turns: list[Projection] = []
        for head in reversed(tasks):
            if (head.created, head.task_id) > (latest.created, latest.task_id):
                break
            projection = Projection.of(head.task_id, head.context_id, earlier=[], state=None)
            await tell(self._log, projection, 1 if head.task_id == latest.task_id else None)
            if projection.after is not msgspec.UNSET:  # What came after that task was asked again, in other words.
                known = [each.task_id for each in turns]
                turns = turns[: known.index(projection.after) + 1] if projection.after in known else []
            turns.append(projection)
        return [message for each in turns if each.task_id != latest.task_id for message in each.transcript.messages]

    async def _head_of(self, caller: Caller, task_id: str, agent: str, thread_id: str) -> Head:
        head = await task_of(self._log, caller.owner.id, task_id)
        if head is None or (head.agent, head.context_id) != (agent, thread_id):
            raise TaskUnknown(task_id)
        return head


def _check_open(body: RunAgentInput, projection: Projection) -> None:
    """Refuse what a client abandons that has not seen the newest questions: somebody else has answered in between."""
    asked = projection.open_interrupts
    for each in body.resume or ():
        if each.interrupt_id not in asked:
            named, open_ones = shorten(each.interrupt_id), ", ".join(asked)
            raise RequestError(
                f"`resume` names {named!r}, which the run does not ask. Open: {open_ones}. The task still waits."
            )


async def _of_run(first: bytes, frames: AsyncGenerator[bytes], framing: RunFraming) -> AsyncGenerator[bytes]:
    """The frames of one run: another one may follow in the task."""
    async with aclosing(frames):
        if first:
            yield first
        async for each in frames:
            yield each
            if framing.is_over:
                return
