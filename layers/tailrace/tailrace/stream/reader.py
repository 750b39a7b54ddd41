"""The reader: every event of a task after a cursor, once and in order, until the task has no more.

It attaches to the feed first and reads the log second, so nothing can fall between the two.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import NamedTuple

from tailrace.errors import RequestError
from tailrace.events import TERMINAL, State, ends
from tailrace.log import Batch, EventLog
from tailrace.stream.broadcast import Feeds
from tailrace.stream.merge import merge


class Synced(NamedTuple):
    """The reader has everything the log had; from here on it is live."""

    seq: int


class Gap(NamedTuple):
    """The events `first` to `last` are gone for good: their time to live was over."""

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
        RequestError: it is no whole number from 0 up. The message names `key`.
    """
    if not (text.isascii() and text.isdigit()) or len(text) > 15:
        raise RequestError(f"{key} has value {text[:40]!r}, but must be a seq: a whole number from 0 up.")
    return int(text)


async def end_at(log: EventLog, task_id: str, cursor: int) -> State | None:
    """The state in which the task has ended if a reader at `cursor` has everything, else None.

    Raises:
        RequestError: no event has that seq yet.
    """
    if cursor == 0:
        return None
    here = await log.read(task_id, cursor - 1, limit=1)
    if not here:
        newest = await log.last(task_id)
        raise RequestError(f"The cursor is {cursor}, but the newest event of the task is {newest}.")
    if here[0].seq > cursor or here[-1].last > cursor or await log.last(task_id) > cursor:
        return None
    return ends(here[0].events[0])


async def follow(
    log: EventLog, feeds: Feeds, task_id: str, cursor: int, *, idle_s: float, past_input: bool = False
) -> AsyncGenerator[Item]:
    """Everything after `cursor`, then the events as they come, up to an `End`.

    A task that waits for input ends the stream too, unless `past_input`. `Idle` comes after every
    `idle_s` seconds of silence.
    """

    def end(event: bytes) -> End | None:
        state = ends(event)
        return End(state, last) if state in TERMINAL or (state and not past_input) else None

    last, newest, synced = cursor, b"{}", False
    with feeds.subscribe(task_id) as (feed, subscription):
        while True:
            while found := await log.read(task_id, last):
                for batch in found:
                    if batch.seq > last + 1:
                        yield Gap(last + 1, batch.seq - 1)
                    yield batch
                    last, newest = batch.last, batch.events[-1]
            feed.caught_up(last)
            if not synced:
                yield Synced(last)
                synced = True
            if ended := end(newest):
                yield ended
                return
            behind = False
            while not behind:
                offered = subscription.take()
                if offered is None:
                    behind = subscription.latest > last
                    if not behind and not await subscription.arrival(idle_s):
                        yield Idle()
                    continue
                fresh = merge(last, offered)
                if fresh is None:
                    behind = True
                elif fresh.events:
                    yield fresh
                    last, newest = fresh.last, fresh.events[-1]
                    if ended := end(newest):
                        yield ended
                        return
