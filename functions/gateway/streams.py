"""The browser's stream: `GET /api/stream/{id}` (docs/PROTOCOL.md, section 6)."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager

import msgspec

from gateway.callers import Caller
from gateway.limits import Limits
from gateway.pipes import Pipes
from gateway.pressure import Pressure
from gateway.problems import Problem
from tailrace.aws import on_lambda
from tailrace.config import Settings
from tailrace.errors import LogError
from tailrace.events import encode, now_ms
from tailrace.log import Batch, EventLog, Head
from tailrace.stream import sse
from tailrace.stream.quiet import Pause, Pausing
from tailrace.stream.reader import End, Gap, Synced
from tailrace.stream.task_stream import ItemFraming, TaskStream, Timing

logger = logging.getLogger("tailrace.gateway")

# One place of so many is not for streams that are held: when only those are left, a stream is a window.
_PLACES_A_WINDOW = 10


class OpenStream(msgspec.Struct, rename="camel", eq=False):
    """One open stream, as `GET /api/streams` shows it; never equal to another. `seq` is the last event sent."""

    task_id: str
    owner: str
    opened: int
    seq: int


class Streams:
    """The open streams of one gateway process."""

    def __init__(self, log: EventLog, pipes: Pipes, settings: Settings, pressure: Pressure, limits: Limits) -> None:
        self._log = log
        self._pipes = pipes
        self._settings = settings
        self._pressure = pressure
        self._limits = limits
        busy = _pausing_when_busy(settings)
        pressed = msgspec.structs.replace(busy, unattended=True)
        self._timing = Timing(
            heartbeat_s=settings.heartbeat_s,
            rotate_s=settings.window_s or settings.rotate_s,
            flush_s=settings.flush_ms / 1000,
            one_window=settings.window_s > 0,
            pausing=_pausing(settings),
            pressed=lambda: pressed if pressure.is_on() else None,
        )
        self._busy = msgspec.structs.replace(self._timing, pausing=busy)
        # For readers who would take a pause for the end.
        self._held_timing = msgspec.structs.replace(self._timing, pausing=None, pressed=lambda: None)
        self._open: list[OpenStream] = []
        # The owners of all streams that have a place, those of agents (front_door.py) among them.
        self._held: list[str] = []

    def of(self, owner: str) -> list[OpenStream]:
        """Return the open streams of the owner with this id."""
        return [stream for stream in self._open if stream.owner == owner]

    @contextmanager
    def held(self, caller: Caller) -> Iterator[None]:
        """Take a place for another stream of the caller, as long as the block lasts.

        Raises:
            Problem: 503, there is none: this process has too many, or its last ones are for others. An owner with a
                credential never gets the last tenth of the places (at least one) beside another stream of its own:
                those are for owners who have none.
        """
        limit, owner = self._settings.max_streams, caller.owner.id
        kept = max(1, limit // _PLACES_A_WINDOW) if caller.is_limited and owner in self._held else 0
        if len(self._held) >= limit - kept:
            raise Problem(503, f"All {limit} streams of this gateway are in use.", {"Retry-After": "5"})
        self._held.append(owner)
        try:
            yield
        finally:
            self._held.remove(owner)

    @asynccontextmanager
    async def place(self, caller: Caller) -> AsyncIterator[None]:
        """Take a place of this process and one of the caller's own, as long as the block lasts.

        Raises:
            Problem: as `held` and `Limits.stream` raise it.
        """
        with self.held(caller):
            async with self._limits.stream(caller):
                yield

    def _timing_now(self) -> Timing:
        """Return the newest stream's timing. With few places left it is a window, so that all readers get events."""
        limit = self._settings.max_streams
        return self._busy if len(self._held) > limit - limit // _PLACES_A_WINDOW else self._timing

    async def chunks(
        self,
        head: Head,
        cursor: int,
        newest: bytes | None,
        holds: Callable[[], Awaitable[bool]],
        stored: Sequence[Batch] = (),
        framing: ItemFraming | None = None,
    ) -> AsyncGenerator[bytes]:
        """Yield the frames after `cursor`, until the stream ends, rotates, pauses or is cut; log its start and its end.

        `newest` is the event at `cursor` if the log had no later one. `holds` says whether the reader's session still
        holds: it is asked every `TAILRACE_SESSION_CHECK_S`, at the next chunk (a silent stream has heartbeats).
        `stored` is as in `follow`. With a `framing` the stream is of another language, and never pauses.
        """
        settings, timing = self._settings, self._timing_now() if framing is None else self._held_timing
        opened = OpenStream(head.task_id, head.owner, now_ms(), cursor)
        framing = framing or _BrowserFraming(head.task_id)
        stream = TaskStream(
            self._log, self._pipes.feeds, head.task_id, cursor, framing, timing, newest=newest, head=head, stored=stored
        )
        del stored  # A stream may last long.
        failure: str | None = None
        sent = 0
        signed_out, look_at = False, time.monotonic() + settings.session_check_s
        _log("stream_resumed" if cursor else "stream_opened", head.task_id, cursor=cursor)
        self._open.append(opened)
        try:
            yield sse.retry(settings.retry_ms) + sse.padding(settings.padding_bytes)
            if self._pressure.is_on():
                await self._pipes.open(head)  # A window may be over before its watchdog has looked.
            async with aclosing(stream.chunks()) as chunks:
                async for chunk in chunks:
                    if time.monotonic() >= look_at:
                        if not await holds():
                            signed_out = True
                            break  # without `end`: the reader comes back with its cursor, and is asked who it is
                        look_at = time.monotonic() + settings.session_check_s
                    opened.seq = stream.seq
                    sent += len(chunk)
                    yield chunk
        except LogError as error:
            # No end frame: the reader sees a cut and comes back.
            failure = str(error)
        finally:
            self._open.remove(opened)
            event, how = ("stream_failed", "failed") if failure else ("stream_ended", stream.ending)
            if signed_out:
                how = "signed out"
            lasted = now_ms() - opened.opened
            _log(event, head.task_id, seq=opened.seq, how=how, reason=failure, ms=lasted, bytes=sent)
            if on_lambda():  # one request at a time: this stream was the pipe's only viewer
                await self._pipes.drop(head.task_id)


class _BrowserFraming:
    """Events in a JSON-RPC envelope, and a named control frame for everything else."""

    rotated = sse.COME_BACK
    heartbeat = sse.PING

    def __init__(self, task_id: str) -> None:
        self._envelope = sse.Envelope(task_id)

    def frames(self, item: Batch | Synced | Gap | End | Pause) -> bytes:
        if isinstance(item, Batch):
            return self._envelope.frames(item)
        if isinstance(item, Synced):
            return sse.control("sync", {"seq": item.seq})
        if isinstance(item, Gap):
            return sse.control("gap", {"from": item.first, "to": item.last})
        if isinstance(item, Pause):
            return sse.pause(item.ms, busy=item.busy)
        return sse.control("end", {"state": item.state, "seq": item.seq})


def _pausing(settings: Settings) -> Pausing | None:
    if not settings.quiet_s:
        return None
    return Pausing(settings.quiet_s, settings.pause_min_ms / 1000, settings.pause_max_ms / 1000)


def _pausing_when_busy(settings: Settings) -> Pausing:
    """A stream has what there is, and its reader comes back after the time that it waits after a cut."""
    pause_s = settings.retry_ms / 1000
    return Pausing(0.0, pause_s, pause_s, busy=True)


def _log(event: str, task_id: str, **details: object) -> None:
    logger.info(encode({"event": event, "task": task_id, "ts": now_ms(), **details}).decode())
