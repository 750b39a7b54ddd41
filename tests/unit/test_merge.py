"""Exactly once, in order, at every cursor (docs/ARCHITECTURE.md, promise 5): the merge, and the reader around it."""

from __future__ import annotations

import asyncio
import weakref
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.config import Settings
from tailrace.errors import LogUnavailable
from tailrace.events import Source, status_update
from tailrace.log import Batch, Head
from tailrace.log.memory import MemoryLog
from tailrace.stream.broadcast import Feeds
from tailrace.stream.reader import End, Gap, Synced, follow, merge

SOURCE = Source("t", "c", "a", 1)
FAST = Settings(tail_fast_ms=5, tail_slow_ms=20, pipe_events=8)


def batch(first: int, last: int) -> Batch:
    return Batch(first, 1, [b"%d" % seq for seq in range(first, last + 1)])


@given(last=st.integers(0, 50), first=st.integers(1, 60), size=st.integers(1, 20))
def test_merge_gives_exactly_what_comes_next(last: int, first: int, size: int) -> None:
    merged = merge(last, batch(first, first + size - 1))
    if first > last + 1:
        assert merged is None
    else:
        assert merged is not None
        assert list(merged.events) == [b"%d" % seq for seq in range(last + 1, first + size)]
        assert not merged.events or merged.seq == last + 1


@given(
    total=st.integers(1, 40),
    # What a pipe does with the events: how many it gives next, how far it jumps back or ahead before that.
    pipe=st.lists(st.tuples(st.integers(1, 9), st.integers(-12, 12)), max_size=30),
    cursor=st.integers(0, 40),
)
def test_any_pipe_over_a_log_adds_up_to_the_dense_sequence(
    total: int, pipe: list[tuple[int, int]], cursor: int
) -> None:
    """The merge as a reader uses it: a pipe that skips, repeats, and breaks off; a log that has everything."""
    last, seen, place = min(cursor, total), list[bytes](), 0
    start = last
    for size, jump in pipe:
        first = max(1, min(total, place + 1 + jump))
        place = min(total, first + size - 1)
        offered = batch(first, place)
        merged = merge(last, offered)
        if merged is None:  # read the log as far as the pipe has come, and perhaps further
            merged = batch(last + 1, place)
        seen += merged.events
        last = merged.last if merged.events else last
    if last < total:  # the pipe is gone; the tail finds the rest
        seen += batch(last + 1, total).events
    assert seen == [b"%d" % seq for seq in range(start + 1, total + 1)]


def event(seq: int, total: int) -> bytes:
    if seq == total:
        return status_update(SOURCE, seq, "state", state="TASK_STATE_COMPLETED")
    return status_update(SOURCE, seq, "progress", text=f"{seq}")


@settings(max_examples=40, deadline=None)
@given(
    batches=st.lists(st.integers(1, 12), min_size=1, max_size=12),
    told=st.lists(st.sampled_from(["at once", "late", "twice", "never"]), min_size=12, max_size=12),
    cursor=st.integers(0, 30),
    joins_after=st.integers(0, 12),
)
def test_a_reader_gets_every_later_event_once_whatever_the_feed_is_told(
    batches: list[int], told: list[str], cursor: int, joins_after: int
) -> None:
    """A live source that forgets, repeats and reorders what it tells; the log as it grows; one reader."""

    async def scenario() -> None:
        log = MemoryLog()
        await log.create(Head(task_id="t", owner="o", context_id="c", agent="a"), event(1, 0))
        feeds = Feeds(log, FAST)
        total = 1 + sum(batches)
        start = min(cursor, total - 1)
        joined, got = asyncio.Event(), list[bytes]()

        async def read() -> None:
            last = start
            async for item in follow(log, feeds, "t", start, idle_s=10):
                assert not isinstance(item, Gap)
                if isinstance(item, Batch):
                    assert item.seq == last + 1
                    got.extend(item.events)
                    last = item.last
                elif isinstance(item, Synced):
                    joined.set()
                elif isinstance(item, End):
                    assert item.seq == last == total
                    return

        reader: asyncio.Task[None] | None = None
        seq, late = 2, list[Batch]()
        with feeds.live("t") as feed:
            for index, size in enumerate(batches):
                if index == joins_after and seq > start:
                    reader = asyncio.create_task(read())
                    await joined.wait()
                written = Batch(seq, 1, [event(n, total) for n in range(seq, seq + size)])
                await log.append("t", written)
                seq += size
                how = told[index]
                if how in ("at once", "twice"):
                    feed.publish(written)
                if how == "twice":
                    feed.publish(written)
                if how == "late":
                    late.append(written)
                await asyncio.sleep(0)
            for written in late:
                feed.publish(written)
        async with asyncio.timeout(60):
            await (reader or asyncio.create_task(read()))
        assert got == [event_ for b in await log.read("t", start) for event_ in b.events]

    asyncio.run(scenario())


