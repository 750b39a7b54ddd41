"""The browser's stream: `GET /api/stream/{id}` (docs/PROTOCOL.md, section 6)."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing

import msgspec

from gateway.pipes import Pipes
from gateway.problems import Problem
from tailrace.aws import on_lambda
from tailrace.config import Settings
from tailrace.errors import LogError
from tailrace.events import encode, now_ms
from tailrace.log import Batch, EventLog, Head
from tailrace.stream import sse
from tailrace.stream.reader import End, Gap, Synced
from tailrace.stream.task_stream import TaskStream, Timing

logger = logging.getLogger("tailrace.gateway")


class OpenStream(msgspec.Struct, rename="camel", eq=False):
    """One open stream, as `GET /api/streams` shows it; never equal to another. `seq` is the last event sent."""

    task_id: str
    owner: str
    opened: int
    seq: int


class Streams:
    """The open streams of one gateway process."""

    def __init__(self, log: EventLog, pipes: Pipes, settings: Settings) -> None:
        self._log = log
        self._pipes = pipes
        self._settings = settings
        self._timing = Timing(
            heartbeat_s=settings.heartbeat_s,
            rotate_s=settings.window_s or settings.rotate_s,
            flush_s=settings.flush_ms / 1000,
            one_window=settings.window_s > 0,
        )
        self._open: list[OpenStream] = []

    def of(self, owner: str) -> list[OpenStream]:
        """Return the open streams of the owner with this id."""
        return [stream for stream in self._open if stream.owner == owner]

    def refuse_when_full(self) -> None:
        """Refuse another stream if this process has too many.

        Raises:
            Problem: 503, `TAILRACE_MAX_STREAMS` streams are open.
        """
        limit = self._settings.max_streams
        if len(self._open) >= limit:
            raise Problem(503, f"All {limit} streams of this gateway are in use.", {"Retry-After": "5"})

    async def chunks(self, head: Head, cursor: int) -> AsyncGenerator[bytes]:
        """Yield the frames after `cursor`, until the stream ends, rotates or is cut. Logs its start and its end."""
        settings = self._settings
        opened = OpenStream(head.task_id, head.owner, now_ms(), cursor)
        stream = TaskStream(
            self._log, self._pipes.feeds, head.task_id, cursor, _BrowserFraming(head.task_id), self._timing
        )
        failure: str | None = None
        _log("stream_resumed" if cursor else "stream_opened", head.task_id, cursor=cursor)
        self._open.append(opened)
        try:
            yield sse.retry(settings.retry_ms) + sse.padding(settings.padding_bytes)
            async with aclosing(stream.chunks()) as chunks:
                async for chunk in chunks:
                    opened.seq = stream.seq
                    yield chunk
        except LogError as error:
            # No end frame: the reader sees a cut and comes back.
            failure = str(error)
        finally:
            self._open.remove(opened)
            event, how = ("stream_failed", "failed") if failure else ("stream_ended", stream.ending)
            _log(event, head.task_id, seq=opened.seq, how=how, reason=failure, ms=now_ms() - opened.opened)
            if on_lambda():  # one request at a time: this stream was the pipe's only viewer
                await self._pipes.drop(head.task_id)


class _BrowserFraming:
    """Events in a JSON-RPC envelope, and a named control frame for everything else."""

    rotated = sse.COME_BACK

    def __init__(self, task_id: str) -> None:
        self._envelope = sse.Envelope(task_id)

    def frames(self, item: Batch | Synced | Gap | End) -> bytes:
        if isinstance(item, Batch):
            return self._envelope.frames(item)
        if isinstance(item, Synced):
            return sse.control("sync", {"seq": item.seq})
        if isinstance(item, Gap):
            return sse.control("gap", {"from": item.first, "to": item.last})
        return sse.control("end", {"state": item.state, "seq": item.seq})


def _log(event: str, task_id: str, **details: object) -> None:
    logger.info(encode({"event": event, "task": task_id, "ts": now_ms(), **details}).decode())
