"""Ask another agent, and hold on to the answer through cuts: what an orchestrator does with each specialist.

What an agent sends may be anything, and may never end. Here it is decoded and counted; what is too much, or is nothing
that A2A knows, ends the conversation with an `AgentError`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, NamedTuple

from tailrace.a2a.client import AgentClient
from tailrace.a2a.incoming import Event, Status, Task, decoded, ended, event_in
from tailrace.a2a.received import EVENTS_A_SECOND, Received, TooMuch
from tailrace.authoring.run_context import DelegatedTask
from tailrace.errors import AgentError
from tailrace.events import now_ms

logger = logging.getLogger("tailrace.ask")

_METHOD_NOT_FOUND, _UNSUPPORTED = -32601, -32004
# The agent is there and cannot answer now, as when its log is away: the next try may go well.
_INTERNAL_ERROR = -32603
# Tries, with pauses of 0.2, 0.4, 0.8, 1, 1 … s in between. An agent that has never answered is given up after 6 s; one
# that has our task, or is our own and says that it cannot now, after 30 s in which nothing new has come.
_TRIES_TO_REACH = 9
_TRIES_TO_HOLD = 32
# How often a stream without cursors is taken up again. After that the agent is asked for its task instead.
_TRIES_TO_FOLLOW = 9
# How often the result of a task is asked for that was streamed to its end.
_TRIES_TO_FETCH = 3
_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 1.0
# How often to look at a task whose agent cannot take up a stream again.
_POLL_S = 1.0
# How long an agent that is given up has to hear of it.
_CANCEL_S = 3.0
# An agent's name for its task stands in each of our events about it.
_LONGEST_TASK_ID = 1_000
# What the report says of an agent that is faster than it is read.
SLOWED = f"It sent more than {EVENTS_A_SECOND:,} events a second, and was read no faster."


class AgentEvent(NamedTuple):
    """An event that an agent has told, and its seq there; None from an agent without our extension."""

    seq: int | None
    event: Event


class Conversation:
    """One task at another agent.

    `message` is sent under its own `messageId`, and again only as long as nothing shows that it has arrived: another
    agent may take it for new work. One of ours, or with our extension, goes on with the task it has for the message.
    `before` is what is known of a task that was begun earlier: it is joined instead. `streaming` is what the agent's
    card says; None: nothing. Iterate over `events()`, then look at `task`, and at `notes`: what there is to say of how
    it was got.
    """

    def __init__(
        self,
        client: AgentClient,
        message: dict[str, Any],
        before: DelegatedTask | None = None,
        *,
        streaming: bool | None = True,
        limit_s: float = 3600.0,
    ) -> None:
        self._client = client
        self._message = message
        self._streaming = streaming
        self._limit_s = limit_s
        self._cursor = before.cursor if before is not None else None
        self._tries = 0
        self._state = ""
        self._numbered = False
        self._cut = before is not None
        self._received = Received(trusted=client.own)
        self.since = before.since if before is not None and before.since else now_ms()
        self.task_id = before.task if before is not None else None
        self.task: Task | None = None
        self.notes: list[str] = []

    @property
    def left_s(self) -> float:
        """How long the agent may still take, counted from when it was first asked."""
        return max(0.0, self._limit_s - (now_ms() - self.since) / 1000)

    async def events(self) -> AsyncGenerator[AgentEvent]:
        """What the agent tells, until the task is finished or waits for input.

        From an agent of ours each event comes once; from one without cursors what happens during a cut
        is missed. Either way `task` is then complete.

        Raises:
            AgentError: the agent refused, sent what cannot be read or is too much, or could not be reached any more.
        """
        following = self._streaming is not False or self.task_id is None
        while following:
            error: AgentError | None = None
            try:
                async with aclosing(self._follow()) as stream:
                    async for told in stream:
                        yield told
            except TooMuch:
                await self._cancel()
                raise
            except AgentError as problem:
                error = problem
            finally:
                if self._received.slowed and SLOWED not in self.notes:
                    self.notes.append(SLOWED)
            following = not self._ended and await self._goes_on_following(error)
        if self.task_id is not None:
            self.task = await self._whole(self.task_id)

    async def give_up(self) -> AgentError:
        """Have the agent stop, if it hears of it. The error that says so."""
        await self._cancel()
        return AgentError(f"it was not done within {self._limit_s:g} s (TAILRACE_SPECIALIST_S), and was given up")

    async def _cancel(self) -> None:
        if self.task_id is None:
            return
        try:
            await self._client.call("CancelTask", {"id": self.task_id}, wait_s=_CANCEL_S)
        except AgentError as error:
            logger.warning("task %s at %s was not cancelled: %s", self.task_id, self._client.url, error)

    async def _follow(self) -> AsyncGenerator[AgentEvent]:
        if self.task_id is None and self._streaming is False:
            yield self._noted(None, await self._client.send(self._message, wait_s=max(self.left_s, 1.0)))
            return
        if self.task_id is None:
            groups = self._client.stream("SendStreamingMessage", {"message": self._message})
        else:
            groups = self._client.stream("SubscribeToTask", {"id": self.task_id}, last_event_id=self._cursor)
        async with aclosing(groups):
            async for group in groups:
                for incoming in group:
                    self._received.count(len(incoming.event))
                    if incoming.seq is not None and self._cursor is not None and incoming.seq <= self._cursor:
                        continue
                    event = event_in(decoded(incoming.event, self._client.url), self._client.url)
                    yield self._noted(incoming.seq, event)
                await self._received.pause()

    def _noted(self, seq: int | None, event: Event) -> AgentEvent:
        if event.message is not None:  # An agent may answer with a message instead of a task.
            self._state = "TASK_STATE_COMPLETED"
            self.task = Task(id="", status=Status(state=self._state, message=event.message))
        elif event.task is not None:
            self._is_ours(event.task.id)
            self._note_status(event.task.status)
            if seq is None:
                self._received.begin(event.task)
        elif event.status_update is not None:
            self._is_ours(event.status_update.task_id)
            self._note_status(event.status_update.status)
        elif event.artifact_update is not None:
            self._is_ours(event.artifact_update.task_id)
            if seq is None:
                # An agent without cursors: some tell it nowhere else (langgraph-api 0.16.7).
                self._received.add(event.artifact_update)
        if seq is not None:
            self._cursor, self._tries, self._numbered = seq, 0, True
        return AgentEvent(seq, event)

    def _note_status(self, status: Status) -> None:
        self._state = status.state
        self._received.status = status

    def _is_ours(self, task_id: str) -> None:
        if not task_id or (self.task_id is not None and task_id != self.task_id):
            raise AgentError(f"{self._client.url} told of another task than the one it was asked for.", malformed=True)
        if len(task_id) > _LONGEST_TASK_ID:
            raise AgentError(
                f"{self._client.url} gave its task an id of more than {_LONGEST_TASK_ID:,} characters.", malformed=True
            )
        self.task_id = task_id

    async def _goes_on_following(self, error: AgentError | None) -> bool:
        """Whether there is to be another stream after one that ended too early; else the task is asked for.

        Raises the error if another try would meet with it again, or must not be made.
        """
        code = error.code if error is not None else None
        if self.task_id is None:
            if self._streaming is None and code in (_UNSUPPORTED, _METHOD_NOT_FOUND):
                self._streaming = False
            else:
                await self._pause_before_sending(error)
            return True
        if error is not None and error.malformed:
            self.notes.append(f"What it did was not followed to the end: {error}")
            return False
        if self._streaming is False or code in (_UNSUPPORTED, _METHOD_NOT_FOUND):
            return False  # It is finished, or the agent does not know how.
        logger.info("stream of task %s was cut", self.task_id)
        self._cut = True
        if not self._client.idempotent and self._tries >= _TRIES_TO_FOLLOW:
            return False
        await self._pause(error)
        return True

    async def _pause_before_sending(self, error: AgentError | None) -> None:
        """Wait before the message is sent once more; raise if it must not be."""
        if error is not None and (error.malformed or (error.code is not None and not self._client.idempotent)):
            raise error
        if (error is None or error.arrived) and not self._client.idempotent:
            said = f" ({error})" if error is not None else ""
            raise AgentError(
                f"{self._client.url} took the message and broke off without naming a task{said}; "
                "it was not asked again, because that could be new work."
            )
        await self._pause(error)

    async def _whole(self, task_id: str) -> Task:
        """The task as the agent has it, once it has ended: normally at once."""
        streamed = ended(self._state) and not self._numbered and not self._cut
        self._tries = 0
        while True:
            try:
                task = await self._client.task(task_id)
                self._is_ours(task.id)
            except AgentError as error:
                refused = error.malformed or error.code not in (None, _INTERNAL_ERROR)
                if streamed and (refused or self._tries >= _TRIES_TO_FETCH):
                    return self._as_streamed(task_id, error)
                await self._pause(error)
                continue
            if task.ended:
                return self._with_streamed(task)
            self._tries = 0
            await asyncio.sleep(_POLL_S)

    def _as_streamed(self, task_id: str, error: AgentError) -> Task:
        """The task as it was streamed to its end. GetTask has failed: some agents forget their tasks, or keep none."""
        task = self._received.task(task_id)
        if error.code is None or not task.artifacts:
            self.notes.append(f"Its task could not be fetched, so this is what it streamed: {error}")
        return task

    def _with_streamed(self, task: Task) -> Task:
        """The task, with what it has only streamed."""
        if not task.artifacts:
            task.artifacts = self._received.artifacts
            if task.artifacts and self._cut:
                self.notes.append("Its stream was cut, so a part of its answer may be missing.")
        return task

    @property
    def _ended(self) -> bool:
        return ended(self._state)

    async def _pause(self, error: AgentError | None) -> None:
        """Wait until the next try; raise the `error` if that would meet with it again, or was the last one."""
        if error is not None and (error.code not in (None, _INTERNAL_ERROR) or error.malformed):
            raise error
        self._tries += 1
        there = error is not None and error.code is not None and self._client.own
        if self._tries >= (_TRIES_TO_HOLD if self.task_id is not None or there else _TRIES_TO_REACH):
            raise error or AgentError(f"The stream of task {self.task_id} was cut {self._tries} times in a row.")
        await asyncio.sleep(min(_PAUSE_S * 2 ** (self._tries - 1), _LONGEST_PAUSE_S))