async def test_a_reader_that_falls_behind_reads_the_log_instead() -> None:
    """More than the bound arrives while the reader is away: its buffer is dropped, no event is."""
    log = MemoryLog()
    await log.create(Head(task_id="t", owner="o", context_id="c", agent="a"), event(1, 0))
    feeds, total = Feeds(log, FAST), 100
    items = follow(log, feeds, "t", 0, idle_s=10)
    assert isinstance(await anext(items), Batch)
    assert isinstance(await anext(items), Synced)
    with feeds.live("t") as feed:
        for seq in range(2, total + 1):
            written = Batch(seq, 1, [event(seq, total)])
            await log.append("t", written)
            feed.publish(written)
        got = [item async for item in items]
    assert [seq for b in got if isinstance(b, Batch) for seq in range(b.seq, b.last + 1)] == list(range(2, total + 1))
    assert got[-1] == End("TASK_STATE_COMPLETED", total)


async def test_a_reader_that_waits_hears_of_what_another_reader_found_in_the_log() -> None:
    log = MemoryLog()
    await log.create(Head(task_id="t", owner="o", context_id="c", agent="a"), event(1, 0))
    feeds = Feeds(log, replace(FAST, tail_fast_ms=10_000, tail_slow_ms=60_000))
    waits = follow(log, feeds, "t", 0, idle_s=60)
    assert isinstance(await anext(waits), Batch)
    assert isinstance(await anext(waits), Synced)
    rest = asyncio.create_task(anext(waits))
    await asyncio.sleep(0)  # it waits, and the tail will not look for long
    await log.append("t", Batch(2, 1, [event(2, 3), event(3, 3)]))
    assert [type(item) for item in [item async for item in follow(log, feeds, "t", 0, idle_s=60)]] == [
        Batch, Batch, Synced, End,
    ]  # fmt: skip
    async with asyncio.timeout(60):
        assert (await rest).last == 3  # type: ignore[union-attr]


async def test_a_reader_that_waits_keeps_nothing_of_what_it_has_read() -> None:
    class Events(list[bytes]):
        """A list whose end can be seen."""

    log = MemoryLog()
    await log.create(Head(task_id="t", owner="o", context_id="c", agent="a"), event(1, 0))
    events = Events([event(1, 0)])
    kept = weakref.ref(events)
    items = follow(log, Feeds(log, FAST), "t", 0, idle_s=60, stored=[Batch(1, 1, events)])
    del events
    assert isinstance(await anext(items), Batch)
    assert isinstance(await anext(items), Synced)
    assert kept() is None
    await items.aclose()


class CountingLog(MemoryLog):
    """Counts the reads of the log by who reads: the tail, or a reader for itself."""

    def __init__(self) -> None:
        super().__init__()
        self.by_tail = self.by_readers = 0

    async def read(self, task_id: str, cursor: int = 0, limit: int = 1_000_000) -> list[Batch]:
        task = asyncio.current_task()
        if task is not None and task.get_name() == f"tail {task_id}":
            self.by_tail += 1
        else:
            self.by_readers += 1
        return await super().read(task_id, cursor, limit)


