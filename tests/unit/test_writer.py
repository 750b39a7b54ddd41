"""Durable before visible, dense, and one writer (promises 1 to 3): group commit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.errors import EventTooLarge, Fenced, LogUnavailable
from tailrace.events import EXTENSION, Details, Part, Source
from tailrace.log import MAX_ITEM_BYTES, Batch, Head
from tailrace.log.memory import MemoryLog
from tailrace.stream.writer import Writer
from tests.support.conditions import eventually
from tests.support.virtual_time import let_pass, run_in_virtual_time

SOURCE = Source("t", "c", "a", 1)


class GatedLog(MemoryLog):
    """A log whose appends wait at a gate, and fail as often as `failures` says."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.gate.set()
        self.failures = 0
        self.puts = 0

    async def append(self, task_id: str, batch: Batch) -> None:
        self.puts += 1
        await self.gate.wait()
        await super().append(task_id, batch)
        if self.failures:
            # The put was applied, but its answer is lost.
            self.failures -= 1
            raise LogUnavailable("The store did not answer.")


async def new_log() -> GatedLog:
    log = GatedLog()
    await log.create(Head(task_id="t", owner="o", context_id="c", agent="a"), b'{"n":1}')
    return log


def new_writer(log: MemoryLog, publish: Callable[[Batch], None] = lambda _: None, patience_s: float = 5) -> Writer:
    return Writer(log, SOURCE, 2, publish, interval_s=0.01, patience_s=patience_s)


async def stored(log: MemoryLog) -> list[dict[str, object]]:
    return [msgspec.json.decode(event) for batch in await log.read("t", 1) for event in batch.events]


async def everything(log: MemoryLog) -> list[dict[str, Any]]:
    return [msgspec.json.decode(event) for batch in await log.read("t", 1, limit=10**9) for event in batch.events]


async def test_nothing_is_visible_before_the_log_has_it() -> None:
    log, visible = await new_log(), list[Batch]()
    log.gate.clear()
    writer = new_writer(log, visible.append)
    writer.status("state")
    await eventually(lambda: log.puts)
    assert visible == []
    log.gate.set()
    await writer.flush()
    assert [batch.seq for batch in visible] == [2]
    await writer.close()


async def test_what_arrives_during_a_put_goes_into_the_next_one() -> None:
    log = await new_log()
    log.gate.clear()
    writer = new_writer(log)
    writer.status("state")
    await eventually(lambda: log.puts)
    for number in range(50):
        writer.status("progress", text=str(number))
    log.gate.set()
    await writer.flush()
    assert log.puts == 2
    assert [batch.seq for batch in await log.read("t", 1)] == [2, 3]
    assert await log.last("t") == 52
    await writer.close()


@pytest.mark.parametrize(("turn_s", "most"), [(0.0, 12), (0.02, 4)])
def test_a_nodes_start_waits_some_turns_of_the_loop_but_no_longer_than_the_emit_interval(
    turn_s: float, most: int
) -> None:
    async def turns_until_a_put() -> int:
        log = await new_log()
        writer = new_writer(log)
        writer.status("node_start", Details(step="s", name="node"))
        turns = 0
        while not log.puts:
            turns += 1
            let_pass(turn_s)
            await asyncio.sleep(0)
        await writer.close()
        return turns

    turns = run_in_virtual_time(turns_until_a_put())
    assert (turns > 6) == (turn_s == 0)
    assert turns <= most


async def test_of_what_waits_when_a_run_is_stopped_the_first_4_mb_are_written_and_the_end_at_once() -> None:
    """A node may emit faster than the log takes its events. Its cancel does not wait for all of them."""
    log = await new_log()
    log.gate.clear()
    writer = new_writer(log)
    writer.status("progress", text="first")
    await eventually(lambda: log.puts)
    for number in range(100):
        writer.status("progress", text=f"{number:>100000}")
    writer.text("response", "dropped too")
    writer.drop()
    writer.status("state", state="TASK_STATE_CANCELED")
    log.gate.set()
    await writer.flush()
    *kept, end = await everything(log)
    texts = [each["statusUpdate"]["status"]["message"]["parts"][0]["text"].strip() for each in kept]
    assert texts == ["first", *map(str, range(len(kept) - 1))]
    assert 35 <= len(kept) <= 40
    assert end["statusUpdate"]["status"]["state"] == "TASK_STATE_CANCELED"
    assert end["statusUpdate"]["metadata"][EXTENSION]["seq"] == writer.last == len(kept) + 2
    writer.drop()
    writer.status("state")
    await writer.flush()
    assert writer.last == len(kept) + 3
    await writer.close()


async def test_text_deltas_that_wait_together_are_one_event_and_the_same_text() -> None:
    log = await new_log()
    writer = new_writer(log)
    for word in ("one ", "two ", "three"):
        writer.text("report", word, step="s")
    await writer.flush()
    writer.text("report", " four", step="s")
    await writer.flush()
    first, second = [event["artifactUpdate"] for event in await stored(log)]
    assert (first["append"], first["artifact"]["parts"]) == (False, [{"text": "one two three"}])
    assert (second["append"], second["artifact"]["parts"]) == (True, [{"text": " four"}])
    await writer.close()


async def test_a_burst_of_text_is_cut_into_events_that_fit() -> None:
    log = await new_log()
    log.gate.clear()
    writer = new_writer(log)
    said = [str(number) * 1000 for number in range(1500)] + ["x" * 1_000_000]
    for delta in said:
        writer.text("report", delta)
    log.gate.set()
    await writer.flush()
    updates = [event["artifactUpdate"] for event in await everything(log)]
    assert "".join(update["artifact"]["parts"][0]["text"] for update in updates) == "".join(said)
    assert [update["append"] for update in updates] == [False] + [True] * (len(updates) - 1)
    await writer.close()


