"""The writer puts an attempt's events into the log, and only then publishes them (docs/ARCHITECTURE.md, section 4).

It commits in groups: events that arrive during a put go into the next put, and there is at most one put in an emit
interval. An event after a silence, and any change of state, is put at once. A node's start waits a few turns of the
event loop, so that what the node begins with goes into the same put. Text deltas of one artifact that wait at the same
time become one event.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Literal, NamedTuple

import msgspec

from tailrace import events
from tailrace.errors import LogUnavailable, TailraceError
from tailrace.events import NO_DETAILS, Details, Kind, Part, Source, State
from tailrace.log import Batch, EventLog
from tailrace.log.packing import pack, split

logger = logging.getLogger("tailrace.writer")

# What a model says beside the answer, streamed as the answer is.
Speech = Literal["message", "reasoning", "tool_call"]

# Maximum length of a text event, so that a burst of deltas never makes one that is too large for the log.
_MAX_TEXT = 32_000
# What the writer keeps of the events that wait when they are dropped.
_KEPT_BYTES = 4_000_000
# How many turns of the event loop a node's start waits: LangGraph takes six until the code of an async node runs.
_TURNS = 8
# A larger event is packed once before it gets its seq, so that one that does not fit can be refused.
_SUSPICIOUS_BYTES = 100_000


class Piece(msgspec.Struct):
    """A piece of a streamed text artifact: the `step` that wrote it, the step around that, and the model's message."""

    text: str
    step: str | None = None
    parent: str | None = None
    message: str | None = None