async def test_ten_viewers_of_a_task_read_its_log_once() -> None:
    """A reader reads the log when it comes. After that one tail reads it for all of them."""
    log, total, viewers = CountingLog(), 30, 10
    await log.create(Head(task_id="t", owner="o", context_id="c", agent="a"), event(1, 0))
    feeds = Feeds(log, FAST)
    streams = [follow(log, feeds, "t", 1, idle_s=10) for _ in range(viewers)]
    assert [await anext(stream) for stream in streams] == [Synced(1)] * viewers
    when_they_came = log.by_readers
    assert when_they_came == viewers
    for seq in range(2, total + 1):
        await log.append("t", Batch(seq, 1, [event(seq, total)]))
        async with asyncio.timeout(60):
            assert [(await anext(stream)).seq for stream in streams] == [seq] * viewers  # type: ignore[union-attr]
    assert log.by_readers == when_they_came
    assert log.by_tail >= total - 1
    assert [await anext(stream) for stream in streams] == [End("TASK_STATE_COMPLETED", total)] * viewers


async def test_what_has_expired_is_told_as_a_gap() -> None:
    now = 1000.0
    log = MemoryLog(ttl_s=100, clock=lambda: now)
    await log.create(Head(task_id="t", owner="o", context_id="c", agent="a"), event(1, 0))
    now += 50
    await log.append("t", Batch(2, 1, [event(2, 3), event(3, 3)]))
    now += 60
    got = [item async for item in follow(log, Feeds(log, FAST), "t", 0, idle_s=10)]
    assert got[0] == Gap(1, 1)
    assert isinstance(got[1], Batch)
    assert got[1].seq == 2


async def test_a_tail_sees_what_another_process_writes() -> None:
    log = MemoryLog()
    await log.create(Head(task_id="t", owner="o", context_id="c", agent="a"), event(1, 0))
    items = follow(log, Feeds(log, FAST), "t", 1, idle_s=10)
    assert await anext(items) == Synced(1)
    waiting = asyncio.create_task(anext(items))
    await asyncio.sleep(0)
    await log.append("t", Batch(2, 1, [event(2, 2)]))
    async with asyncio.timeout(60):
        assert (await waiting).seq == 2  # type: ignore[union-attr]
        assert await anext(items) == End("TASK_STATE_COMPLETED", 2)


class ForeignLog(MemoryLog):
    """Its store raises what nobody foresaw, once it is told to."""

    broken = False

    async def tail(self, task_id: str, cursor: int) -> list[Batch]:
        if self.broken:
            raise ZeroDivisionError
        return await super().tail(task_id, cursor)


async def test_a_reader_is_cut_off_when_its_tail_fails_and_follows_again_when_it_comes_back() -> None:
    log = ForeignLog()
    await log.create(Head(task_id="t", owner="o", context_id="c", agent="a"), event(1, 0))
    feeds = Feeds(log, FAST)
    with feeds.live("t"):  # so the feed outlives its reader
        items = follow(log, feeds, "t", 1, idle_s=60)
        assert await anext(items) == Synced(1)
        log.broken = True
        with pytest.raises(LogUnavailable, match="task t can no longer be followed: ZeroDivisionError"):
            async with asyncio.timeout(60):
                await anext(items)
        log.broken = False
        again = follow(log, feeds, "t", 1, idle_s=60)
        assert await anext(again) == Synced(1)
        await log.append("t", Batch(2, 1, [event(2, 2)]))
        async with asyncio.timeout(60):
            assert (await anext(again)).seq == 2  # type: ignore[union-attr]


async def test_a_silent_stream_tells_that_it_is_alive() -> None:
    log = MemoryLog()
    await log.create(Head(task_id="t", owner="o", context_id="c", agent="a"), event(1, 0))
    items = follow(log, Feeds(log, FAST), "t", 1, idle_s=0.01)
    assert await anext(items) == Synced(1)
    async with asyncio.timeout(60):
        assert await anext(items) == ()
