"""The events of a streaming method, as frames of either binding (specification, sections 3.1.2, 3.1.6 and 3.5.2)."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from typing import Any

import msgspec

from tailrace.a2a.compat.v0_3 import server as v0_3
from tailrace.a2a.task import snapshot
from tailrace.decoding import decode_json
from tailrace.errors import JsonError, LogError
from tailrace.events import INTERRUPTED, TERMINAL, State, encode
from tailrace.log import Batch, EventLog
from tailrace.stream import sse
from tailrace.stream.broadcast import Feeds
from tailrace.stream.reader import Gap, Idle, follow

logger = logging.getLogger("tailrace.a2a")


class MessageStream(msgspec.Struct, frozen=True):
    """A stream of one message and nothing else: the agent's whole answer (section 3.1.2)."""

    message: dict[str, Any]

    async def frames(self, framing: sse.Framing, *, old: bool) -> AsyncGenerator[bytes]:
        yield framing.frame(None, encode(v0_3.message_to_03(self.message) if old else {"message": self.message}))


class TaskStream(msgspec.Struct, frozen=True):
    """A task's stream: its snapshot and what comes after, or what comes after `cursor` if there is one.

    `past_input` keeps it open while the task waits for input. `over` is a stream that has said everything.
    """

    log: EventLog
    feeds: Feeds
    task_id: str
    cursor: int | None
    heartbeat_s: float
    past_input: bool
    over: bool

    async def frames(self, framing: sse.Framing, *, old: bool) -> AsyncGenerator[bytes]:
        if self.over:
            return
        try:
            cursor = self.cursor
            if cursor is None:
                shot = await snapshot(self.log, self.task_id)
                first = {"task": shot.task}
                yield framing.frame(shot.seq, encode(v0_3.event_to_03(first) if old else first))
                cursor = shot.seq
                if is_end(shot.task["status"]["state"], self.past_input):
                    return
            async for batch in self.events(cursor):
                if batch is None:
                    yield sse.HEARTBEAT
                else:
                    yield framing.frames(_converted(batch, self.task_id) if old else batch)
        except LogError as error:
            # The stream ends without an end: the client sees a cut and comes back.
            logger.warning("stream of task %s is cut: %s", self.task_id, error)

    async def events(self, cursor: int) -> AsyncGenerator[Batch | None]:
        """The task's events after the cursor until it ends; None after a silence."""
        items = follow(
            self.log, self.feeds, self.task_id, max(cursor, 0), idle_s=self.heartbeat_s, past_input=self.past_input
        )
        async for item in items:
            if isinstance(item, Batch):
                yield item
            elif isinstance(item, Idle):
                yield None
            elif isinstance(item, Gap):
                logger.warning("events %d to %d of task %s are gone", item.first, item.last, self.task_id)


Stream = MessageStream | TaskStream


def is_end(state: State | None, past_input: bool) -> bool:
    """Whether a stream has no more to say once it has told `state`."""
    return state in TERMINAL or (state in INTERRUPTED and not past_input)


def _converted(batch: Batch, task_id: str) -> Batch:
    converted = [encode(_event_to_03(event, task_id)) for event in batch.events]
    return Batch(batch.seq, batch.attempt, converted)


def _event_to_03(event: bytes, task_id: str) -> dict[str, Any]:
    """The event in 0.3's form; for one that cannot be read, the form's own word for what is not known."""
    try:
        return v0_3.event_to_03(decode_json(event, "The event"))
    except (JsonError, LookupError, TypeError, AttributeError) as error:
        logger.warning("an event of task %s cannot be told in 0.3: %s", task_id, error)
        return v0_3.unknown(task_id)
