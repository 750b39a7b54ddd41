"""The summary of a history: what `History` has of a long log's first events, so that they need not be read again.

An attempt keeps one whenever `EVERY` events have come since the last: in the background, made of what the log says.
Whoever then needs the history reads the summary and the events that came after it. The summary is never believed over
the log. It counts only if the event in the log with which it ends is the one that it was made of, and if this version
has written it. Else the whole log is read.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging

import msgspec

from tailrace.agent.recovery.history import History, history_of
from tailrace.errors import LogUnavailable, LogUnreadable, TailraceError
from tailrace.log import EventLog, Head
from tailrace.log.summaries import Summary
from tailrace.log.summaries.base import MAX_SUMMARY_BYTES
from tailrace.stores import compression
from tailrace.stream.writer import Piece

logger = logging.getLogger("tailrace.tasks")

# Changes with every change of what `History` holds or means.
VERSION = 5
# How many events come after a summary before the next one is made. A larger one than 50 KB is made more rarely, so
# that summaries take at most a tenth of a write unit of DynamoDB for an event.
EVERY, _BYTES_AN_EVENT = 1000, 50


class Content(msgspec.Struct):
    """A summary's content. `end` is the SHA-256 of the last event that `history` knows, as hex."""

    version: int
    end: str
    history: History


class _Version(msgspec.Struct):
    version: int


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Content).decode
_decode_version = msgspec.json.Decoder(_Version).decode


async def history_so_far(log: EventLog, head: Head, *, only_first: bool = False) -> History:
    """The history of the head's task, from its summary and what came since, or from the whole log. As `history_of`."""
    if only_first or not head.summary:
        return await history_of(log, head, only_first=only_first)
    return await history_of(log, head, await summed_up(log, head))


async def summed_up(log: EventLog, head: Head) -> History | None:
    """The history up to the end of the head's summary; None if there is none that belongs to the log.

    Raises:
        LogUnavailable
    """
    try:
        summary, batches = await asyncio.gather(
            log.summaries.get(head.task_id), log.read(head.task_id, head.summary - 1, limit=1)
        )
    except LogUnreadable:
        return None
    if summary is None or summary.last != head.summary or not batches or batches[0].seq != summary.last:
        return None
    content = await asyncio.to_thread(unpacked, summary.content)
    if content is None or content.end != digest(batches[0].events[0]) or content.history.last != summary.last:
        return None
    return content.history


def digest(event: bytes) -> str:
    """What distinguishes an event from every other."""
    return hashlib.sha256(event).hexdigest()


def packed(history: History, end: str) -> bytes | None:
    """The content of the history's summary; None if it is too large to be kept."""
    texts = {artifact: merged(pieces) for artifact, pieces in history.texts.items()}
    content = Content(VERSION, end, msgspec.structs.replace(history, texts=texts))
    compressed = compression.compress(_encode(content))
    return compressed if len(compressed) <= MAX_SUMMARY_BYTES else None


def unpacked(content: bytes) -> Content | None:
    """What `packed` has made; None if the bytes are damaged, or another version's."""
    try:
        plain = compression.decompress(content)
        if _decode_version(plain).version != VERSION:
            return None
        return _decode(plain)
    except (compression.Damaged, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def merged(pieces: list[Piece]) -> list[Piece]:
    """The pieces of a text, with those made one that come one after the other from one place."""
    texts: list[tuple[Piece, list[str]]] = []
    for piece in pieces:
        if not texts or _place(texts[-1][0]) != _place(piece):
            texts.append((piece, []))
        texts[-1][1].append(piece.text)
    return [msgspec.structs.replace(piece, text="".join(parts)) for piece, parts in texts]


def _place(piece: Piece) -> tuple[str | None, ...]:
    return piece.step, piece.parent, piece.message


class SummaryKeeper:
    """Keeps the summary of the head's task up to date while an attempt writes events, in the background.

    What fails is logged and costs nothing but the summary: the one before it stays, or the log is read as a whole.
    """

    def __init__(self, log: EventLog, head: Head) -> None:
        self._log = log
        self._head = head
        self._next = EVERY  # how many events come after the summary before the next one
        self._making: asyncio.Task[None] | None = None

    def published(self, last: int) -> None:
        """Note that the log has the events up to the seq `last`."""
        if last - self._head.summary >= self._next and (self._making is None or self._making.done()):
            self._making = asyncio.create_task(self._make(last), name=f"summary {self._head.task_id}")

    async def close(self) -> None:
        """Stop."""
        if self._making is not None:
            self._making.cancel()
            await asyncio.gather(self._making, return_exceptions=True)

    async def _make(self, last: int) -> None:
        task_id = self._head.task_id
        self._next += EVERY  # if this fails
        try:
            history = await history_so_far(self._log, self._head)
            (batch, *_) = await self._log.read(task_id, history.last - 1, limit=1)
            content = await asyncio.to_thread(packed, history, digest(batch.events[0]))
            if content is None:
                logger.info("task %s: its history has become too large for a summary", task_id)
                self._next = 1 << 62
                return
            await self._log.summaries.keep(task_id, self._head.attempt, Summary(history.last, content))
        except LogUnavailable as error:
            logger.warning("task %s: no summary of its log was made: %s", task_id, error)
        except TailraceError as error:
            logger.warning("task %s: its log gets no more summaries: %s", task_id, error)
            self._next = 1 << 62
        except Exception:
            logger.exception("task %s: its log gets no more summaries", task_id)
            self._next = 1 << 62
        else:
            self._head = msgspec.structs.replace(self._head, summary=history.last)
            self._next = max(EVERY, len(content) // _BYTES_AN_EVENT)
