"""A browser's stream of a task that has nothing to say pauses (docs/PROTOCOL.md, section 6.8), in virtual time."""

from __future__ import annotations

import asyncio
import functools
import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.pipes import Pipes
from tailrace.config import Settings
from tailrace.log import Head
from tailrace.stream.quiet import Pausing
from tests.support.watched_task import Course, Watched, watch

TEN_MINUTES_S = 600.0
# What a request that finds nothing takes of a function: far more than `python -m tests.bench quiet` measures.
REQUEST_S = 0.1
# The longest time between two looks at the log of a stream that is open.
LOOK_S = Settings().tail_slow_ms / 1000


def every(seconds: float, phase_s: float = 0.1) -> Course:
    """An event each so many seconds, for ten minutes."""
    count = math.ceil((TEN_MINUTES_S - phase_s) / seconds)
    return Course([*(phase_s + number * seconds for number in range(count)), TEN_MINUTES_S])


@functools.cache
def held_for_ten_minutes(phase_s: float) -> Watched:
    return watch(every(30, phase_s), quiet_s=0.0)


def lateness(watched: Watched) -> list[tuple[float, float]]:
    """For each event, by how much it was late, and the pause after which its connection was opened."""
    pause_s, found = 0.0, []
    for connection in watched.connections:
        found += [(watched.arrived_s[seq] - watched.written_s[seq], pause_s) for seq in connection.seqs]
        pause_s = connection.pause_s or 0.0
    return found


@pytest.mark.parametrize("obeys", ["pause", "retry"])
@pytest.mark.parametrize("phase_s", [0.1, 3.0, 9.0, 15.0, 29.9])
def test_ten_minutes_with_an_event_each_30_s_cost_at_most_15_percent_of_a_stream_that_is_held(
    phase_s: float, obeys: str
) -> None:
    watched = watch(every(30, phase_s), obeys=obeys)
    assert watched.seqs == list(range(1, len(watched.written_s) + 1))
    assert watched.held_s + REQUEST_S * len(watched.connections) <= 0.15 * TEN_MINUTES_S
    held = held_for_ten_minutes(phase_s)
    assert (held.seqs, len(held.connections)) == (watched.seqs, 1)
    assert held.held_s >= TEN_MINUTES_S


@settings(max_examples=40, deadline=None)
@given(
    gaps_s=st.lists(st.floats(0.01, 45.0), min_size=1, max_size=20),
    first_s=st.floats(0.0, 60.0),
    longest_ms=st.sampled_from([1000, 4000, 10_000]),
)
def test_every_event_comes_once_and_none_is_later_than_its_pause(
    gaps_s: list[float], first_s: float, longest_ms: int
) -> None:
    times_s = [sum(gaps_s[: number + 1]) for number in range(len(gaps_s))]
    watched = watch(Course(times_s), first_s=first_s, pause_max_ms=longest_ms)
    assert watched.seqs == list(range(1, len(times_s) + 2))
    for late_s, pause_s in lateness(watched):
        assert late_s <= max(pause_s, first_s, LOOK_S) + 0.001
    assert all((connection.pause_s or 0) <= longest_ms / 1000 for connection in watched.connections)


def test_a_stream_is_held_while_events_come_and_none_is_late() -> None:
    watched = watch(every(1.5))
    assert len(watched.connections) == 1
    assert watched.latest_s <= LOOK_S


def test_a_reader_that_comes_back_and_finds_nothing_is_sent_away_at_once() -> None:
    looks = [each for each in watch(every(30)).connections if each.names == ["sync", "pause"] and not each.seqs]
    assert len(looks) > 50
    assert {each.held_s for each in looks} == {0.0}


def test_a_cut_while_events_come_is_no_reason_for_a_pause() -> None:
    """A reader that opens the stream when the newest event is half a second old stays for the rest of the silence."""
    watched = watch(Course([0.1, 30.0]), first_s=0.6)
    assert watched.connections[0].held_s == pytest.approx(1.5, abs=0.6)
    assert watched.connections[0].pause_s is not None


def test_the_pause_grows_with_the_silence_between_its_bounds() -> None:
    told = [each.pause_s or 0 for each in watch(Course([0.1, 120.0]), lease_s=60.0).connections][:-1]
    assert told[0] == pytest.approx(1.0, abs=0.3)
    assert told[-1] == 10.0
    assert told == sorted(told)
    pausing = Pausing(2, 1, 10)
    assert [pausing.pause_s(age_s) for age_s in (2, 3, 8, 20, 1000)] == [1, 1.5, 4, 10, 10]


def test_a_lost_run_finds_a_reader_within_its_lease_plus_two_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Promise 7: the pause is not longer than the lease of the process that runs the task."""
    opened_s: list[float] = []

    async def open_pipe(_: Pipes, head: Head) -> None:
        opened_s.append(asyncio.get_running_loop().time())

    monkeypatch.setattr(Pipes, "open", open_pipe)
    for lost_s in (31.0, 47.5, 60.9):
        opened_s.clear()
        watch(Course([0.1], lost_s=lost_s))
        assert opened_s[0] <= lost_s + 10.0 + 2.0


def test_a_stream_of_a_task_that_sleeps_pauses_as_one_of_a_task_that_is_run() -> None:
    asleep, awake = watch(replace(every(30), sleeps=True)), watch(every(30))
    assert asleep.seqs == awake.seqs
    assert [each.pause_s for each in asleep.connections] == [each.pause_s for each in awake.connections]
