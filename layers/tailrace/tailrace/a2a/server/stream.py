"""The answer of a streaming method, as frames of either binding (specification, sections 3.1.2, 3.1.6 and 3.5.2)."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing

import msgspec

from tailrace.a2a.compat.v0_3 import server as v0_3
from tailrace.a2a.task import snapshot
from tailrace.a2a.types import Version
from tailrace.errors import EventUnreadable, LogError
from tailrace.events import Message, decode, encode
from tailrace.log import Batch, EventLog
from tailrace.stream import sse
from tailrace.stream.broadcast import Feeds
from tailrace.stream.quiet import Pause
from tailrace.stream.reader import End, Gap, Synced, is_end
from tailrace.stream.task_stream import TaskStream, Timing

logger = logging.getLogger("tailrace.a2a")


class StreamedMessage(msgspec.Struct, frozen=True):
    """A stream of one message and nothing else: the agent's whole answer (section 3.1.2)."""

    message: Message

    async def chunks(self, framing: sse.Framing, version: Version) -> AsyncGenerator[bytes]:
        answer = v0_3.message_to_v0_3(self.message) if version == "0.3" else {"message": self.message}
        yield framing.frame(None, encode(answer))


class StreamedTask(msgspec.Struct, frozen=True):
    """A task's stream: its snapshot and what comes after, or what comes after `cursor` if there is one.

    `past_input` keeps it open while the task waits for input. A stream that is `over` is empty: its reader has it all.
    """

    log: EventLog
    feeds: Feeds
    task_id: str
    cursor: int | None
    timing: Timing
    past_input: bool
    over: bool

    async def chunks(self, framing: sse.Framing, version: Version) -> AsyncGenerator[bytes]:
        if self.over:
            return
        try:
            cursor = self.cursor
            if cursor is None:
                snap = await snapshot(self.log, self.task_id)
                first = v0_3.task_to_v0_3(snap.task) if version == "0.3" else {"task": snap.task}
                yield framing.frame(snap.seq, encode(first))
                cursor = snap.seq
                if is_end(snap.task.status.state, past_input=self.past_input):
                    return
            stream = TaskStream(
                self.log,
                self.feeds,
                self.task_id,
                cursor,
                _EventFraming(framing, self.task_id, version),
                self.timing,
                past_input=self.past_input,
            )
            async with aclosing(stream.chunks()) as chunks:
                async for chunk in chunks:
                    yield chunk
        except LogError as error:
            # The stream ends without an end: the client sees a cut and comes back.
            logger.warning("stream of task %s is cut: %s", self.task_id, error)


Streamed = StreamedMessage | StreamedTask


class _EventFraming:
    """A2A streams have events only. They rotate without a last frame: the client sees a cut and comes back."""

    rotated = b""
    heartbeat = sse.COMMENT

    def __init__(self, framing: sse.Framing, task_id: str, version: Version) -> None:
        self._framing = framing
        self._task_id = task_id
        self._version = version

    def frames(self, item: Batch | Synced | Gap | End | Pause) -> bytes:
        if isinstance(item, Batch):
            return self._framing.frames(self._to_v0_3(item) if self._version == "0.3" else item)
        if isinstance(item, Gap):
            logger.warning("events %d to %d of task %s are gone", item.first, item.last, self._task_id)
        return b""

    def _to_v0_3(self, batch: Batch) -> Batch:
        return Batch(batch.seq, batch.attempt, [self._event_to_v0_3(event) for event in batch.events])

    def _event_to_v0_3(self, event: bytes) -> bytes:
        """The event in 0.3's form. One that cannot be read becomes an update to the state `unknown`."""
        try:
            return encode(v0_3.event_to_v0_3(decode(event)))
        except EventUnreadable as error:
            logger.warning("an event of task %s cannot be converted to 0.3: %s", self._task_id, error)
            return encode(v0_3.unknown(self._task_id))
