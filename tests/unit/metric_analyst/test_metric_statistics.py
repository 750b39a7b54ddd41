"""The statistics: what they promise of any input, and known answers."""

from __future__ import annotations

import math
import random
import statistics

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from metric_analyst.detectors.change import Change
from metric_analyst.detectors.counter import is_counter, rate
from metric_analyst.detectors.detect import detect
from metric_analyst.detectors.reduce import signal_of, thin
from metric_analyst.detectors.rhythm import is_weekend, rhythm_of
from metric_analyst.detectors.robust import (
    mad_sigma,
    median,
    noise_floor,
    rolling_median,
    theil_sen,
)
from tests.unit.metric_analyst.planted import (
    DAY,
    MONDAY,
    finish,
    random_walk,
    series,
    sine_day,
    sparse_counts,
    traffic,
    white,
)

numbers = st.floats(min_value=-1e9, max_value=1e9)


@given(st.lists(numbers, min_size=1))
def test_median_is_that_of_the_standard_library(values: list[float]) -> None:
    assert median(values) == pytest.approx(statistics.median(values))


@given(st.lists(st.integers(-50, 50).map(float), min_size=1, max_size=60), st.integers(1, 12))
def test_rolling_median_is_the_median_of_every_window(values: list[float], width: int) -> None:
    expected = [statistics.median(values[i : i + width]) for i in range(len(values) - width + 1)]
    assert rolling_median(values, width) == expected


def test_mad_sigma_is_the_deviation_of_normal_noise_and_ignores_a_third_of_nonsense() -> None:
    rng = random.Random(1)
    values = [rng.gauss(10, 2) for _ in range(2000)]
    assert mad_sigma(values) == pytest.approx(2, rel=0.1)
    assert mad_sigma(values + [1e6] * 600) < 4


def test_theil_sen_finds_the_line_among_outliers() -> None:
    times = [float(i) for i in range(60)]
    values = [3 + 0.5 * t for t in times]
    for i in range(0, 60, 5):
        values[i] = 1e6
    slope, start = theil_sen(times, values)
    assert (slope, start) == (pytest.approx(0.5), pytest.approx(3))


def test_noise_floor_is_half_a_usual_step_and_needs_five() -> None:
    assert noise_floor([0, 0, 2, 2, 0, 0, 2, 2, 0, 2]) == 1
    assert noise_floor([0, 0, 0, 5, 5, 5]) == 0


# Rhythms


def without_rhythm(times: list[float], values: list[float]) -> list[float]:
    rhythm, multiplied = rhythm_of(times, values)
    if not rhythm:
        return values
    return [v / r if multiplied else v - r for v, r in zip(values, rhythm, strict=True)]


@pytest.mark.parametrize("days", [2, 3, 7])
def test_the_day_is_found_and_what_is_left_is_noise(days: float) -> None:
    values = sine_day(1, days)
    times = [MONDAY + 300.0 * i for i in range(len(values))]
    rest = without_rhythm(times, values)
    assert rest is not values
    assert mad_sigma(rest) < 4.5  # 3 of noise; the rhythm alone is 30
    assert median(rest) == pytest.approx(100, abs=3)


def test_noise_a_walk_and_one_day_have_no_daily_rhythm() -> None:
    for values, step in ((white(1), 300.0), (sine_day(1, 1), 300.0)):
        assert rhythm_of([MONDAY + step * i for i in range(len(values))], values) == ([], False)


def test_a_level_shift_stays_in_what_is_left() -> None:
    values = [v + (60 if i >= 450 else 0) for i, v in enumerate(sine_day(4, 3))]
    rest = without_rhythm([MONDAY + 300.0 * i for i in range(len(values))], values)
    assert median(rest[460:520]) - median(rest[390:440]) == pytest.approx(60, rel=0.2)


