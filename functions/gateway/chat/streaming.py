"""A task's events as the frames of a UI message stream, and what a page has after some of them.

Each event's last frame has the `id:` `TASK:SEQ`, which is the cursor: a reader that has been cut drops the frames after
the last `id:` and comes back with that. The stream's own reader of the package `ai` reads no ids.
"""

from __future__ import annotations

from contextlib import aclosing
from typing import NamedTuple

from gateway.chat.chunks import Chunk
from gateway.chat.projection import Projection
from gateway.stored_events import decoded, stored_events
from tailrace.events import encode
from tailrace.log import Batch, EventLog
from tailrace.stream import sse
from tailrace.stream.quiet import Pause
from tailrace.stream.reader import End, Gap, Synced

DONE = b"data: [DONE]\n\n"


class Told(NamedTuple):
    """What a page has that has all events of a task up to `seq`."""

    projection: Projection
    seq: int


async def told(log: EventLog, task_id: str, until: int | None = None, *, keeps: bool = False) -> Told:
    """Read a task's events up to the seq `until`, by default all.

    `keeps` is as in `Projection`.

    Raises:
        LogUnavailable
    """
    projection, seq = Projection(task_id, keeps=keeps), 0
    async with aclosing(stored_events(log, task_id, until)) as events:
        async for stored in events:
            if stored.event is None or stored.seq > seq + 1:
                projection.lose(seq + 1, stored.seq if stored.event is None else stored.seq - 1)
            if stored.event is not None:
                projection.chunks(stored.event)
            seq = stored.seq
    return Told(projection, seq)


class ChatFraming:
    """Frames of one message of the assistant, for `TaskStream`.

    `projection` is what the page has. With `goes_on` the page has the beginning of the message. `is_over` says that the
    message has ended, although its task goes on.
    """

    rotated = sse.COME_BACK
    heartbeat = sse.COMMENT

    def __init__(self, task_id: str, projection: Projection, *, goes_on: bool) -> None:
        self._task_id = task_id
        self._projection = projection
        self._has_begun = goes_on
        self.is_over = False

    def frames(self, item: Batch | Synced | Gap | End | Pause) -> bytes:
        if self.is_over:
            return b""
        if isinstance(item, Batch):
            return b"".join(self._event(seq, event) for seq, event in enumerate(item.events, item.seq))
        if isinstance(item, Gap):
            return self._frames(item.last, self._projection.lose(item.first, item.last))
        return self.end() if isinstance(item, End) else b""

    def end(self) -> bytes:
        """The frames of the message's end."""
        self.is_over = True
        return b"".join(b"data: %b\n\n" % encode(chunk) for chunk in self._projection.finish()) + DONE

    def _event(self, seq: int, event: bytes) -> bytes:
        known = decoded(self._task_id, seq, event)
        if self.is_over:
            return b""
        if known is None:
            return self._frames(seq, self._projection.lose(seq, seq))
        if self._projection.begins_message(known):
            if self._has_begun:
                return self.end()
            self._has_begun = True
        return self._frames(seq, self._projection.chunks(known))

    def _frames(self, seq: int, told: list[Chunk]) -> bytes:
        frames = [b"data: %b\n\n" % encode(chunk) for chunk in told]
        if frames:
            frames[-1] = b"id: %b:%d\n%b" % (self._task_id.encode(), seq, frames[-1])
        return b"".join(frames)
