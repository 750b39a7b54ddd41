"""An attempt has time to work, however short the timeout of its function is, and stops before that."""

from __future__ import annotations

from contextvars import copy_context

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.agent.deadline import Deadline, attempt_deadline, of_process, process_deadline
from tailrace.config import Settings

SECONDS = st.floats(0.05, 86_400)
HANDOFF = st.floats(0.05, 600)


@given(SECONDS, HANDOFF)
def test_a_process_works_for_half_of_its_time_at_least_and_never_longer_than_that_time(
    left_s: float, handoff_s: float
) -> None:
    drains, overruns = process_deadline(Settings(handoff_s=handoff_s), 1000.0, left_s)
    assert 1000.0 + left_s / 2 - 1e-6 <= drains <= overruns <= 1000.0 + left_s


def test_a_function_hands_its_runs_on_as_long_before_its_end_as_the_setting_says() -> None:
    assert process_deadline(Settings(handoff_s=30.0), 1000.0, 900.0) == Deadline(1870.0, 1897.0)


def test_a_function_with_a_shorter_timeout_than_that_works_for_half_of_it() -> None:
    assert process_deadline(Settings(handoff_s=30.0), 1000.0, 20.0) == Deadline(1010.0, 1019.0)


@pytest.mark.parametrize(
    ("attempt_s", "process", "right"),
    [
        (0.0, None, None),
        (0.0, Deadline(1870.0, 1897.0), Deadline(1870.0, 1897.0)),
        (100.0, None, Deadline(1070.0, 1097.0)),
        (100.0, Deadline(1870.0, 1897.0), Deadline(1070.0, 1097.0)),
        (2000.0, Deadline(1870.0, 1897.0), Deadline(1870.0, 1897.0)),
        (35.0, Deadline(1010.0, 1019.0), Deadline(1005.0, 1019.0)),
    ],
)
def test_an_attempt_has_the_earlier_times_of_both_deadlines(
    attempt_s: float, process: Deadline | None, right: Deadline | None
) -> None:
    settings, context = Settings(attempt_s=attempt_s, handoff_s=30.0), copy_context()
    context.run(of_process.set, process)
    assert context.run(attempt_deadline, settings, 1000.0) == right
