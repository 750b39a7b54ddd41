"""The score of the detectors on generated recordings does not fall (`python -m tests.score.metric_analyst`).

The seeds are none that the detectors were fitted to. The floors leave room for a few unlucky series.
"""

from __future__ import annotations

import pytest

from tests.score.judging import judge
from tests.score.metric_analyst import found_in
from tests.score.series import CASES, CLEAN, FAULTED, FAULTS, clean, faulty

pytestmark = pytest.mark.slow

FLOORS = {"times 1.5": 8, "times 2": 9, "outage": 11, "spike": 9, "ramp to double": 8, "stuck": 10}  # of 11


def test_hardly_any_clean_series_has_a_finding() -> None:
    alarmed = [(kind, seed) for kind in CLEAN for seed in (50, 51) if found_in(clean(kind, seed))]
    assert len(alarmed) <= 1, alarmed


@pytest.mark.parametrize("fault", FAULTS)
def test_most_faults_of_a_kind_are_found(fault: str) -> None:
    recordings = [faulty(kind, fault, 50) for kind in FAULTED]
    missed = [recording.kind for recording in recordings if not judge(recording, found_in(recording)).found]
    assert len(recordings) - len(missed) >= FLOORS[fault], missed


def test_what_an_engineer_would_see_is_found() -> None:
    shape = "a day with another shape"
    missed = [case for case, make in CASES.items() if not judge(made := make(case, 50), found_in(made)).found]
    assert set(missed) <= {shape}


def test_a_spike_beside_a_job_that_is_never_on_time_is_found() -> None:
    assert all(judge(made := faulty("nightly job", "spike", seed), found_in(made)).found for seed in (50, 51, 52))


def test_a_heap_that_was_collected_when_the_recording_ends_is_quiet() -> None:
    assert [found_in(clean("GC sawtooth", seed)) for seed in (10, 15, 28)] == [[]] * 3
