"""The writer puts an attempt's events into the log, and only then publishes them (docs/ARCHITECTURE.md, section 4).

It commits in groups: events that arrive during a put go into the next put, and there is at most one put in an emit
interval. An event after a silence, and any change of state, is put at once. A node's start waits a few turns of the
event loop, so that what the node begins with goes into the same put. Text deltas of one artifact that wait at the same
time become one event.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Iterable, Sequence
from contextvars import copy_context
from functools import partial
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
# How many turns of the event loop a node's start waits: LangGraph takes two until the code of an async node runs, and
# six with callbacks of the author's.
_TURNS = 8
# The first and the longest pause before a put to a log that was unavailable is made again.
_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 1.0
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
        self._loop = asyncio.get_running_loop()
        # A put is made on behalf of the attempt, not of the node whose event it begins with.
        self._context = copy_context()
        self._idle = asyncio.Event()
        self._idle.set()
        self._error: TailraceError | None = None
        self.broken = asyncio.Event()
        self._closed = False
        self._urgent = False
        self._turns = 0  # that the next put waits, until `_turns_until` at the latest
        self._turns_until = 0.0
        self._next_put = 0.0  # when it is due, if it is not urgent
        self._due: asyncio.Handle | None = None  # looks whether it is, or makes a put again that has failed
        self._putting = False
        self._put: asyncio.Future[None] | None = None
        self._end = next_seq  # of the put that is being made
        self._pause = self._give_up = 0.0
        if fence is not None:
            self._idle.clear()
            self._putting = True
            self._begin(fence)

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
            self._hurry()
        elif kind == "node_start":
            # A turn may take long, if other tasks of the process are busy.
            self._turns, self._turns_until = _TURNS, self._loop.time() + self._interval_s

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
            self._hurry()
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
        self._closed = True
        if self._due is not None:
            self._due.cancel()
        if self._put is not None:
            self._put.cancel()
            await asyncio.gather(self._put, return_exceptions=True)

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
        """Have the waiting events put when that is due."""
        self._idle.clear()
        if self._due is None and not self._putting:
            self._look_soon()

    def _hurry(self) -> None:
        """Have the waiting events put at once, or right after what is being put."""
        self._urgent = True
        if not self._putting and isinstance(self._due, asyncio.TimerHandle):
            self._due.cancel()
            self._look_soon()

    def _look_soon(self) -> None:
        if not self._closed:
            self._due = self._loop.call_soon(self._look, context=self._context)

    def _look(self) -> None:
        """Put the waiting events if that is due: at most once in an interval, unless they are urgent."""
        self._due = None
        now = self._loop.time()
        if not self._urgent:
            if self._turns and now < self._turns_until:
                self._turns -= 1
                self._look_soon()
                return
            if now < self._next_put:
                self._due = self._loop.call_at(self._next_put, self._look, context=self._context)
                return
        self._putting, self._urgent, self._turns, self._next_put = True, False, 0, now + self._interval_s
        try:
            self._seal()
            self._end = self._next_seq
            self._go_on()
        except Exception as error:
            self._break(error)

    def _go_on(self) -> None:
        """Put the next batch of the events that this put began with. If there is none, the put has ended."""
        if self._waiting and (seq := self._next_seq - len(self._waiting)) < self._end:
            batch = Batch(seq, self._source.attempt, next(split(self._waiting)))
            del self._waiting[: len(batch.events)]
            self._begin(batch)
            return
        self._putting = False
        if self._waiting or self._text is not None:
            self._look()
        else:
            self._urgent = False
            self._idle.set()

    def _begin(self, batch: Batch) -> None:
        self._pause, self._give_up = _PAUSE_S, self._loop.time() + self._patience_s
        self._append(batch)

    def _append(self, batch: Batch) -> None:
        self._due = None
        self._put = asyncio.ensure_future(self._log.append(self._source.task_id, batch))
        self._put.add_done_callback(partial(self._appended, batch), context=self._context)

    def _appended(self, batch: Batch, put: asyncio.Future[None]) -> None:
        """Publish the batch that the log has acknowledged, and go on; or put it again while the store is unavailable.

        The log recognises a put that is made twice.
        """
        if self._closed:
            return
        error = asyncio.CancelledError() if put.cancelled() else put.exception()
        if isinstance(error, LogUnavailable) and self._loop.time() + self._pause <= self._give_up:
            pause = self._pause * random.uniform(0.5, 1.5)  # noqa: S311
            self._due = self._loop.call_later(pause, self._append, batch, context=self._context)
            self._pause = min(self._pause * 2, _LONGEST_PAUSE_S)
        elif error is not None:
            self._break(error)
        else:
            try:
                self._publish(batch)
                self._go_on()
            except Exception as failure:
                self._break(failure)

    def _break(self, error: BaseException) -> None:
        """End every wait with the error: this writer will not write again."""
        self._error = error if isinstance(error, TailraceError) else LogUnavailable(f"The writer failed: {error}.")
        if self._error is not error:
            logger.error("writer of task %s", self._source.task_id, exc_info=error)
        self.broken.set()
        self._idle.set()


class _Text(NamedTuple):
    """What the deltas that wait to become one event have in common."""

    kind: Literal["token", Speech]
    artifact: str
    step: str | None
    parent: str | None
    message: str | None
    call: str | None = None
    name: str | None = None
