"""There are no false alarms: if nothing happened, nothing is found.

The clean cases that the issue names give no finding at all, over 100 seeds each. The rough ones (heavy tails, noise
that remembers, few samples, days and weekends that differ) may give one now and then: BOUNDED says how often.
"""

from __future__ import annotations

import math
import random

import pytest

from metric_analyst.detectors.detect import detect
from metric_analyst.findings import SeriesChange, matters
from metric_analyst.readers.series import make_series
from tests.unit.metric_analyst.planted import CLEAN, MONDAY, changes, finish, random_walk, series, stair

pytestmark = pytest.mark.slow

NONE_AT_ALL = [
    "white noise",
    "white noise, 30 samples",
    "correlated noise",
    "sparse counts",
    "short CPU",
    "sine, 1 day",
    "sine, 2 days",
    "sine, 3 days",
    "sine, 7 days",
]
# seeds, and how many of them may have a finding
BOUNDED = {
    "white noise, 2,000 samples": (30, 0),
    "busy counts": (30, 0),
    "very sparse counts": (100, 1),
    "rare errors": (100, 2),
    "latency p99": (100, 2),
    "strongly correlated noise": (60, 2),
    "shortest CPU": (200, 3),
    "traffic, 1 day": (100, 6),
    "traffic, 2 days": (60, 1),
    "traffic, 3 days": (100, 2),
    "traffic, 3 days by the minute": (15, 0),
    "traffic, Thursday to Monday": (40, 1),
    "traffic, Friday and Saturday": (60, 2),
    "traffic, 7 days": (25, 1),
    "traffic, 14 days": (40, 1),
}


def alarms(name: str, seeds: int) -> list[tuple[int, list[str]]]:
    make, how = CLEAN[name]
    found = []
    for seed in range(seeds):
        made, all_found = finish(detect(series(make(seed), **how)))  # type: ignore[arg-type]
        found.append((seed, [c.type for c in all_found if matters(SeriesChange(made, c))]))
    return [(seed, types) for seed, types in found if types]


@pytest.mark.parametrize("name", NONE_AT_ALL)
def test_a_clean_series_gives_no_finding(name: str) -> None:
    assert alarms(name, 100) == []


@pytest.mark.parametrize("name", BOUNDED)
def test_a_rough_series_gives_hardly_any_finding(name: str) -> None:
    seeds, tolerated = BOUNDED[name]
    found = alarms(name, seeds)
    assert len(found) <= tolerated, found


def test_all_clean_series_are_tried() -> None:
    assert set(CLEAN) == {*NONE_AT_ALL, *BOUNDED, "memory in steps"}


@pytest.mark.parametrize(("n", "tolerated"), [(24, 5), (58, 8), (720, 2)])
def test_a_random_walk_gives_few_findings(n: int, tolerated: int) -> None:
    assert sum(bool(changes(random_walk(seed, n))) for seed in range(100)) <= tolerated


def test_small_steps_of_memory_do_not_matter() -> None:
    for seed in range(50):
        made, found = finish(detect(series(stair(seed), step=1, name="memory_used_bytes")))
        assert [c for c in found if matters(SeriesChange(made, c))] == []


def test_a_nightly_job_is_no_incident_with_two_nights_only() -> None:
    make, how = CLEAN["sine, 2 days"]
    for seed in range(30):
        values = make(seed)
        for night in (24, 24 + 288 + seed % 3):
            values[night : night + 5] = [v + 150 for v in values[night : night + 5]]
        assert changes(values, **how) == []


def test_office_hours_with_sharp_edges_are_no_incident() -> None:
    for seed in range(30):
        make, _ = CLEAN["white noise"]
        noise = make(seed)
        values = [noise[i % 720] + (200 if 96 <= (i + seed % 2) % 288 < 204 else 0) for i in range(3 * 288)]
        assert changes(values, step=300) == []


@pytest.mark.parametrize("hours", [-10, -8, -5, -3, 0, 1, 3, 8, 9, 10, 13])
@pytest.mark.parametrize("days", [7, 10, 14])
def test_a_weekend_is_usual_wherever_the_users_live(hours: int, days: int) -> None:
    for seed in range(2):
        rng = random.Random(seed)
        values = []
        for i in range(days * 96):
            local = i / 96 + hours / 24  # in days since a Monday
            share = 0.5 if local % 7 >= 5 else 1.0
            values.append((100 + 60 * math.sin(2 * math.pi * local)) * share * rng.gauss(1, 0.06))
        assert changes(values, step=900) == []


def test_a_series_that_switches_all_the_time_gives_no_finding() -> None:
    for seed in range(20):
        make, _ = CLEAN["white noise"]
        values = [v + (80 if (i // 45) % 2 else 0) for i, v in enumerate(make(seed))]
        assert len(changes(values)) <= 1


@pytest.mark.parametrize("values", [[5.0] * 300, [0.0] * 12, [1.0, 2.0], [1.0], [1.0] * 11 + [50.0]])
def test_constant_and_tiny_series_give_nothing(values: list[float]) -> None:
    assert changes(values) == []


def test_a_gap_in_the_recording_itself_is_no_finding() -> None:
    make, _ = CLEAN["white noise"]
    samples = [(MONDAY + 15.0 * i, v) for i, v in enumerate(make(1)) if not 300 <= i < 420]
    made = make_series("m", samples, unit="", recorded=[[t for t, _ in samples]])
    assert made is not None
    assert finish(detect(made))[1] == []


def test_samples_of_two_rates_are_one_quiet_series() -> None:
    make, _ = CLEAN["white noise"]
    for seed in range(20):
        times = [MONDAY + (15.0 * i if i < 400 else 6000 + 60.0 * (i - 400)) for i in range(720)]
        made = make_series("m", list(zip(times, make(seed), strict=True)), unit="")
        assert made is not None
        assert finish(detect(made))[1] == []
