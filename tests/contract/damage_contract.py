"""The contract of a log with damaged events: it names them and reads the events around them."""

from __future__ import annotations

import asyncio
import sys
from contextlib import aclosing

import pytest

from tailrace.a2a.task import snapshot
from tailrace.config import Settings
from tailrace.errors import LogUnreadable
from tailrace.log import Batch, EventLog
from tailrace.stream.broadcast import Feeds
from tailrace.stream.reader import Gap, Synced, follow
from tests.contract.log_tasks import created, events


class DamageContract:
    @pytest.fixture
    async def damaged(self, log: EventLog, monkeypatch: pytest.MonkeyPatch) -> str:
        """A task with the events 1 to 6; the batch of 3 and 4 cannot be unpacked."""
        task_id = await created(log)
        await log.append(task_id, Batch(2, 1, events(2, 1)))
        with monkeypatch.context() as patched:
            patched.setattr(sys.modules[type(log).__module__], "pack", lambda *_: b"x\x01 no zlib")
            await log.append(task_id, Batch(3, 1, events(3, 2)))
        await log.append(task_id, Batch(5, 1, events(5, 2)))
        return task_id

    async def test_events_around_a_damaged_batch_are_readable(self, log: EventLog, damaged: str) -> None:
        assert [batch.last for batch in await log.read(damaged)] == [1, 2]
        for cursor in (2, 3):
            with pytest.raises(LogUnreadable, match=r"Events 3 to 4 of task '.+' cannot be read") as refused:
                await log.read(damaged, cursor)
            assert (refused.value.first, refused.value.last) == (3, 4)
        for cursor in (4, 5):
            (rest,) = await log.read(damaged, cursor)
            assert (rest.seq, rest.last) == (cursor + 1, 6)
        assert await log.read(damaged, 6) == []
        assert await log.last(damaged) == 6

    async def test_what_comes_after_a_damaged_batch_was_met_is_read_at_once(self, log: EventLog, damaged: str) -> None:
        with pytest.raises(LogUnreadable) as met:
            await log.read(damaged, 2)
        await log.append(damaged, Batch(7, 1, events(7, 1)))
        assert await log.last(damaged) == 7
        assert [batch.last for batch in await log.read(damaged, 6)] == [7]
        assert met.value.last == 4, "the error, which still exists, keeps nothing open"

    async def test_a_damaged_last_batch_is_not_read_as_new(
        self, log: EventLog, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        task_id = await created(log)
        monkeypatch.setattr(sys.modules[type(log).__module__], "pack", lambda *_: b"x\x01 no zlib")
        await log.append(task_id, Batch(2, 1, events(2, 2)))
        assert await log.last(task_id) == 3
        assert await log.read(task_id, 3) == []

    async def test_a_reader_gets_a_gap_for_damaged_events(self, log: EventLog, damaged: str) -> None:
        items = follow(log, Feeds(log, Settings()), damaged, 0, idle_s=60)
        seen: list[object] = []
        async with aclosing(items):
            async for item in items:
                seen.append(item)
                if isinstance(item, Synced):
                    break
        assert [(item.seq, item.last) for item in seen if isinstance(item, Batch)] == [(1, 1), (2, 2), (5, 6)]
        assert [item for item in seen if isinstance(item, Gap)] == [Gap(3, 4)]

    async def test_a_reader_that_waits_gets_a_gap_for_new_damaged_events(
        self, log: EventLog, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        task_id = await created(log)
        items = follow(log, Feeds(log, Settings()), task_id, 0, idle_s=60)
        async with asyncio.timeout(60), aclosing(items):
            async for item in items:
                if isinstance(item, Synced):
                    break
            with monkeypatch.context() as patched:
                patched.setattr(sys.modules[type(log).__module__], "pack", lambda *_: b"x\x01 no zlib")
                await log.append(task_id, Batch(2, 1, events(2, 2)))
            assert await anext(items) == Gap(2, 3)
            await log.append(task_id, Batch(4, 1, events(4, 1)))
            batch = await anext(items)
            assert isinstance(batch, Batch)
            assert (batch.seq, batch.last) == (4, 4)

    async def test_a_snapshot_skips_damaged_events(self, log: EventLog, damaged: str) -> None:
        shown = await snapshot(log, damaged)
        assert (shown.seq, shown.task.id) == (6, damaged)
