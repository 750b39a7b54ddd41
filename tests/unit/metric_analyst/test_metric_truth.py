"""What is said of a series is true: levels, times and ends are compared with those of its samples."""

from __future__ import annotations

import math
import random
import re
from statistics import median

import pytest

from metric_analyst.detectors.detect import detect
from metric_analyst.findings import SeriesChange, findings
from metric_analyst.readers.series import make_series
from tests.unit.metric_analyst.planted import MONDAY, finish, series, white
from triage.alert import Alert
from triage.findings import Finding
from triage.times import seconds_of

STEP = 15.0


def found(values: list[float], step: float = STEP) -> tuple[list[Finding], list[float]]:
    made, changes = finish(detect(series(values, step=step, name="latency")))
    return findings([SeriesChange(made, each) for each in changes], Alert(title="", start=None, end=None))[0], values


def place(time: str) -> int:
    """The number of the sample at a time."""
    return round((seconds_of(time) - MONDAY) / STEP)


def check(finding: Finding, values: list[float]) -> None:
    """Compare everything that is said of a level shift with its samples."""
    first, last = place(finding.start), place(finding.end)
    inside, after = values[first : last + 1], values[last + 1 :]
    assert finding.evidence["samples"] == len(inside)
    assert finding.evidence["after"] == pytest.approx(median(inside), rel=1e-5)
    nearby = [median(values[max(0, first - count) : first]) for count in (12, 8, 5)]
    assert any(finding.evidence["before"] == pytest.approx(each, rel=1e-5) for each in nearby)
    assert finding.magnitude == pytest.approx(finding.evidence["after"] - finding.evidence["before"], rel=1e-4)
    figures = re.search(r"(?:rose|fell) from ([\d.,]+) to ([\d.,]+)", finding.summary)
    assert figures
    before, level = (float(figure.replace(",", "")) for figure in figures.groups())
    assert before == pytest.approx(finding.evidence["before"], rel=1e-2)
    assert level == pytest.approx(finding.evidence["after"], rel=1e-2)
    assert (finding.state == "over") == (len(after) >= 3)
    assert (finding.state == "ongoing") == (not after)
    assert finding.summary.endswith("to the end of the recording") == (finding.state == "ongoing")
    if "then" in finding.summary:
        later = median(after[:12])
        near = abs(later - finding.evidence["before"]) <= 0.35 * abs(finding.magnitude)
        assert finding.summary.endswith("then came back" if near else finding.summary.rpartition("then ")[2])
        assert near == finding.summary.endswith("then came back")


@pytest.mark.parametrize("seed", range(8))
def test_a_step_that_ends_is_told_with_its_levels_and_its_end(seed: int) -> None:
    rng = random.Random(seed)
    first, length = rng.randrange(200, 300), rng.randrange(15, 80)
    values = white(seed, 420, sigma=2)
    up = rng.choice([-60, 40, 900])
    for at in range(first, first + length):
        values[at] += up
    [finding], _ = found(values)
    check(finding, values)
    assert (place(finding.start), place(finding.end)) == (first, first + length - 1)
    assert finding.summary.endswith("then came back")
    assert finding.state == "over"
    assert seconds_of(finding.start) - finding.early_s < MONDAY + first * STEP <= seconds_of(finding.start)


@pytest.mark.parametrize("times", [3, 0.4])
@pytest.mark.parametrize("seed", range(8))
def test_two_days_with_a_rhythm_are_told_with_levels_that_were_recorded(seed: int, times: float) -> None:
    rng = random.Random(seed)
    first = 288 + rng.randrange(20, 200)
    values = [v * (1 + 0.5 * math.sin(2 * math.pi * at / 288)) for at, v in enumerate(white(seed, 576, sigma=3))]
    values[first : first + 24] = [times * value for value in values[first : first + 24]]
    listed, _ = found(values, 300)
    finding = min(listed, key=lambda each: abs(seconds_of(each.start) - MONDAY - 300 * first))
    inside, before = values[first : first + 24], values[first - 12 : first]
    assert min(inside) <= finding.evidence["after"] <= max(inside)
    assert min(before) <= finding.evidence["before"] <= max(before)
    low, high = sorted((finding.evidence["before"], finding.evidence["after"]))
    assert f"({'×' if times > 1 else '÷'}{high / low:.1f})" in finding.summary


def test_a_step_that_stays_is_said_to_last_to_the_end_and_not_longer() -> None:
    values = [*white(1, 300, sigma=2), *white(2, 60, level=300, sigma=2)]
    [finding], _ = found(values)
    check(finding, values)
    assert finding.state == "ongoing"


@pytest.mark.parametrize("left", [1, 2])
def test_a_step_that_ends_with_the_recording_is_not_said_to_stay(left: int) -> None:
    values = [*white(1, 300, sigma=2), *white(2, 60, level=300, sigma=2), *white(3, left, sigma=2)]
    [finding], _ = found(values)
    assert finding.state == "unknown"
    assert "too soon after it to tell" in finding.summary


def test_a_step_to_another_level_is_not_said_to_come_back() -> None:
    values = [*white(1, 250, sigma=2), *white(2, 60, level=500, sigma=2), *white(3, 90, level=300, sigma=2)]
    for finding in found(values)[0]:
        check(finding, values)
        assert not finding.summary.endswith("came back")


def test_a_level_that_comes_and_goes_is_over_when_it_has_gone() -> None:
    """As the median latency of the sample: it was called risen to the end a minute after it had come back."""
    flicker = [3001, 3000, 2906, 889, 1, 2469, 1, 2734, 3001, 1355]
    values = [1.0 + n % 3 for n in range(150)] + [float(each) for each in flicker] + [1.0 + n % 3 for n in range(40)]
    last = [each for each in found(values)[0] if each.type == "level_shift"]
    for finding in last:
        assert finding.state == "over"
        assert place(finding.end) < 150 + len(flicker)


@pytest.mark.parametrize("again", [True, False])
def test_a_series_without_samples_is_silent_and_never_said_to_stand_still(again: bool) -> None:
    samples = [(MONDAY + n * STEP, 20.0 + n % 7) for n in range(200) if n < 120 or (again and n >= 160)]
    made = make_series("rss", samples, unit="", recorded=[[MONDAY + n * STEP for n in range(200)]])
    assert made is not None
    _, changes = finish(detect(made))
    [finding], _ = findings([SeriesChange(made, each) for each in changes], Alert(title="", start=None, end=None))
    assert (finding.type, finding.state) == ("flat_line", "over" if again else "ongoing")
    assert ("no samples for" if again else "no more samples") in finding.summary
    assert "stuck" not in finding.summary
