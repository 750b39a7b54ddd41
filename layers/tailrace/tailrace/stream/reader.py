"""The reader: every event of a task after a cursor, once and in order, until the task has no more.

A reader gets events from the log and from a feed. It attaches to the feed first and reads the log second, so nothing
can fall between the two. It sends in dense order: the next event is always cursor + 1. It drops what the feed repeats,
and reads from the log what the feed skips: the log has every event before a feed has it.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import NamedTuple

from tailrace.errors import LogUnreadable, RequestError
from tailrace.events import INTERRUPTED, TERMINAL, State, ends
from tailrace.log import Batch, EventLog
from tailrace.stream.broadcast import Feeds

logger = logging.getLogger("tailrace.feed")


class Synced(NamedTuple):
    """The reader has everything that the log had, up to `seq`. From here on it is live."""

    seq: int


class Gap(NamedTuple):
    """The events `first` to `last` are gone for good: they have expired, or the log is damaged there."""

    first: int
    last: int


class End(NamedTuple):
    """Nothing more comes: the task is finished, or waits for input."""

    state: State
    seq: int


class Idle(NamedTuple):
    """Nothing came for a while; the stream is alive."""


Item = Batch | Synced | Gap | End | Idle


def parse_cursor(text: str, key: str) -> int:
    """A cursor as a seq.

    Raises:
        RequestError: `text` is not a whole number from 0 up, of at most 15 digits. The message names `key`.
    """
    if not (text.isascii() and text.isdigit()) or len(text) > 15:
        raise RequestError(f"{key} has value {text[:40]!r}, but must be a seq: a whole number from 0 up.")
    return int(text)


def is_end(state: State | None, *, past_input: bool) -> bool:
    """Whether nothing follows a change to `state` in a stream. `past_input` streams go on while the task waits."""
    return state in TERMINAL or (state in INTERRUPTED and not past_input)


async def end_at(log: EventLog, task_id: str, cursor: int) -> State | None:
    """The state in which the task has ended if a reader at `cursor` has everything, else None.

    Raises as `newest_at` does.
    """
    newest = await newest_at(log, task_id, cursor)
    return None if newest is None else ends(newest)


async def newest_at(log: EventLog, task_id: str, cursor: int) -> bytes | None:
    """The event at `cursor` if a reader there has everything; None if more comes, or if it cannot be read.

    Raises:
        RequestError: the cursor is past the task's newest event.
        LogError: the log cannot be read.
    """
    if cursor == 0:
        return None
    try:
        at_cursor = await log.read(task_id, cursor - 1, limit=1)
    except LogUnreadable:
        return None  # The stream reports the gap.
    if not at_cursor:
        newest = await log.last(task_id)
        raise RequestError(f"The cursor is {cursor}, but the newest event of the task is {newest}.")
    if at_cursor[0].seq > cursor or at_cursor[-1].last > cursor or await log.last(task_id) > cursor:
        return None
    return at_cursor[0].events[0]


def merge(cursor: int, offered: Batch) -> Batch | None:
    """What a reader at `cursor` may send next of a batch that a feed offers.

    Returns:
        The rest of the batch, empty if the reader has all of it. None if events are missing in between: then the log
        has to be read from `cursor`, which brings `offered` as well.
    """
    if offered.last <= cursor:
        return Batch(cursor + 1, offered.attempt, ())
    if offered.seq > cursor + 1:
        return None
    return offered.after(cursor)


async def follow(
    log: EventLog,
    feeds: Feeds,
    task_id: str,
    cursor: int,
    *,
    idle_s: float,
    past_input: bool = False,
    stored: Sequence[Batch] = (),
) -> AsyncGenerator[Item]:
    """Everything after `cursor`, then the events as they come, up to an `End`.

    A task that waits for input ends the stream too, unless `past_input`. `Synced` comes once, `Idle` after every
    `idle_s` seconds of silence. `stored` is what the caller has just read of the log after `cursor`.

    Raises:
        LogError: the log cannot be read.
    """

    def end(event: bytes) -> End | None:
        state = ends(event)
        return End(state, cursor) if state is not None and is_end(state, past_input=past_input) else None

    newest, synced = b"{}", False
    with feeds.subscribe(task_id) as (feed, subscription):
        while True:
            while True:
                try:
                    batches, stored = stored or await log.read(task_id, cursor), ()
                except LogUnreadable as error:
                    logger.warning("%s", error)
                    yield Gap(cursor + 1, error.last)
                    cursor, newest = error.last, b"{}"
                    continue
                if not batches:
                    break
                for batch in batches:
                    if batch.seq > cursor + 1:
                        yield Gap(cursor + 1, batch.seq - 1)
                    yield batch
                    cursor, newest = batch.last, batch.events[-1]
                del batch  # A stream may last long, and a stored batch may have 256 KB.
            feed.caught_up(cursor)
            if not synced:
                yield Synced(cursor)
                synced = True
            if ended := end(newest):
                yield ended
                return
            behind = False
            while not behind:
                offered = subscription.take()
                if offered is None:
                    behind = subscription.latest > cursor
                    if not behind and not await subscription.arrival(idle_s):
                        yield Idle()
                    continue
                fresh = merge(cursor, offered)
                if fresh is None:
                    behind = True
                elif fresh.events:
                    yield fresh
                    cursor, newest = fresh.last, fresh.events[-1]
                    if ended := end(newest):
                        yield ended
                        return


async def wait_for_end(log: EventLog, feeds: Feeds, task_id: str, *, past_input: bool = False) -> State:
    """The state in which the task ends, once it has. A task that waits for input has ended too, unless `past_input`.

    Raises:
        LogError: the log cannot be read.
    """
    cursor = max(await log.last(task_id) - 1, 0)
    async with aclosing(follow(log, feeds, task_id, cursor, idle_s=60, past_input=past_input)) as items:
        async for item in items:
            if isinstance(item, End):
                return item.state
    raise RuntimeError("A stream of items ended without an End.")