class Writer:
    """Appends the events of one attempt; nothing else does. It knows the next seq, so it never reads the log.

    `publish` is called with each batch that the log has acknowledged. After a `Fenced`, or when the log stays
    unavailable for `patience_s` seconds, `broken` is set and every further call raises the reason. `interval_s` is the
    emit interval in seconds. `begun` names the text artifacts of earlier attempts to which this one appends. `fence`,
    before `next_seq`, is put at once if it is not in the log yet.
    """

    def __init__(
        self,
        log: EventLog,
        source: Source,
        next_seq: int,
        publish: Callable[[Batch], None],
        *,
        interval_s: float,
        patience_s: float,
        begun: Iterable[str] = (),
        fence: Batch | None = None,
    ) -> None:
        self._log = log
        self._source = source
        self._next_seq = next_seq
        self._publish = publish
        self._interval_s = interval_s
        self._patience_s = patience_s
        self._waiting: list[bytes] = []
        self._text: _Text | None = None
        self._deltas: list[str] = []
        self._size = 0
        self._begun = set(begun)
        self._work = asyncio.Event()
        self._urgent = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._error: TailraceError | None = None
        self.broken = asyncio.Event()
        self._turns = 0  # that the next put waits
        self._fence = fence
        if fence is not None:
            self._idle.clear()
        self._loop = asyncio.create_task(self._write(), name=f"writer {source.task_id}")

    def status(
        self,
        kind: Kind,
        details: Details = NO_DETAILS,
        *,
        state: State = "TASK_STATE_WORKING",
        text: str | None = None,
        data: Any = msgspec.UNSET,
        agent: str | None = None,
    ) -> None:
        """Emit a status update; `events.status_update` explains the arguments.

        Raises:
            EventTooLarge: nothing was emitted.
            Fenced, LogUnavailable: the writer is broken.
        """
        self._seal()
        seq = self._next_seq
        self._add(
            events.status_update(self._source, seq, kind, details, state=state, text=text, data=data, agent=agent)
        )
        if kind == "state":
            self._urgent.set()
        elif kind == "node_start":
            self._turns = _TURNS

    def text(
        self,
        artifact: str,
        delta: str,
        *,
        step: str | None = None,
        parent: str | None = None,
        message: str | None = None,
    ) -> None:
        """Emit a piece of a streamed text artifact; `Piece` explains the arguments. Raises as `status` does."""
        if delta:
            self._add_text(_Text("token", artifact, step, parent, message), delta)

    def say(self, kind: Speech, delta: str, details: Details) -> None:
        """Emit a piece of what a model says beside the answer. Raises as `status` does.

        `details` has the step, its parent, the message and the speaker's name; of a call its id and the tool's name.
        """
        if delta or kind == "tool_call":
            text = _Text(kind, "", details.step, details.parent, details.message, details.call, details.name)
            self._add_text(text, delta)

    def replace_text(self, artifact: str, pieces: Sequence[Piece]) -> None:
        """Begin a streamed text artifact again, with `pieces` in place of what it had. Raises as `status` does."""
        self._seal()
        self._begun.discard(artifact)
        for piece in pieces or [Piece("")]:
            self._add_text(_Text("token", artifact, piece.step, piece.parent, piece.message), piece.text)

    def artifact(self, name: str, part: Part, *, step: str | None = None, parent: str | None = None) -> None:
        """Emit a whole artifact of one part, written by `step` within `parent`. Raises as `status` does."""
        self._seal()
        seq = self._next_seq
        self._add(events.artifact_update(self._source, seq, "result", name, part, last=True, step=step, parent=parent))

    @property
    def last(self) -> int:
        """The seq of the newest event. After a `flush` the log has it."""
        return self._next_seq - 1

    async def flush(self) -> None:
        """Wait until the log has acknowledged every event so far, the fence included.

        Raises:
            Fenced, LogUnavailable: the writer is broken.
        """
        self._seal()
        if not self._idle.is_set():
            self._urgent.set()
            await self._idle.wait()
        if self._error is not None:
            raise self._error

    def drop(self) -> None:
        """Forget the events that wait, but for the first 4 MB: the log would still take them long after the end of a
        run that has been stopped."""
        self._seal()
        size = 0
        for index, event in enumerate(self._waiting):
            size += len(event)
            if size > _KEPT_BYTES:
                self._next_seq -= len(self._waiting) - index
                del self._waiting[index:]
                return

    async def close(self) -> None:
        """Stop. Events that were not flushed may be lost."""
        self._loop.cancel()
        await asyncio.gather(self._loop, return_exceptions=True)

    def _add(self, event: bytes) -> None:
        if self._error is not None:
            raise self._error
        if len(event) > _SUSPICIOUS_BYTES:
            pack(self._source.task_id, self._next_seq, [event])
        self._waiting.append(event)
        self._next_seq += 1
        self._signal()

    def _add_text(self, text: _Text, delta: str) -> None:
        """Add a delta to the waiting text if it continues that, and otherwise begin `text` with it."""
        if self._error is not None:
            raise self._error
        size = self._size + len(delta)
        if self._text == text and self._size and size <= _MAX_TEXT:  # almost every delta
            self._deltas.append(delta)
            self._size = size
            return
        for start in range(0, max(len(delta), 1), _MAX_TEXT):
            added = delta[start : start + _MAX_TEXT]
            if self._text is not None and not self._size and self._text.artifact == text.artifact:
                self._text = None  # The artifact begins again with `text`, so it need not be emptied before.
            if self._text is None or self._text != text or self._size + len(added) > _MAX_TEXT:
                self._seal()
                self._text, self._deltas, self._size = text, [], 0
            self._deltas.append(added)
            self._size += len(added)
        self._signal()

    def _seal(self) -> None:
        """Turn the waiting text into an event."""
        text, self._text = self._text, None
        if text is None:
            return
        joined = "".join(self._deltas)
        if text.kind == "token":
            append = text.artifact in self._begun
            self._begun.add(text.artifact)
            event = events.artifact_update(
                self._source,
                self._next_seq,
                "token",
                text.artifact,
                Part(text=joined),
                append=append,
                step=text.step,
                parent=text.parent,
                message=text.message,
            )
        else:
            details = Details(step=text.step, parent=text.parent, message=text.message, call=text.call, name=text.name)
            if text.kind == "tool_call":
                details.input = joined
            shown = None if text.kind == "tool_call" else joined
            event = events.status_update(self._source, self._next_seq, text.kind, details, text=shown)
        self._add(event)

    def _signal(self) -> None:
        self._idle.clear()
        self._work.set()

    async def _write(self) -> None:
        """Put the waiting events, at most once in an interval unless they are urgent."""
        clock = asyncio.get_running_loop().time
        if self._fence is not None and not await self._done(self._put_batch(self._fence)):
            return
        next_put = clock()
        while True:
            await self._work.wait()
            longest = clock() + self._interval_s  # A turn may take long, if other tasks of the process are busy.
            while self._turns and not self._urgent.is_set() and clock() < longest:
                self._turns -= 1
                await asyncio.sleep(0)
            if (pause := next_put - clock()) > 0 and not self._urgent.is_set():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._urgent.wait()
            next_put = clock() + self._interval_s
            if not await self._done(self._put()):
                return

    async def _done(self, put: Awaitable[None]) -> bool:
        """Whether the put could be done. If not, this writer is broken."""
        try:
            await put
        except Exception as error:
            # Any error ends every wait, because this writer will not write again.
            self._error = error if isinstance(error, TailraceError) else LogUnavailable(f"The writer failed: {error}.")
            if self._error is not error:
                logger.exception("writer of task %s", self._source.task_id)
            self.broken.set()
            self._idle.set()
            return False
        if not self._waiting and self._text is None:
            self._idle.set()
            self._urgent.clear()
        return True

    async def _put(self) -> None:
        """Append the waiting events, and publish each batch when the log has acknowledged it."""
        self._seal()
        self._work.clear()
        self._urgent.clear()
        self._turns = 0
        end = self._next_seq
        while self._waiting and (seq := self._next_seq - len(self._waiting)) < end:
            batch = Batch(seq, self._source.attempt, next(split(self._waiting)))
            del self._waiting[: len(batch.events)]
            await self._put_batch(batch)

    async def _put_batch(self, batch: Batch) -> None:
        await self._append(batch)
        self._publish(batch)

    async def _append(self, batch: Batch) -> None:
        """Append the batch; try again while the store is unavailable. The log recognises a put that is made twice."""
        loop = asyncio.get_running_loop()
        give_up = loop.time() + self._patience_s
        pause = 0.05
        while True:
            try:
                return await self._log.append(self._source.task_id, batch)
            except LogUnavailable:
                if loop.time() + pause > give_up:
                    raise
                await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311
                pause = min(pause * 2, 1.0)


class _Text(NamedTuple):
    """What the deltas that wait to become one event have in common."""

    kind: Literal["token", Speech]
    artifact: str
    step: str | None
    parent: str | None
    message: str | None
    call: str | None = None
    name: str | None = None
