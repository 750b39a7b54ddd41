"""The browser's stream: `GET /api/stream/{id}` (docs/PROTOCOL.md, section 6)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing

import msgspec

from gateway.problems import Problem
from tailrace.config import Settings
from tailrace.errors import LogError
from tailrace.events import encode, ends, now_ms
from tailrace.log import Batch, EventLog, Head
from tailrace.stream import sse
from tailrace.stream.broadcast import Feeds
from tailrace.stream.reader import End, Gap, Idle, Synced, follow

logger = logging.getLogger("tailrace.gateway")


class OpenStream(msgspec.Struct, rename="camel", eq=False):
    """One open stream, as `GET /api/streams` shows it; never equal to another. `seq` is the last event sent."""

    task_id: str
    owner: str
    opened: int
    seq: int


class Ending(msgspec.Struct):
    """How a stream came to its end, and why when it failed."""

    how: str = "reader gone"
    reason: str | None = None


class Streams:
    """The open streams of one gateway process, and what flows through them."""

    def __init__(self, log: EventLog, feeds: Feeds, settings: Settings) -> None:
        self._log = log
        self._feeds = feeds
        self._settings = settings
        self._open: list[OpenStream] = []

    def of(self, owner: str) -> list[OpenStream]:
        return [stream for stream in self._open if stream.owner == owner]

    def refuse_when_full(self) -> None:
        """Raises a 503 `Problem` when no further stream may be opened."""
        limit = self._settings.max_streams
        if len(self._open) >= limit:
            raise Problem(503, f"All {limit} streams of this gateway are in use.", {"Retry-After": "5"})

    async def chunks(self, head: Head, cursor: int) -> AsyncGenerator[bytes]:
        """The stream from after `cursor` to its end, its rotation, or a cut. One log line at each turn."""
        shown = OpenStream(head.task_id, head.owner, now_ms(), cursor)
        _note("stream_resumed" if cursor else "stream_opened", head.task_id, cursor=cursor)
        self._open.append(shown)
        ending = Ending()
        try:
            async with aclosing(self._frames(shown, ending)) as frames:
                async for frame in frames:
                    yield frame
        except LogError as error:
            # No end frame: the reader sees a cut and comes back.
            ending.how, ending.reason = "failed", str(error)
        finally:
            self._open.remove(shown)
            event = "stream_failed" if ending.reason else "stream_ended"
            details = {"seq": shown.seq, "how": ending.how, "reason": ending.reason}
            _note(event, head.task_id, **details, ms=now_ms() - shown.opened)

    async def _frames(self, shown: OpenStream, ending: Ending) -> AsyncGenerator[bytes]:
        settings, clock = self._settings, asyncio.get_running_loop().time
        envelope = sse.Envelope(shown.task_id)
        limit_s = settings.window_s or settings.rotate_s
        idle_s = min(settings.heartbeat_s, limit_s, settings.flush_ms / 1000 or limit_s)
        opened = heard = clock()
        begun, synced, held, closing = shown.seq, False, False, False
        yield sse.retry(settings.retry_ms) + sse.padding(settings.padding_bytes)
        async with aclosing(follow(self._log, self._feeds, shown.task_id, begun, idle_s=idle_s)) as items:
            async for item in items:
                if not isinstance(item, Idle):
                    synced = synced or isinstance(item, Synced)
                    if isinstance(item, Batch):
                        shown.seq = item.last
                        closing = ends(item.events[-1]) is not None  # the end frame comes next, if nothing else
                    elif isinstance(item, End):
                        ending.how = "end"
                    yield _chunk(item, envelope)
                    held, heard = settings.flush_ms > 0, clock()
                elif held or clock() - heard >= settings.heartbeat_s:
                    # A proxy may hold a frame back until another follows it: so one follows.
                    yield sse.HEARTBEAT
                    held, heard = False, clock()
                if ending.how == "end":
                    return
                told_enough = settings.window_s and synced and shown.seq > begun
                if (told_enough or clock() - opened >= limit_s) and not closing:
                    ending.how = "rotated"
                    yield sse.COME_BACK
                    return


def _chunk(item: Batch | Synced | Gap | End, envelope: sse.Envelope) -> bytes:
    if isinstance(item, Batch):
        return envelope.frames(item)
    if isinstance(item, Synced):
        return sse.control("sync", {"seq": item.seq})
    if isinstance(item, Gap):
        return sse.control("gap", {"from": item.first, "to": item.last})
    return sse.control("end", {"state": item.state, "seq": item.seq})


def _note(event: str, task_id: str, **details: object) -> None:
    logger.info(encode({"event": event, "task": task_id, "ts": now_ms(), **details}).decode())
