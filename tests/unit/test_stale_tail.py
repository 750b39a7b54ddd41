"""A tail whose looks may be stale loses nothing, repeats nothing and keeps the order (promise 5)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.config import Settings
from tailrace.events import Source, status_update
from tailrace.log import Batch, Head
from tailrace.log.memory import MemoryLog
from tailrace.stream.broadcast import Feeds
from tailrace.stream.reader import End, Gap, Synced, follow
from tests.support.virtual_time import run_in_virtual_time

SOURCE = Source("t", "c", "a", 1)


class StaleLog(MemoryLog):
    """Looks of a tail lack the newest batches: the next look lacks as many as `lacking` says, the last one for ever."""

    def __init__(self, lacking: Sequence[int], **options: object) -> None:
        super().__init__(**options)
        self._lacking = list(lacking)

    async def tail(self, task_id: str, cursor: int) -> list[Batch]:
        lacking = self._lacking.pop(0) if len(self._lacking) > 1 else self._lacking[0]
        batches = [batch for batch in await self.read(task_id) if batch.seq > cursor]
        stale = batches[: len(batches) - lacking] if lacking else batches
        return stale if not stale or stale[0].seq == cursor + 1 else await self.read(task_id, cursor)


def event(seq: int, last: bool) -> bytes:
    if last:
        return status_update(SOURCE, seq, "state", state="TASK_STATE_COMPLETED")
    return status_update(SOURCE, seq, "progress", text=f"{seq}")


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 4), min_size=1, max_size=12),
    gaps_s=st.lists(st.floats(0.0, 4.0), min_size=12, max_size=12),
    lacking=st.lists(st.integers(0, 20), min_size=1, max_size=40),
    cursor=st.integers(0, 3),
)
def test_a_reader_gets_every_event_once_and_in_order_whatever_the_looks_of_its_tail_lack(
    sizes: list[int], gaps_s: list[float], lacking: list[int], cursor: int
) -> None:
    total = sum(sizes) + 1

    async def play() -> tuple[list[int], list[object], float, float]:
        clock = asyncio.get_running_loop().time
        log = StaleLog(lacking, clock=clock)
        await log.create(Head(task_id="t", owner="me", context_id="c", agent="a"), event(1, last=False))
        written_s = 0.0

        async def write() -> None:
            nonlocal written_s
            seq = 2
            for size, gap_s in zip(sizes, gaps_s, strict=False):
                await asyncio.sleep(gap_s)
                await log.append("t", Batch(seq, 1, [event(each, each == total) for each in range(seq, seq + size)]))
                seq, written_s = seq + size, clock()

        writing = asyncio.create_task(write())
        seqs, others = list[int](), list[object]()
        async for item in follow(log, Feeds(log, Settings()), "t", min(cursor, 1), idle_s=60):
            if isinstance(item, Batch):
                seqs += range(item.seq, item.last + 1)
            else:
                others.append(item)
        await writing
        return seqs, others, written_s, clock()

    seqs, others, written_s, ended_s = run_in_virtual_time(play())
    assert seqs == list(range(min(cursor, 1) + 1, total + 1))
    assert not [item for item in others if isinstance(item, Gap)]
    assert sum(isinstance(item, Synced) for item in others) == 1
    assert isinstance(others[-1], End)
    # One look in the time of a lease is consistent, so an event is late by no more than that.
    assert ended_s - written_s <= Settings().lease_s + Settings().tail_slow_ms / 1000 + 0.001
