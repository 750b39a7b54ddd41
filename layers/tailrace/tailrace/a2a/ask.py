"""Ask another agent, and hold on to the answer through cuts: what an orchestrator does with each specialist."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import msgspec

from tailrace.a2a.client import AgentClient
from tailrace.a2a.jsonrpc import NOT_JSON
from tailrace.a2a.task import fold, joined
from tailrace.errors import AgentError
from tailrace.events import INTERRUPTED, TERMINAL
from tailrace.running import Asked

logger = logging.getLogger("tailrace.ask")

_METHOD_NOT_FOUND, _UNSUPPORTED = -32601, -32004
# The agent is there and cannot answer now, as when its log is away: the next try may go well.
_INTERNAL_ERROR = -32603
# Tries in a row, with pauses of 0.2, 0.4, 0.8, 1, 1 … s in between; each event starts afresh. An agent that has never
# answered is given up after 6 s; one that has our task, or says that it cannot now, after 30.
_TRIES_TO_REACH = 9
_TRIES_TO_HOLD = 32
_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 1.0
# How often to look at a task whose agent cannot take up a stream again.
_POLL_S = 1.0


class Conversation:
    """One task at another agent.

    `message` is sent once, under its own `messageId`: an agent of ours that knows the message goes on
    with the task it has. `before` is what is known of a task that was begun earlier: it is joined instead. Iterate
    over `events()`, then look at `task`.
    """

    def __init__(self, client: AgentClient, message: dict[str, Any], before: Asked | None = None) -> None:
        self._client = client
        self._message = message
        self._cursor = before.cursor if before is not None else None
        self._tries = 0
        self._state = ""
        self.task_id = before.task if before is not None else None
        self.task: dict[str, Any] = {}
        # What an agent without cursors has streamed: some tell it nowhere else (langgraph-api 0.16.7).
        self._artifacts: dict[str, dict[str, Any]] = {}

    async def events(self) -> AsyncIterator[dict[str, Any]]:
        """The agent's events as A2A 1.0 JSON, until the task is finished or waits for input.

        From an agent of ours each event comes once; from one without cursors what happens during a cut
        is missed. Either way `task` is then complete.

        Raises:
            AgentError: the agent refused, or could not be reached any more.
        """
        while True:
            try:
                async for event in self._stream():
                    yield event
                if self._ended:
                    break
                logger.info("stream of task %s was cut", self.task_id)
                await self._pause(None)
            except AgentError as error:
                if self.task_id is not None and error.code in (_UNSUPPORTED, _METHOD_NOT_FOUND):
                    break  # It is finished, or the agent does not know how: GetTask has the rest.
                await self._pause(error)
        if self.task_id is not None:
            self.task = await self._whole(self.task_id)

    async def _stream(self) -> AsyncIterator[dict[str, Any]]:
        if self.task_id is None:
            groups = self._client.stream("SendStreamingMessage", {"message": self._message})
        else:
            groups = self._client.stream("SubscribeToTask", {"id": self.task_id}, last_event_id=self._cursor)
        async for group in groups:
            for incoming in group:
                if incoming.seq is not None and self._cursor is not None and incoming.seq <= self._cursor:
                    continue
                event = self._noted(incoming.event, numbered=incoming.seq is not None)
                self._cursor = self._cursor if incoming.seq is None else incoming.seq
                self._tries = 0
                yield event

    async def _whole(self, task_id: str) -> dict[str, Any]:
        """The task as the agent has it, once it has ended: normally at once."""
        while True:
            try:
                task = await self._client.call("GetTask", {"id": task_id, "historyLength": 1})
                self._noted(msgspec.json.encode({"task": task}))
            except AgentError as error:
                await self._pause(error)
                continue
            if self._ended:
                streamed = [joined(artifact) for artifact in self._artifacts.values()]
                return {"artifacts": streamed, **task} if streamed else dict(task)
            await asyncio.sleep(_POLL_S)

    def _noted(self, given: bytes, *, numbered: bool = True) -> dict[str, Any]:
        try:
            event = msgspec.json.decode(given, type=dict[str, Any])
            self._note(event)
            if not numbered and "artifactUpdate" in event:
                fold(self._artifacts, event["artifactUpdate"])
        except (*NOT_JSON, KeyError, TypeError) as error:
            raise AgentError(f"The agent sent something that is no event of A2A: {error!r}.") from None
        return event

    def _note(self, event: dict[str, Any]) -> None:
        if "message" in event:  # An agent may answer with a message instead of a task.
            self._state = "TASK_STATE_COMPLETED"
            self.task = {"status": {"state": self._state, "message": event["message"]}, "artifacts": []}
        elif "task" in event:
            self.task_id, self._state = event["task"]["id"], event["task"]["status"]["state"]
        elif "statusUpdate" in event:
            update = event["statusUpdate"]
            self.task_id, self._state = update["taskId"], update["status"]["state"]

    @property
    def _ended(self) -> bool:
        return self._state in TERMINAL or self._state in INTERRUPTED

    async def _pause(self, error: AgentError | None) -> None:
        """Wait until the next try; raise the `error` if that would meet with it again, or was the last one."""
        if error is not None and error.code not in (None, _INTERNAL_ERROR):
            raise error
        self._tries += 1
        answered = self.task_id is not None or (error is not None and error.code is not None)
        if self._tries >= (_TRIES_TO_HOLD if answered else _TRIES_TO_REACH):
            raise error or AgentError(f"The stream of task {self.task_id} was cut {self._tries} times in a row.")
        await asyncio.sleep(min(_PAUSE_S * 2 ** (self._tries - 1), _LONGEST_PAUSE_S))
