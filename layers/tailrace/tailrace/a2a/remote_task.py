"""A task at another agent: ask for it, and follow the answer through cuts.

An agent may send anything, and may never stop. What it sends is decoded and counted here. Too much, or something that
A2A does not know, ends the task with an `AgentError`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import NamedTuple

from tailrace.a2a.client import AgentClient
from tailrace.a2a.errors import METHOD_NOT_FOUND
from tailrace.a2a.incoming import Event, Status, Task, decoded, ended, event_in
from tailrace.a2a.received import EVENTS_A_SECOND, Received, TooMuch
from tailrace.a2a.room import Room
from tailrace.errors import AgentError
from tailrace.events import EXTENSION, INTERRUPTED, DelegatedTask, Message, now_ms

logger = logging.getLogger("tailrace.ask")

_UNSUPPORTED, _INVALID = -32004, -32602
# The agent runs but cannot answer now, for example because its log is unavailable: another try may succeed.
_INTERNAL_ERROR = -32603
# Tries, with pauses of 0.2, 0.4, 0.8, 1, 1 … s in between. After 6 s we give up an agent that has never answered. After
# 30 s without a new event we give up an agent that has our task, or one of our own that says it cannot answer now.
TRIES_TO_REACH = 9
_TRIES_TO_HOLD = 32
# How often a stream without cursors is opened again. After that the agent is asked for its task instead.
TRIES_TO_FOLLOW = 9
# How often a task that was streamed to its end is asked for.
_TRIES_TO_FETCH = 3
PAUSE_S = 0.2
LONGEST_PAUSE_S = 1.0
# Pause between two looks at a task whose agent cannot resume a stream.
POLL_S = 1.0
# How long we wait for the answer to the cancel when we give up an agent.
_CANCEL_S = 3.0
# Each of our events about another agent's task has that agent's id for it.
_MAX_TASK_ID_CHARS = 1_000
# The report's note on an agent that sends faster than it is read.
SLOWED = f"It sent more than {EVENTS_A_SECOND:,} events a second, and was read no faster."


class AgentEvent(NamedTuple):
    """An event of another agent's task, and its seq there; None from an agent without our extension."""

    seq: int | None
    event: Event


class ReplyRefused(AgentError):
    """An agent has refused a reply to its question, and its task still waits. The text says why."""


class Reply(NamedTuple):
    """The user's answer to the agent's message with the id `question`. `sent` is its time in ms since the epoch."""

    message: Message
    question: str
    sent: int


