"""The client's reader (docs/PROTOCOL.md, section 7.1): no pattern of cuts loses or repeats an event."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.client import resuming
from tailrace.client.backoff import Backoff
from tailrace.client.event import Broken, Event, gap_event
from tailrace.client.resuming import Item, resumed
from tailrace.errors import ServerRefused, ServerUnreachable
from tailrace.stream.quiet import Pause
from tailrace.stream.reader import End, Gap, Synced
from tests.support.virtual_time import run_in_virtual_time

COMPLETED = "TASK_STATE_COMPLETED"
# What a stream does, one thing after the other.
CUT, BREAK, REPEAT, SKIP, GARBLE, PAUSE, SYNC, EARLY_END, NEXT = (
    "cut",
    "break",
    "repeat",
    "skip",
    "garble",
    "pause",
    "sync",
    "end",
    "next",
)
DOES = st.lists(
    st.sampled_from([CUT, BREAK, REPEAT, SKIP, GARBLE, PAUSE, SYNC, EARLY_END, NEXT, NEXT, NEXT]), max_size=12
)


def event(seq: int) -> Event:
    return Event(kind="progress", seq=seq)


def streams(total: int, plans: Sequence[Sequence[str]]) -> tuple[resuming.Open, list[int]]:
    """Streams of a task with `total` events: one for each plan, then one without a fault; and the cursors asked."""
    cursors: list[int] = []
    left = list(plans)

    async def open_at(cursor: int) -> AsyncGenerator[Item]:
        cursors.append(cursor)
        for does in left.pop(0) if left else []:
            if does == CUT:
                return
            if does == BREAK:
                raise ServerUnreachable("It broke off.")
            if does == REPEAT and cursor:
                yield event(max(1, cursor - 1))
            elif does == SKIP and cursor + 2 <= total:
                yield event(cursor + 2)
            elif does == GARBLE and cursor < total:
                cursor += 1
                yield Broken(cursor, "It is no JSON.")
            elif does == PAUSE:
                yield Pause(5)
                return
            elif does == SYNC:
                yield Synced(cursor)
            elif does == EARLY_END and cursor != total:
                yield End(COMPLETED, total)
            elif does == NEXT and cursor < total:
                cursor += 1
                yield event(cursor)
        for seq in range(cursor + 1, total + 1):
            yield event(seq)
        yield End(COMPLETED, total)

    return open_at, cursors


def read(open_at: resuming.Open, cursor: int = 0, patience_s: float = 300.0, on_cut: Any = None) -> list[Any]:
    async def reading() -> list[Any]:
        return [item async for item in resumed(open_at, cursor, Backoff(patience_s, on_cut))]

    return run_in_virtual_time(reading())


@given(st.integers(1, 9), st.lists(DOES, max_size=6), st.integers(0, 4))
def test_no_pattern_of_cuts_loses_or_repeats_an_event(total: int, plans: list[list[str]], cursor: int) -> None:
    cursor = min(cursor, total)
    open_at, cursors = streams(total, plans)
    seen = read(open_at, cursor)
    told: list[int] = []
    for item in seen:
        told += range(item.gap[0], item.gap[1] + 1) if item.gap else [item.seq]
    assert told == list(range(cursor + 1, total + 1))
    if not any(SKIP in plan or GARBLE in plan for plan in plans):
        assert not any(item.gap for item in seen)
    assert cursors == sorted(cursors)


def test_missing_events_are_asked_for_once_and_then_they_are_a_gap() -> None:
    async def skipping(cursor: int) -> AsyncGenerator[Item]:
        asked.append(cursor)
        yield event(4)
        yield End(COMPLETED, 4)

    asked: list[int] = []
    assert read(skipping, 1) == [gap_event(Gap(2, 3)), event(4)]
    assert asked == [1, 1]


def test_an_event_that_cannot_be_read_is_asked_for_once_and_then_it_is_a_gap() -> None:
    async def garbling(cursor: int) -> AsyncGenerator[Item]:
        asked.append(cursor)
        for seq in range(cursor + 1, 6):
            yield Broken(seq, "It is no JSON.") if seq in (2, 3, 5) else event(seq)
        yield End(COMPLETED, 5)

    asked: list[int] = []
    told: list[str | None] = []
    gaps = {seq: gap_event(Gap(seq, seq)) for seq in (2, 3, 5)}
    assert read(garbling, on_cut=told.append) == [event(1), gaps[2], gaps[3], event(4), gaps[5]]
    assert asked == [0, 1, 2, 4]
    assert told[:2] == ["It is no JSON.", None]


def test_a_gap_that_the_server_tells_moves_the_cursor() -> None:
    async def forgetting(cursor: int) -> AsyncGenerator[Item]:
        yield Gap(1, 3)
        yield event(4)
        yield End(COMPLETED, 4)

    assert read(forgetting) == [gap_event(Gap(1, 3)), event(4)]


def refusing(times: int, error: Callable[[], Exception]) -> resuming.Open:
    left = [times]

    async def open_at(cursor: int) -> AsyncGenerator[Item]:
        if left[0]:
            left[0] -= 1
            raise error()
        yield event(cursor + 1)
        yield End(COMPLETED, cursor + 1)

    return open_at


def test_a_server_that_is_away_is_asked_again_until_the_patience_ends() -> None:
    def away() -> Exception:
        return ServerUnreachable("Nobody is there.")

    told: list[str | None] = []
    assert read(refusing(20, away), on_cut=told.append) == [event(1)]
    assert told == ["Nobody is there.", None]
    with pytest.raises(ServerUnreachable, match="Nobody is there, and so on for 60 s"):
        read(refusing(10**6, away), patience_s=60)


def test_a_busy_server_is_asked_again_when_it_says_and_a_refusal_is_final() -> None:
    assert read(refusing(3, lambda: ServerRefused("Full.", status=503, retry_after_s=5))) == [event(1)]
    with pytest.raises(ServerRefused, match="No such task"):
        read(refusing(1, lambda: ServerRefused("No such task.", status=404)))
    with pytest.raises(ServerRefused, match="Tomorrow"):
        read(refusing(1, lambda: ServerRefused("Tomorrow.", status=429, retry_after_s=86_400)))


def test_the_waits_grow_differ_and_begin_anew_when_the_server_answers() -> None:
    waits: list[float] = []

    async def waiting() -> None:
        backoff, now = Backoff(300.0), asyncio.get_running_loop().time
        for _ in range(12):
            before = now()
            await backoff.wait(ServerUnreachable("Away."))
            waits.append(now() - before)
        backoff.answered()
        before = now()
        await backoff.wait(ServerUnreachable("Away."))
        waits.append(now() - before)

    run_in_virtual_time(waiting())
    assert 0.05 <= waits[0] <= 0.1
    assert all(2.5 <= wait <= 5.0 for wait in waits[6:12])
    assert len(set(waits[6:12])) > 1
    assert 0.05 <= waits[-1] <= 0.1
