"""A task's events as the chunks of an SSE stream: from a cursor to the task's end, or until the stream rotates.

Both servers stream with this: an agent in its streaming methods, and the gateway to the browser. Each has an
`ItemFraming` of its own, which says what bytes an item becomes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Literal, Protocol

import msgspec

from tailrace.events import ends
from tailrace.log import Batch, EventLog
from tailrace.stream import sse
from tailrace.stream.broadcast import Feeds
from tailrace.stream.reader import End, Gap, Idle, Synced, follow, is_end

# How a stream ended: with its task, by rotation, or in another way, for example because its reader has gone.
Ending = Literal["end", "rotated", "cut"]


class ItemFraming(Protocol):
    """What bytes an item becomes. `rotated` is the last frame of a stream that rotates; either may be empty."""

    rotated: bytes

    def frames(self, item: Batch | Synced | Gap | End) -> bytes:
        """Whole SSE frames for the item; empty if this stream does not show it."""


class Timing(msgspec.Struct, frozen=True):
    """When a stream sends a heartbeat, and when it rotates; in seconds.

    `flush_s`, if not 0, is how long after the last frame a heartbeat follows it: a proxy may hold the last frame back.
    With `one_window` the stream rotates as soon as its reader has all that there was.
    """

    heartbeat_s: float
    rotate_s: float
    flush_s: float = 0.0
    one_window: bool = False

    @property
    def idle_s(self) -> float:
        """How often a silent stream has to look at the clock."""
        return min(self.heartbeat_s, self.rotate_s, self.flush_s or self.rotate_s)


class TaskStream:
    """One reader's stream. `seq` is the cursor it has brought its reader to, `ending` how it ended."""

    def __init__(
        self,
        log: EventLog,
        feeds: Feeds,
        task_id: str,
        cursor: int,
        framing: ItemFraming,
        timing: Timing,
        *,
        past_input: bool = False,
    ) -> None:
        self._log = log
        self._feeds = feeds
        self._task_id = task_id
        self._framing = framing
        self._timing = timing
        self._past_input = past_input
        self.seq = cursor
        self.ending: Ending = "cut"

    async def chunks(self) -> AsyncGenerator[bytes]:
        """Whole frames, as many at a time as there are.

        Raises:
            LogError: the log cannot be read. The reader sees a cut.
        """
        clock = asyncio.get_running_loop().time
        heartbeat = _Heartbeat(self._timing, clock)
        rotation = _Rotation(self._timing, clock, past_input=self._past_input)
        items = follow(
            self._log, self._feeds, self._task_id, self.seq, idle_s=self._timing.idle_s, past_input=self._past_input
        )
        async with aclosing(items):
            async for item in items:
                if isinstance(item, Idle):
                    if heartbeat.due():
                        yield sse.HEARTBEAT
                        heartbeat.sent()
                else:
                    if isinstance(item, Batch):
                        self.seq = item.last
                    elif isinstance(item, End):
                        self.ending = "end"
                    if frames := self._framing.frames(item):
                        yield frames
                        heartbeat.frame_sent()
                    if isinstance(item, End):
                        return
                if rotation.due(item):
                    self.ending = "rotated"
                    if self._framing.rotated:
                        yield self._framing.rotated
                    return


class _Heartbeat:
    """Comments that show that a silent stream is alive, and push out a frame that a proxy holds back."""

    def __init__(self, timing: Timing, clock: Callable[[], float]) -> None:
        self._timing = timing
        self._clock = clock
        self._last_sent = clock()
        self._to_flush = False

    def due(self) -> bool:
        return self._to_flush or self._clock() - self._last_sent >= self._timing.heartbeat_s

    def frame_sent(self) -> None:
        self._last_sent, self._to_flush = self._clock(), self._timing.flush_s > 0

    def sent(self) -> None:
        self._last_sent, self._to_flush = self._clock(), False


class _Rotation:
    """Whether a stream is to end although its task goes on."""

    def __init__(self, timing: Timing, clock: Callable[[], float], *, past_input: bool) -> None:
        self._timing = timing
        self._clock = clock
        self._past_input = past_input
        self._rotate_at = clock() + timing.rotate_s
        self._synced = False
        self._newest: bytes | None = None

    def due(self, item: Batch | Synced | Gap | Idle) -> bool:
        """Whether the stream is to end after `item`. It never is when the task's own end comes next."""
        if isinstance(item, Batch):
            self._newest = item.events[-1]
        elif isinstance(item, Synced):
            self._synced = True
        if not self._is_over():
            return False
        return self._newest is None or not is_end(ends(self._newest), past_input=self._past_input)

    def _is_over(self) -> bool:
        window_is_over = self._timing.one_window and self._synced and self._newest is not None
        return window_is_over or self._clock() >= self._rotate_at