class RemoteTask:
    """One task at another agent.

    Iterate over `events()`. Then `task` is the agent's finished or waiting task, and `notes` are sentences for the
    report on how complete it is.

    `message` is sent under its own id. It is sent again only while nothing shows that it has arrived, because another
    agent may take it for new work. An agent with our extension continues the task that it has for the message.
    `before` is a task that an earlier attempt delegated: it is followed, and no message is sent, except a `reply` that
    has not arrived yet. `streaming` is what the agent's card says about streams, None if it says nothing. `limit_s` is
    how long the agent may take in all, or since the reply.
    """

    def __init__(
        self,
        client: AgentClient,
        message: Message,
        before: DelegatedTask | None = None,
        *,
        reply: Reply | None = None,
        streaming: bool | None = True,
        limit_s: float = 3600.0,
    ) -> None:
        self._client = client
        self._message = message
        self._reply = reply
        self._replied_at = reply.sent if reply is not None else 0
        self._streaming = streaming
        self._limit_s = limit_s
        self._cursor = before.cursor if before is not None else None
        self._tries, self._room = 0, Room()
        self._state = ""
        self._has_seqs = False
        self._cut = before is not None
        self._received = Received(trusted=client.own)
        self.since = before.since if before is not None and before.since else now_ms()
        self.task_id = before.task if before is not None else None
        self.task: Task | None = None
        self.notes: list[str] = []

    @property
    def left_s(self) -> float:
        """How long the agent may still take, in seconds. The time counts from when it was last asked or answered."""
        return max(0.0, self._limit_s - (now_ms() - max(self.since, self._replied_at)) / 1000)

    @property
    def url(self) -> str:
        """Where the agent is asked."""
        return self._client.url

    @property
    def cursor(self) -> int | None:
        """The seq of the last event that came; None if none has one."""
        return self._cursor

    async def events(self) -> AsyncGenerator[AgentEvent]:
        """The events of the agent's task, until it is finished or waits for input.

        An agent with our extension sends each event once. From any other the events of a cut are missing; `task` is
        complete nevertheless.

        Raises:
            ReplyRefused: the agent refused the reply. Its task still waits.
            AgentError: the agent refused, sent too much or something that is not A2A, or could not be reached any more.
        """
        if self.task_id is not None and await self._has_ended(self.task_id):
            return
        following = self._streaming is not False or self.task_id is None
        while following:
            error: AgentError | None = None
            try:
                async with aclosing(self._follow()) as stream:
                    async for event in stream:
                        yield event
            except TooMuch:
                await self._cancel()
                raise
            except AgentError as problem:
                error = problem
            finally:
                if self._received.slowed and SLOWED not in self.notes:
                    self.notes.append(SLOWED)
            following = not ended(self._state) and await self._follows_again(error)
        if self.task_id is not None:
            self.task = await self._fetch(self.task_id)

    async def _has_ended(self, task_id: str) -> bool:
        """Whether the task is finished or waits for its user, and all its events have come. Then `task` is set.

        This also finds out whether a reply has arrived. Our own agents recognize a reply that is sent again.
        """
        if self._reply is not None and self._client.own:
            return False
        try:
            task = await self._client.task(task_id)
        except AgentError as error:
            logger.info("task %s at %s cannot be fetched: %s", task_id, self._client.url, error)
            return False
        waits = task.status.state in INTERRUPTED
        if self._reply is not None:
            question = task.status.message.message_id if task.status.message is not None else ""
            if waits and question == self._reply.question:
                return False
            self._reply = None  # it has arrived
        if task.ended and (self._cursor or 0) >= seq_of(task):
            self._state, self.task = task.status.state, task
        return self.task is not None

    async def give_up(self) -> AgentError:
        """Cancel the agent's task, as far as the agent can be reached, and return the error that says so."""
        await self._cancel()
        return AgentError(f"it was not done within {self._limit_s:g} s (TAILRACE_SPECIALIST_S), and was given up")

    async def _cancel(self) -> None:
        if self.task_id is None:
            return
        try:
            await self._client.cancel(self.task_id, wait_s=_CANCEL_S)
        except AgentError as error:
            logger.warning("task %s at %s was not cancelled: %s", self.task_id, self._client.url, error)

    async def _follow(self) -> AsyncGenerator[AgentEvent]:
        """The events of one request: of a new stream, a resumed stream, or an answer without a stream.

        It ends where the task waits: some streams stay open there for what comes after a reply.
        """
        message = self._message if self.task_id is None else self._reply.message if self._reply is not None else None
        if message is not None and self._streaming is False:
            event = await self._client.send(message, wait_s=max(self.left_s, 1.0))
            self._reply = None
            yield self._note(None, event)
            return
        if message is not None:
            groups = self._client.send_streaming(message, self._cursor if self._client.own else None)
        else:
            assert self.task_id is not None, "without a task there is a message to send"
            groups = self._client.subscribe(self.task_id, self._cursor)
        async with aclosing(groups):
            async for group in groups:
                for raw in group:
                    self._received.count(len(raw.json))
                    if raw.seq is not None and self._cursor is not None and raw.seq <= self._cursor:
                        continue
                    event = event_in(decoded(raw.json, self._client.url), self._client.url)
                    self._reply = None  # it has arrived
                    yield self._note(raw.seq, event)
                    if event.status_update is not None and self._state in INTERRUPTED:
                        return
                await self._received.pause()

    def _note(self, seq: int | None, event: Event) -> AgentEvent:
        """Note what an event says about the task."""
        if event.message is not None:  # An agent may answer with a message instead of a task.
            self._state = "TASK_STATE_COMPLETED"
            self.task = Task(id="", status=Status(state=self._state, message=event.message))
        elif event.task is not None:
            self._check_task_id(event.task.id)
            self._note_status(event.task.status)
            if seq is None:
                self._received.begin(event.task)
        elif event.status_update is not None:
            self._check_task_id(event.status_update.task_id)
            self._note_status(event.status_update.status)
        elif event.artifact_update is not None:
            self._check_task_id(event.artifact_update.task_id)
            if seq is None:
                # Some agents without cursors have their artifacts nowhere else (langgraph-api 0.16.7).
                self._received.add(event.artifact_update)
        if seq is not None:
            self._cursor, self._tries, self._has_seqs, self._room = seq, 0, True, Room()
        return AgentEvent(seq, event)

    def _note_status(self, status: Status) -> None:
        self._state = status.state
        self._received.status = status

    def _check_task_id(self, task_id: str) -> None:
        """Refuse an event of another task. The first id that comes is the task's.

        Raises:
            AgentError: the id is another task's, is empty or is too long.
        """
        if not task_id or (self.task_id is not None and task_id != self.task_id):
            raise AgentError(
                f"{self._client.url} sent an event of another task than the one it was asked for.", malformed=True
            )
        if len(task_id) > _MAX_TASK_ID_CHARS:
            raise AgentError(
                f"{self._client.url} gave its task an id of more than {_MAX_TASK_ID_CHARS:,} characters.",
                malformed=True,
            )
        self.task_id = task_id

    async def _follows_again(self, error: AgentError | None) -> bool:
        """Whether to open another stream after one that ended too early, with `error` or without. If not, the agent is
        asked for its task.

        Raises:
            AgentError: `error`, if another try would end with it again or must not be made.
        """
        code = error.code if error is not None else None
        if self.task_id is None:
            if self._streaming is None and code in (_UNSUPPORTED, METHOD_NOT_FOUND):
                self._streaming = False
            else:
                await self._pause_before_sending(error)
            return True
        if self._reply is not None:
            return await self._replies_again(self.task_id, error)
        if error is not None and error.malformed:
            self.notes.append(f"What it did was not followed to the end: {error}")
            return False
        if self._streaming is False or code in (_UNSUPPORTED, METHOD_NOT_FOUND):
            return False  # The task is finished, or the agent cannot resume a stream.
        logger.info("stream of task %s was cut", self.task_id)
        self._cut = True
        if not self._client.idempotent and self._tries >= TRIES_TO_FOLLOW:
            return False
        await self._pause(error)
        return True

    async def _replies_again(self, task_id: str, error: AgentError | None) -> bool:
        """Whether to go on after a stream that brought nothing in answer to the reply.

        Raises:
            ReplyRefused: the agent does not take the reply.
            AgentError: another try would end with `error` again.
        """
        code = error.code if error is not None else None
        if code == _INVALID:
            raise ReplyRefused(str(error))
        if not self._client.own and self._streaming is not False and code in (_UNSUPPORTED, METHOD_NOT_FOUND):
            self._streaming = False  # It may take a message without a stream.
            return True
        arrived = error is None or (error.arrived and code is None and not self._client.own)
        if code == _UNSUPPORTED or arrived:
            # It has arrived before, or the task does not wait for it any more. The task may wait for the next one.
            self._reply = None
            return not await self._has_ended(task_id)
        await self._pause(error)
        return True

    async def _pause_before_sending(self, error: AgentError | None) -> None:
        """Wait before the message is sent again.

        Raises:
            AgentError: the message must not be sent again.
        """
        if error is not None and (error.malformed or (error.code is not None and not self._client.idempotent)):
            raise error
        if (error is None or error.arrived) and not self._client.idempotent:
            reason = f" ({error})" if error is not None else ""
            raise AgentError(
                f"{self._client.url} took the message and broke off without naming a task{reason}; "
                "it was not asked again, because that could be new work."
            )
        await self._pause(error)

    async def _fetch(self, task_id: str) -> Task:
        """Ask the agent for its task until it has ended, which it normally has by then.

        Raises:
            AgentError: the agent has no such task, or could not be reached any more.
        """
        has_streamed_all = ended(self._state) and not self._has_seqs and not self._cut
        self._tries = 0
        while True:
            try:
                task = await self._client.task(task_id)
                self._check_task_id(task.id)
            except AgentError as error:
                refused = error.malformed or error.code not in (None, _INTERNAL_ERROR)
                if has_streamed_all and (refused or self._tries >= _TRIES_TO_FETCH):
                    return self._as_streamed(task_id, error)
                await self._pause(error)
                continue
            if task.ended:
                return self._with_streamed(task)
            self._tries = 0
            await asyncio.sleep(POLL_S)

    def _as_streamed(self, task_id: str, error: AgentError) -> Task:
        """The task as it was streamed. GetTask has failed, because some agents forget their tasks or keep none."""
        task = self._received.task(task_id)
        if error.code is None or not task.artifacts:
            self.notes.append(f"Its task could not be fetched, so this is what it streamed: {error}")
        return task

    def _with_streamed(self, task: Task) -> Task:
        """The task, with the artifacts that were streamed if it has none."""
        if not task.artifacts:
            task.artifacts = self._received.artifacts
            if task.artifacts and self._cut:
                self.notes.append("Its stream was cut, so a part of its answer may be missing.")
        return task

    async def _pause(self, error: AgentError | None) -> None:
        """Wait until the next try.

        Raises:
            AgentError: `error`, if another try would end with it again; or this was the last try.
        """
        if error is not None and (error.code not in (None, _INTERNAL_ERROR) or error.malformed):
            raise error
        if self._client.own and await self._room.waits_after(error):
            return
        self._tries += 1
        has_answered = error is not None and error.code is not None and self._client.own
        if self._tries >= (_TRIES_TO_HOLD if self.task_id is not None or has_answered else TRIES_TO_REACH):
            raise error or AgentError(f"The stream of task {self.task_id} was cut {self._tries} times in a row.")
        await asyncio.sleep(min(PAUSE_S * 2 ** (self._tries - 1), LONGEST_PAUSE_S))


def seq_of(task: Task) -> int:
    """The seq of the last event that is in an agent's task; 0 if its agent does not say so."""
    metadata = task.metadata.get(EXTENSION)
    seq = metadata.get("seq") if isinstance(metadata, dict) else None
    return seq if isinstance(seq, int) else 0
