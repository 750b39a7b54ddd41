"""The browser's stream: `GET /api/stream/{id}` (design, section 6)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

import msgspec

from gateway.problems import Problem
from tailrace import sse
from tailrace.config import Settings
from tailrace.errors import LogError
from tailrace.events import encode, now_ms
from tailrace.feed import Feeds
from tailrace.log import Batch, EventLog, Head
from tailrace.reader import End, Gap, Item, Synced, follow

logger = logging.getLogger("tailrace.gateway")

# A rotated reader has nothing to wait for.
_ROTATED_RETRY_MS = 100


class OpenStream(msgspec.Struct, rename="camel"):
    """One open stream, as `GET /api/streams` shows it. `seq` is the last event sent."""

    task_id: str
    owner: str
    opened: int
    seq: int


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

    async def chunks(self, head: Head, cursor: int) -> AsyncIterator[bytes]:
        """The stream from after `cursor` to its end, its rotation, or a cut. One log line at each turn."""
        settings, clock = self._settings, asyncio.get_running_loop().time
        rotate_at, envelope = clock() + settings.rotate_s, sse.Envelope(head.task_id)
        idle_s = min(settings.heartbeat_s, settings.rotate_s)
        shown = OpenStream(head.task_id, head.owner, now_ms(), cursor)
        _note("stream_resumed" if cursor else "stream_opened", head.task_id, cursor=cursor)
        self._open.append(shown)
        how, reason = "reader gone", None
        try:
            yield sse.retry(settings.retry_ms)
            async for item in follow(self._log, self._feeds, head.task_id, cursor, idle_s=idle_s):
                if isinstance(item, Batch):
                    shown.seq = item.last
                elif isinstance(item, End):
                    how = "end"
                yield _chunk(item, envelope)
                if clock() >= rotate_at and how != "end":
                    how = "rotated"
                    yield sse.retry(_ROTATED_RETRY_MS)
                    break
        except LogError as error:
            # No end frame: the reader sees a cut and comes back.
            how, reason = "failed", str(error)
        finally:
            self._open.remove(shown)
            event = "stream_failed" if reason else "stream_ended"
            _note(event, head.task_id, seq=shown.seq, how=how, reason=reason, ms=now_ms() - shown.opened)


def _chunk(item: Item, envelope: sse.Envelope) -> bytes:
    if isinstance(item, Batch):
        return envelope.frames(item)
    if isinstance(item, Synced):
        return sse.control("sync", {"seq": item.seq})
    if isinstance(item, Gap):
        return sse.control("gap", {"from": item.first, "to": item.last})
    if isinstance(item, End):
        return sse.control("end", {"state": item.state, "seq": item.seq})
    return sse.HEARTBEAT


def _note(event: str, task_id: str, **details: object) -> None:
    logger.info(encode({"event": event, "task": task_id, "ts": now_ms(), **details}).decode())
