"""A planted change is found once, with the right type, time and size."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from metric_analyst.detectors.change import Change
from metric_analyst.detectors.detect import detect
from metric_analyst.readers.series import make_series
from tests.unit.metric_analyst.planted import (
    MONDAY,
    Maker,
    changes,
    correlated,
    finish,
    latency,
    poisson,
    short_cpu,
    sine_day,
    traffic,
    white,
)

pytestmark = pytest.mark.slow


def changed(make: Maker, first: int, last: int | None, how: Callable[[float, int], float]) -> Maker:
    """Return the series with `how(value, samples since first)` from sample `first` to `last`."""

    def maker(seed: int) -> list[float]:
        values = make(seed)
        end = len(values) if last is None else last
        return [how(v, i - first) if first <= i < end else v for i, v in enumerate(values)]

    return maker


def errors(n: int, first: int, last: int) -> Maker:
    def maker(seed: int) -> list[float]:
        rng = random.Random(seed)
        return [float(poisson(rng, 40)) if first <= i < last else 0.0 for i in range(n)]

    return maker


def cpu(n: int) -> Maker:
    return lambda seed: short_cpu(seed, n)


class Case:
    def __init__(
        self, type_: str, make: Maker, at: int, size: float | None = None, *, step: float = 15, within: int = 2,
        error: float = 0.25, missed: int = 0, end: int | None = None, name: str = "metric", alone: bool = True,
    ) -> None:  # fmt: skip
        self.type, self.make, self.at, self.size, self.step, self.within = type_, make, at, size, step, within
        self.error, self.missed, self.end, self.name, self.alone = error, missed, end, name, alone

    def found(self, seed: int) -> Change | None:
        all_found = changes(self.make(seed), step=self.step, name=self.name)
        hits = [c for c in all_found if c.type == self.type and abs(self._place(c.start) - self.at) <= self.within]
        if not hits:
            return None
        if self.alone:
            assert len(all_found) == 1, (seed, all_found)
        if self.size is not None:
            assert hits[0].magnitude == pytest.approx(self.size, rel=self.error), seed
        if self.end is not None:
            assert abs(self._place(hits[0].end) - self.end) <= self.within, seed
            assert hits[0].returned
        return hits[0]

    def _place(self, time: float) -> float:
        return (time - MONDAY) / self.step


CASES = {
    "502s from 0 to 40/s, 24 samples": Case("level_shift", errors(24, 12, 24), 12, 40, step=15),
    "502s from 0 to 40/s, 72 samples": Case("level_shift", errors(72, 36, 72), 36, 40, step=5),
    "502s from 0 to 40/s, 360 samples": Case("level_shift", errors(360, 180, 360), 180, 40, step=1),
    "502s to 40/s for a minute and back": Case("level_shift", errors(360, 180, 240), 180, 40, step=1, end=239),
    "502s to 40/s for five hours of 30": Case("level_shift", errors(360, 180, 240), 180, 40, step=300, end=239),
    "CPU from 22 to 80%": Case("level_shift", changed(cpu(72), 36, None, lambda v, i: v + 58), 36, 58, step=5),
    "CPU up for a minute": Case("level_shift", changed(cpu(72), 12, 24, lambda v, i: v + 50), 12, 50, step=5, end=23),
    "CPU up in the last 30 s": Case("level_shift", changed(cpu(72), 66, None, lambda v, i: v + 50), 66, 50, step=5),
    "CPU rising within a minute": Case(
        "level_shift", changed(cpu(120), 60, None, lambda v, i: v + 50 * min(1, (i + 1) / 10)), 60, 50, step=5, within=6
    ),
    "latency p99 times 5, 72 samples": Case(
        "level_shift", changed(lambda s: latency(s, 72), 36, None, lambda v, i: 5 * v), 36, 480, step=5, missed=11,
        error=0.3, alone=False,
    ),
    "latency p99 times 5, 360 samples": Case(
        "level_shift", changed(lambda s: latency(s, 360), 180, None, lambda v, i: 5 * v), 180, 480, step=1
    ),
    "a step in correlated noise": Case(
        "level_shift", changed(correlated, 400, None, lambda v, i: v + 60), 400, 60, within=7, error=0.5
    ),
    "traffic lost for six hours of the third day": Case(
        "level_shift", changed(traffic, 706, 778, lambda v, i: 0.3 * v), 706, step=300, within=1, missed=6, alone=False
    ),
    "a level on top of a daily rhythm": Case(
        "level_shift", changed(sine_day, 450, None, lambda v, i: v + 60), 450, 60, step=300, within=1
    ),
    "a level in the second of two days": Case(
        "level_shift", changed(lambda s: sine_day(s, 2), 432, None, lambda v, i: v + 60), 432, 40, step=300, error=0.5
    ),
    "four hours in a week": Case(
        "level_shift", changed(lambda s: sine_day(s, 7), 1200, 1248, lambda v, i: v + 20), 1200, 20, step=300, within=1,
        error=0.5, end=1247,  # the samples have the rhythm too
    ),
    "CPU spike of 3 samples in 5 minutes": Case(
        "spike", changed(cpu(20), 10, 13, lambda v, i: 95.0), 10, 73, within=1, end=12
    ),
    "CPU spike of 3 samples in 10 minutes": Case(
        "spike", changed(cpu(40), 20, 23, lambda v, i: 95.0), 20, 73, within=1, end=22
    ),
    "CPU spike in the last 3 samples": Case("spike", changed(cpu(24), 21, None, lambda v, i: 95.0), 21, 73, within=1),
    "a spike in a p99": Case("spike", changed(latency, 200, 203, lambda v, i: 1200.0), 200, 1080, missed=2),
    "a spike on top of a daily rhythm": Case(
        "spike", changed(sine_day, 450, 453, lambda v, i: v + 60), 450, 60, step=300, within=1, end=452
    ),
    "a spike in traffic": Case(
        "spike", changed(traffic, 450, 453, lambda v, i: v + 600), 450, 600, step=300, within=1, alone=False
    ),
    "a leak in 6 minutes": Case(
        "drift", changed(lambda s: white(s, 72, 100, 2), 0, None, lambda v, i: v + i / 2), 0, 36, step=5, missed=6
    ),
    "a leak in 3 hours": Case("drift", changed(white, 0, None, lambda v, i: v + 60 * i / 720), 0, 60),
    "a leak in 6 hours": Case(
        "drift", changed(lambda s: white(s, 360), 0, None, lambda v, i: v + i / 4), 0, 90, step=60
    ),
    "a leak that began late": Case(
        "drift", changed(white, 420, None, lambda v, i: v + i / 3), 420, 100, within=12, name="memory_used"
    ),
    "a leak under a daily rhythm": Case(
        "drift", changed(sine_day, 0, None, lambda v, i: v + 60 * i / 864), 0, 60, step=300, alone=False
    ),
    "a leak until the restart": Case(
        "drift", changed(white, 0, 600, lambda v, i: v + i / 3), 0, 200, alone=False
    ),
    "stuck at a usual value": Case("flat_line", changed(white, 500, None, lambda v, i: 101.25), 500),
    "stuck in a short recording": Case("flat_line", changed(cpu(72), 60, None, lambda v, i: 22.5), 60, step=5),
    "dead at zero": Case("flat_line", changed(lambda s: white(s, 72), 40, None, lambda v, i: 0.0), 40, step=5),
    "stuck for 4 hours of traffic": Case(
        "flat_line", changed(traffic, 500, 548, lambda v, i: 333.25), 500, step=300, end=547, alone=False
    ),
}  # fmt: skip
SEEDS = 40


@pytest.mark.parametrize("name", CASES)
def test_a_planted_change_is_found_where_and_as_large_as_it_is(name: str) -> None:
    case = CASES[name]
    # What is never missed has shown that after a dozen; a share that may be missed needs more.
    missed = [seed for seed in range(SEEDS if case.missed else 12) if case.found(seed) is None]
    assert len(missed) <= case.missed, missed


@pytest.mark.parametrize("n", [12, 14, 16, 20, 24, 30, 40])
def test_a_level_three_times_as_high_is_found_in_few_samples_too(n: int) -> None:
    for seed in range(20):
        first = n // 2 + seed % (n // 2 - 4)
        values = [v * (3 if i >= first else 1) for i, v in enumerate(white(seed, n))]
        found = [c for c in changes(values, step=60) if c.type == "level_shift"]
        assert [(c.start - MONDAY) / 60 for c in found] == [first], seed


@pytest.mark.parametrize(("before", "after"), [(1.0, 0.0), (5.0, 10.0), (0.0, 20.0)])
@pytest.mark.parametrize("first", [60, 200, 280])
def test_a_series_without_noise_that_goes_to_another_level_is_found(before: float, after: float, first: int) -> None:
    (change,) = changes([before] * first + [after] * (288 - first), step=300)
    start = MONDAY + 300.0 * first
    assert (change.type, change.start, change.returned) == ("level_shift", start, False)
    assert (change.before, change.after) == (before, after)
    (change,) = changes([before] * first + [after] * 30 + [before] * 90, step=300)
    assert (change.start, change.after, change.samples, change.returned) == (start, after, 30, True)


def test_a_strong_change_has_more_confidence_than_a_faint_one() -> None:
    strong = changes([v + (200 if i >= 300 else 0) for i, v in enumerate(white(1, 600))])[0]
    faint = changes([v + (18 if i >= 300 else 0) for i, v in enumerate(white(1, 600))])[0]
    assert 0.5 <= faint.confidence < strong.confidence
    assert strong.confidence > 0.95


def missing(first: int, last: int, *, others: bool) -> list[Change]:
    times = [MONDAY + 15.0 * i for i in range(200)]
    values = white(1, 200)
    samples = [(t, v) for i, (t, v) in enumerate(zip(times, values, strict=True)) if not first <= i < last]
    watched = times if others else [t for t, _ in samples]
    made = make_series("up", samples, unit="", recorded=[watched])
    assert made is not None
    return finish(detect(made))[1]


def test_a_series_that_ends_while_others_go_on_is_missing() -> None:
    (change,) = missing(120, 200, others=True)
    assert change.type == "flat_line"
    assert change.detail["kind"] == "missing"
    assert change.start == MONDAY + 119 * 15
    assert change.end == MONDAY + 199 * 15
    assert change.magnitude == 80 * 15
    assert not change.returned
    assert missing(120, 200, others=False) == []


def test_a_gap_that_others_do_not_have_is_missing_until_it_is_back() -> None:
    (change,) = missing(80, 120, others=True)
    assert change.returned
    assert change.end == MONDAY + 120 * 15
    assert missing(80, 120, others=False) == []


def test_irregular_samples_are_not_missing() -> None:
    rng = random.Random(1)
    times = [MONDAY + 15.0 * i for i in range(400)]
    samples = [(t, 1.0 + rng.random()) for t in times[:200] if rng.random() < 0.2]
    made = make_series("errors", samples, unit="", recorded=[times])
    assert made is not None
    assert finish(detect(made))[1] == []


def test_a_counter_that_speeds_up_is_a_level_shift_of_its_rate() -> None:
    rng, total, values = random.Random(1), 0, []
    for i in range(200):
        total += poisson(rng, 600 if i >= 100 else 30)
        values.append(float(total))
    made = make_series("http_requests_total", [(MONDAY + 15.0 * i, v) for i, v in enumerate(values)], unit="")
    assert made is not None
    read_as, (change,) = finish(detect(made))
    assert read_as.unit == "count/s"
    assert change.magnitude == pytest.approx(38, rel=0.1)
    assert change.start == MONDAY + 100 * 15


def test_a_spike_is_found_in_a_series_that_is_reduced() -> None:
    values = white(1, 60_000)
    values[40_000:40_020] = [v + 200 for v in values[40_000:40_020]]
    (change,) = changes(values, step=1)
    assert change.type == "spike"
    assert abs(change.start - MONDAY - 40_000) <= 6
    assert change.magnitude == pytest.approx(200, rel=0.2)


def test_a_level_shift_is_found_in_a_series_that_is_reduced() -> None:
    (change,) = changes([v + (40 if i >= 30_000 else 0) for i, v in enumerate(white(1, 60_000))], step=1)
    assert change.type == "level_shift"
    assert abs(change.start - MONDAY - 30_000) <= 60


@pytest.mark.parametrize("first", [60, 100])
def test_a_long_active_stretch_of_a_day_is_told_from_its_rise_to_its_fall(first: int) -> None:
    values = [v + (50 if first <= i < first + 160 else 0) for i, v in enumerate(white(1, 288, 10, 2))]
    (change,) = changes(values, step=300)
    assert [(time - MONDAY) / 300 for time in (change.start, change.end)] == [first, first + 159]
    assert change.came_back


def test_errors_that_flicker_after_long_silence_are_a_level_shift() -> None:
    for seed in range(SEEDS):
        rng = random.Random(seed)
        values = [0.0] * 220
        for i in range(150, 190):
            values[i] = 0.0 if rng.random() < 0.2 else round(rng.expovariate(1 / 8), 1)
        shifts = [c for c in changes(values, step=2) if c.type == "level_shift"]
        assert len(shifts) == 1, seed
        assert abs((shifts[0].start - MONDAY) / 2 - 150) <= 4, seed
        assert shifts[0].before == 0
        assert 1 < shifts[0].after < 15


def test_a_change_before_a_silence_is_found_too() -> None:
    # A pool fills up, then its process dies: these are two changes, and the first one is the cause.
    rng = random.Random(1)
    times = [MONDAY + 2.0 * i for i in range(220)]
    values = [8.0 if 150 <= i < 190 else float(rng.random() < 0.1) for i in range(220)]
    samples = [(t, v) for i, (t, v) in enumerate(zip(times, values, strict=True)) if not 168 <= i < 178]
    made = make_series("pool", samples, unit="", recorded=[times])
    assert made is not None
    found = finish(detect(made))[1]
    assert [(c.type, (c.start - MONDAY) / 2) for c in found] == [("level_shift", 150), ("flat_line", 167)]


def test_one_incident_is_one_finding() -> None:
    # Up, further up, partly down, down: with spikes on its edges.
    rng = random.Random(2)
    levels = [0.0] * 150 + [40.0] * 30 + [70.0] * 40 + [30.0] * 20 + [0.0] * 120
    values = [max(0.0, level + rng.gauss(0, 2)) for level in levels]
    values[150] = values[239] = 120.0
    (change,) = changes(values, step=1)
    assert change.type == "level_shift"
    assert change.returned
    assert abs(change.start - MONDAY - 150) <= 2
    assert change.magnitude == pytest.approx(70, rel=0.1)