async def test_whatever_breaks_the_writer_nobody_waits_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    log = await new_log()

    async def fail(task_id: str, batch: Batch) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(log, "append", fail)
    writer = new_writer(log)
    writer.status("state")
    async with asyncio.timeout(60):
        with pytest.raises(LogUnavailable, match="a bug"):
            await writer.flush()
    assert writer.broken.is_set()
    await writer.close()


async def test_text_keeps_its_place_among_other_events() -> None:
    log = await new_log()
    writer = new_writer(log)
    writer.text("report", "before")
    writer.status("progress", text="between")
    writer.text("report", "after")
    await writer.flush()
    kinds = [next(iter(event)) for event in await stored(log)]
    assert kinds == ["artifactUpdate", "statusUpdate", "artifactUpdate"]
    await writer.close()


async def test_a_put_whose_answer_is_lost_is_settled_by_the_log() -> None:
    log, visible = await new_log(), list[Batch]()
    log.failures = 1
    writer = new_writer(log, visible.append)
    writer.status("state")
    await writer.flush()
    assert log.puts == 2
    assert len(await stored(log)) == 1
    assert [batch.seq for batch in visible] == [2]
    await writer.close()


async def test_a_fenced_writer_stops_and_says_so_for_ever() -> None:
    log, visible = await new_log(), list[Batch]()
    await log.append("t", Batch(2, 2, [b'{"fence":2}']))
    writer = new_writer(log, visible.append)
    writer.status("state")
    with pytest.raises(Fenced):
        await writer.flush()
    assert writer.broken.is_set()
    with pytest.raises(Fenced):
        writer.status("progress", text="more")
    with pytest.raises(Fenced):
        writer.text("report", "more")
    assert visible == []
    await writer.close()


async def test_a_log_that_stays_away_breaks_the_writer_within_its_patience() -> None:
    log = await new_log()
    log.failures = 1_000_000
    writer = new_writer(log, patience_s=0.2)
    writer.status("state")
    async with asyncio.timeout(60):
        with pytest.raises(LogUnavailable):
            await writer.flush()
    await writer.close()


async def test_an_event_too_large_is_refused_and_takes_no_seq() -> None:
    log = await new_log()
    writer = new_writer(log)
    incompressible = "".join(chr(0x4E00 + (n * 7919) % 20000) for n in range(MAX_ITEM_BYTES))
    with pytest.raises(EventTooLarge, match=f"{MAX_ITEM_BYTES:,}"):
        writer.artifact("huge", Part(text=incompressible))
    writer.status("state", state="TASK_STATE_COMPLETED")
    await writer.flush()
    assert await log.last("t") == 2
    await writer.close()


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("status"), st.text(max_size=40)),
            st.tuples(st.just("text"), st.text(max_size=40)),
            st.tuples(st.just("wait"), st.just("")),
            st.tuples(st.just("large"), st.just("x")),
        ),
        max_size=60,
    )
)
def test_whatever_is_emitted_the_log_is_dense_and_numbers_agree(emitted: list[tuple[str, str]]) -> None:
    async def scenario() -> None:
        log, visible = await new_log(), list[bytes]()
        writer = new_writer(log, lambda batch: visible.extend(batch.events))
        for what, text in emitted:
            if what == "status":
                writer.status("progress", text=text)
            elif what == "text":
                writer.text("report", text)
            elif what == "large":
                writer.status("progress", text=text * 150_000)
            else:
                await asyncio.sleep(0.011)
        await writer.flush()
        await writer.close()
        seq = 2
        for batch in await log.read("t", 1, limit=10**9):
            assert batch.seq == seq
            for event in batch.events:
                (update,) = msgspec.json.decode(event).values()
                assert update["metadata"][EXTENSION]["seq"] == seq
                seq += 1
        assert visible == [event for batch in await log.read("t", 1, limit=10**9) for event in batch.events]
        said = "".join(text for what, text in emitted if what == "text")
        updates = [msgspec.json.decode(event).get("artifactUpdate") for event in visible]
        assert "".join(u["artifact"]["parts"][0]["text"] for u in updates if u) == said

    asyncio.run(scenario())


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(["status", "text", "node_start", "state", "wait", "long wait", "lost"]), max_size=40))
def test_one_put_at_a_time_and_each_batch_is_published_right_after_its_own(emitted: list[str]) -> None:
    """Whatever comes during a put: the log may take long, and its answer may be lost."""

    class SlowLog(GatedLog):
        putting = False

        async def append(self, task_id: str, batch: Batch) -> None:
            assert not self.putting
            self.putting = True
            try:
                await asyncio.sleep(0.004)
                await super().append(task_id, batch)
                acknowledged.append(batch)
            finally:
                self.putting = False

    acknowledged, visible = list[Batch](), list[Batch]()

    def publish(batch: Batch) -> None:
        visible.append(batch)
        assert visible == acknowledged

    async def scenario() -> None:
        log = SlowLog()
        await log.create(Head(task_id="t", owner="o", context_id="c", agent="a"), b'{"n":1}')
        writer = new_writer(log, publish)
        for what in emitted:
            if what == "text":
                writer.text("report", "word ")
            elif what == "wait":
                await asyncio.sleep(0.003)
            elif what == "long wait":
                await asyncio.sleep(0.02)
            elif what == "lost":
                log.failures = 1
            elif what == "state":
                writer.status("state")
            else:
                writer.status("node_start" if what == "node_start" else "progress", Details(step="s"), text=what)
        await writer.flush()
        assert writer.last == (visible[-1].last if visible else 1)
        assert not writer.broken.is_set()
        await writer.close()

    run_in_virtual_time(scenario())
