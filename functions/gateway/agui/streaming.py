"""A task's events as the frames of an AG-UI run, and what a client has after some of them.

Each event's last frame has the `id:` `TASK:SEQ`, which is the cursor: a reader that was cut drops the frames after the
last `id:`, and comes back with that in `Last-Event-ID`. AG-UI itself has no resumption: its clients ignore ids.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import aclosing

from gateway.agui import events as ag
from gateway.agui.projection import Projection
from gateway.stored_events import decoded, stored_events
from tailrace.events import encode
from tailrace.log import Batch, EventLog
from tailrace.stream import sse
from tailrace.stream.quiet import Pause
from tailrace.stream.reader import End, Gap, Synced


async def tell(log: EventLog, projection: Projection, until: int | None = None) -> int:
    """Let a client have the events of a task up to the seq `until`, by default all; return the last one's.

    What cannot be read is left out.

    Raises:
        LogUnavailable
    """
    seq = 0
    async with aclosing(stored_events(log, projection.task_id, until)) as events:
        async for stored in events:
            seq = stored.seq
            for _ in projection.events(stored.event) if stored.event is not None else ():
                pass
    return seq


class RunFraming:
    """Frames of one run, for `TaskStream`. `is_over` says that the run has ended, although its task goes on.

    `projection` is what the client has: the run that is under way, or that begins next.
    """

    rotated = sse.COME_BACK
    heartbeat = sse.COMMENT

    def __init__(self, projection: Projection) -> None:
        self._projection = projection
        self.is_over = False

    def frames(self, item: Batch | Synced | Gap | End | Pause) -> bytes:
        if isinstance(item, Batch):
            return b"".join(self._event(seq, event) for seq, event in enumerate(item.events, item.seq))
        if isinstance(item, Gap):
            return self.told(item.last, [ag.Custom("gap", {"from": item.first, "to": item.last})])
        return b""

    def told(self, seq: int, events: Iterable[ag.Event]) -> bytes:
        """The frames of what the client is told of the event `seq`."""
        frames = []
        for event in events:
            frames.append(b"data: %b\n\n" % encode(event))
            if isinstance(event, ag.RunFinished | ag.RunError):
                self.is_over = True
        if frames:
            frames[-1] = b"id: %b:%d\n%b" % (self._projection.task_id.encode(), seq, frames[-1])
        return b"".join(frames)

    def _event(self, seq: int, event: bytes) -> bytes:
        if self.is_over:
            return b""
        known = decoded(self._projection.task_id, seq, event)
        if known is None:
            return self.told(seq, [ag.Custom("gap", {"from": seq, "to": seq})])
        return self.told(seq, self._projection.events(known))
