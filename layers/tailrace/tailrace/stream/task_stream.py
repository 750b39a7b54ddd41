"""A task's events as the chunks of an SSE stream: from a cursor to the task's end, or until the stream rotates.

Both servers stream with this: an agent in its streaming methods, and the gateway to the browser. Each has an
`ItemFraming` of its own, which says what bytes an item becomes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Literal, Protocol

import msgspec

from tailrace.events import ends
from tailrace.log import Batch, EventLog, Head
from tailrace.stream import sse
from tailrace.stream.broadcast import Feeds
from tailrace.stream.metering import open_stream
from tailrace.stream.quiet import Pause, Pausing, Quiet
from tailrace.stream.reader import End, Gap, Idle, Synced, follow, is_end

# How a stream ended: with its task, by rotation, for a pause, for one that frees its place, or in another way, as when
# its reader has gone.
Ending = Literal["end", "rotated", "paused", "busy", "cut"]


class ItemFraming(Protocol):
    """What bytes an item becomes.

    `rotated` is the last frame of a stream that rotates, possibly empty. `heartbeat` shows that a silent stream lives.
    """

    rotated: bytes
    heartbeat: bytes

    def frames(self, item: Batch | Synced | Gap | End | Pause) -> bytes:
        """Whole SSE frames for the item; empty if this stream does not show it."""


class Timing(msgspec.Struct, frozen=True):
    """When a stream sends a heartbeat, when it rotates, and when it pauses; in seconds.

    `flush_s`, if not 0, is how long after the last frame a comment follows it: a proxy may hold the last frame back.
    With `one_window` the stream rotates as soon as its reader has all that there was. Without `pausing` it never
    pauses; `pressed` says from when on it goes by another one.
    """

    heartbeat_s: float
    rotate_s: float
    flush_s: float = 0.0
    one_window: bool = False
    pausing: Pausing | None = None
    pressed: Callable[[], Pausing | None] = lambda: None

    @property
    def idle_s(self) -> float:
        """How often a silent stream has to look at the clock."""
        quiet_s = self.pausing.quiet_s / 4 if self.pausing is not None else 0.0
        return min(self.heartbeat_s, self.rotate_s, self.flush_s or self.rotate_s, quiet_s or self.rotate_s)


class TaskStream:
    """One reader's stream. `seq` is the cursor it has brought its reader to, `ending` how it ended.

    `newest` and `head` are for pauses, as in `Quiet`, and `stored` is as in `follow`.
    """

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
        newest: bytes | None = None,
        head: Head | None = None,
        stored: Sequence[Batch] = (),
    ) -> None:
        self._log = log
        self._feeds = feeds
        self._stored = stored
        self._task_id = task_id
        self._framing = framing
        self._timing = timing
        self._past_input = past_input
        self._newest = newest
        self._head = head
        self.seq = cursor
        self.ending: Ending = "cut"

    async def chunks(self) -> AsyncGenerator[bytes]:
        """Whole frames, as many at a time as there are.

        Raises:
            LogError: the log cannot be read. The reader sees a cut.
        """
        clock = asyncio.get_running_loop().time
        heartbeat = _Heartbeat(self._timing, self._framing.heartbeat, clock())
        rotation = _Rotation(self._timing, clock(), past_input=self._past_input)
        quiet = self._quiet(clock)
        items = follow(
            self._log,
            self._feeds,
            self._task_id,
            self.seq,
            idle_s=self._timing.idle_s,
            past_input=self._past_input,
            stored=self._stored,
        )
        self._stored = ()  # A stream may last long.
        with open_stream() as delivered:
            async with aclosing(items):
                async for item in items:
                    now = clock()
                    if isinstance(item, Idle):
                        if sign := heartbeat.due(now):
                            yield sign
                    else:
                        if isinstance(item, (Batch, Gap)):
                            self.seq = item.last
                        elif isinstance(item, End):
                            self.ending = "end"
                        if frames := self._framing.frames(item):
                            yield frames
                            heartbeat.frame_sent(now)
                        if delivered is not None:
                            delivered(item)
                        if isinstance(item, End):
                            return
                    if rotation.due(item, now):
                        self.ending = "rotated"
                        if self._framing.rotated:
                            yield self._framing.rotated
                        return
                    if quiet is not None and (pause := await quiet.after(item)) and not await self._is_behind(item):
                        self.ending = "busy" if pause.busy else "paused"
                        yield self._framing.frames(pause)
                        return

    async def _is_behind(self, item: Batch | Synced | Gap | Idle) -> bool:
        """Whether the log has an event that this stream has not: its look at the log may be older than the silence."""
        if isinstance(item, Synced):
            return False  # This was the look.
        newest = await self._log.last(self._task_id)
        if newest > self.seq:
            self._feeds.caught_up(self._task_id, newest)
        return newest > self.seq

    def _quiet(self, clock: Callable[[], float]) -> Quiet | None:
        if self._timing.pausing is None:
            return None
        usual = self._timing.pausing
        return Quiet(
            *(self._log, self._task_id, lambda: self._timing.pressed() or usual, clock),
            newest=self._newest,
            head=self._head,
        )


class _Heartbeat:
    """What shows that a silent stream is alive, and the comment that pushes out a frame which a proxy holds back."""

    def __init__(self, timing: Timing, heartbeat: bytes, now: float) -> None:
        self._timing = timing
        self._heartbeat = heartbeat
        self._last_sent = now
        self._to_flush = False

    def frame_sent(self, now: float) -> None:
        self._last_sent, self._to_flush = now, self._timing.flush_s > 0

    def due(self, now: float) -> bytes:
        """What is to be sent in the silence; empty if nothing is yet."""
        if now - self._last_sent >= self._timing.heartbeat_s:
            self.frame_sent(now)
            return self._heartbeat
        if self._to_flush:
            self._last_sent, self._to_flush = now, False
            return sse.COMMENT
        return b""


class _Rotation:
    """Whether a stream is to end although its task goes on."""

    def __init__(self, timing: Timing, now: float, *, past_input: bool) -> None:
        self._one_window = timing.one_window
        self._past_input = past_input
        self._rotate_at = now + timing.rotate_s
        self._synced = False
        self._newest: bytes | None = None

    def due(self, item: Batch | Synced | Gap | Idle, now: float) -> bool:
        """Whether the stream is to end after `item`. It never is when the task's own end comes next."""
        if isinstance(item, Batch):
            self._newest = item.events[-1]
        elif isinstance(item, Synced):
            self._synced = True
        window_is_over = self._one_window and self._synced and self._newest is not None
        if now < self._rotate_at and not window_is_over:
            return False
        return self._newest is None or not is_end(ends(self._newest), past_input=self._past_input)