def test_a_weekend_is_no_change_of_level() -> None:
    values = traffic(5, 7)
    times = [MONDAY + 300.0 * i for i in range(len(values))]
    rest = without_rhythm(times, values)
    resting = [r for t, r in zip(times, rest, strict=True) if is_weekend(int(t // DAY))]
    working = [r for t, r in zip(times, rest, strict=True) if not is_weekend(int(t // DAY))]
    assert abs(median(resting) - median(working)) < 25  # 160 apart in what was recorded


# Counters


def test_a_counter_is_read_as_its_rate_across_restarts() -> None:
    counter = series([0, 150, 300, 450, 0, 150, 300], step=15, name="requests_total")
    assert is_counter(counter)
    speed = rate(counter)
    assert list(speed.values) == [10, 10, 10, 0, 10, 10]
    assert speed.unit == "count/s"
    assert list(speed.times) == list(counter.times[1:])


def test_a_counter_without_a_name_is_known_by_its_shape_and_a_level_is_not_one() -> None:
    rng, total, counts = random.Random(6), 0, []
    for _ in range(100):
        total += rng.randint(0, 9)
        counts.append(float(total))
    assert is_counter(series(counts, name="column 2"))
    assert not is_counter(series(counts, name="memory_used"))
    assert not is_counter(series(counts[::-1], name="column 2"))
    assert not is_counter(series([float(i) for i in range(100)], name="column 2"))  # a ramp
    assert not is_counter(series([5.0] * 100, name="requests_total"))


# Properties of the detectors


def alike(one: list[Change], other: list[Change], scale: float = 1, shift: float = 0) -> None:
    assert [(c.type, c.start, c.end) for c in one] == [(c.type, c.start, c.end) for c in other]
    for a, b in zip(one, other, strict=True):
        if a.type != "flat_line":
            assert b.magnitude == pytest.approx(scale * a.magnitude, rel=1e-3, abs=1e-6 * abs(scale))
            assert b.before == pytest.approx(scale * a.before + shift, rel=1e-3, abs=1e-3 * abs(scale))


PLANTED = {
    "shift": [v + (60 if i >= 300 else 0) for i, v in enumerate(white(1, 600))],
    "excursion": [v + (60 if 300 <= i < 380 else 0) for i, v in enumerate(white(2, 600))],
    "spike": [v + (90 if 300 <= i < 303 else 0) for i, v in enumerate(white(3, 600))],
    "drift": [v + i / 5 for i, v in enumerate(white(4, 600))],
    "flat": [v if i < 500 else 99.0 for i, v in enumerate(white(5, 600))],
    "clean": white(6, 600),
    "days": [v + (60 if i >= 450 else 0) for i, v in enumerate(sine_day(4, 3))],
    "counts": [float(v) + (60 if i >= 300 else 0) for i, v in enumerate(sparse_counts(7, 600))],
}


def found(values: list[float], **kw: object) -> list[Change]:
    return finish(detect(series(values, step=300, name="level", **kw)))[1]  # type: ignore[arg-type]


@pytest.mark.parametrize("name", PLANTED)
@settings(max_examples=8, deadline=None)
@given(scale=st.sampled_from([0.125, 0.5, 2.0, 1024.0]), shift=st.sampled_from([-4096.0, 0.0, 512.0]))
def test_detection_does_not_depend_on_scale_and_zero(name: str, scale: float, shift: float) -> None:
    # Zero is a value of its own for a flat line only; scales of two keep the floats exact.
    values = [float(round(v * 64) / 64) for v in PLANTED[name]]
    alike(found(values), found([scale * v + shift for v in values]), scale, shift)


@pytest.mark.parametrize("name", PLANTED)
def test_a_series_upside_down_has_the_same_changes_downwards(name: str) -> None:
    alike(found(PLANTED[name]), found([-v for v in PLANTED[name]]), -1)


@pytest.mark.parametrize("name", PLANTED)
@settings(max_examples=5, deadline=None)
@given(rng=st.randoms(use_true_random=False))
def test_order_and_repetition_of_samples_do_not_matter(name: str, rng: random.Random) -> None:
    from metric_analyst.readers.series import make_series

    samples = [(MONDAY + 300.0 * i, v) for i, v in enumerate(PLANTED[name])]
    mixed = samples + rng.sample(samples, 200)
    rng.shuffle(mixed)
    made = make_series("level", mixed, unit="")
    assert made is not None
    alike(found(PLANTED[name]), finish(detect(made))[1])


@pytest.mark.parametrize("name", PLANTED)
@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 1_000))
def test_samples_without_a_value_do_not_matter_wherever_they_are(name: str, seed: int) -> None:
    from metric_analyst.readers.series import make_series

    rng = random.Random(seed)
    samples: list[tuple[float, float | None]] = [(MONDAY + 300.0 * i, v) for i, v in enumerate(PLANTED[name])]
    empty = [None, math.nan, math.inf, -math.inf]
    mixed = samples + [(MONDAY + 300.0 * rng.uniform(0, len(samples)), rng.choice(empty)) for _ in range(200)]
    rng.shuffle(mixed)
    made = make_series("level", mixed, unit="")
    assert made is not None
    alike(found(PLANTED[name]), finish(detect(made))[1])


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.one_of(numbers, st.sampled_from([0.0, 1.0, 1e150, -1e150, 1e-300])), min_size=1, max_size=120),
    st.sampled_from([0.001, 1.0, 3600.0, 40_000.0]),
)
@example([1e150] + [0.0] * 6 + [1.0] * 5, 40_000.0)
@example([0.0] * 6 + [1e-273, 0.0, 1.0, 1.0, 1e-279, 0.0], 0.001)
def test_no_series_makes_detection_raise(values: list[float], step: float) -> None:
    made = series(values, step=step)  # type: ignore[arg-type]
    for change in finish(detect(made))[1]:
        assert made.times[0] <= change.start <= change.end <= made.recorded_until
        assert 0 <= change.confidence <= 1
        assert math.isfinite(change.magnitude)


def test_long_series_are_thinned_to_medians_of_equal_times() -> None:
    times, values = thin([float(i) for i in range(10_000)], [float(i % 5) for i in range(10_000)], 2_000)
    assert 1_990 <= len(times) == len(values) <= 2_001
    assert set(values) == {2.0}
    assert signal_of(series(random_walk(1, 50))).raw == random_walk(1, 50)
