"""When the CPU time is used up, the log analyst says how far it came and reports what it found until then."""

from __future__ import annotations

import random
import re
from itertools import count

import pytest

from tests.unit.log_analyst.log_fixtures import (
    HOUR,
    T0,
    access_line,
    app_line,
    asked,
    file,
    moments,
    run,
    steady,
    text_of,
)
from triage.budget import Budget


def exhausted_after(monkeypatch: pytest.MonkeyPatch, lines: int) -> None:
    """Exhaust the budget after so many lines: the work asks before each log and after every 16 lines."""
    asked_so_far = count(1)
    monkeypatch.setattr(Budget, "exhausted", property(lambda _: next(asked_so_far) > lines // 16))


def lines_of(text: str) -> int:
    return text.count("\n")


def test_the_report_starts_with_how_far_the_reading_came(monkeypatch: pytest.MonkeyPatch) -> None:
    app, other = text_of(steady(app_line)), text_of(steady(app_line, seed=2))
    exhausted_after(monkeypatch, lines_of(app) + 500)
    ran = run(asked(file(app, "app.log"), file(other, "other.log"), file(other, "third.log")))
    assert "**Not everything was read.** The analysis stopped when it had used its 120 s of CPU time" in ran.report
    total = lines_of(app) + 2 * lines_of(other)
    said = re.search(
        rf"it had read 1 of 3 logs completely, and ([\d,]+) of {total:,} lines\.", ran.artifact["notes"][0]
    )
    assert said is not None
    assert lines_of(app) < int(said[1].replace(",", "")) <= lines_of(app) + 500
    assert f"Read {said[1]} lines" in ran.report


def test_a_log_does_not_seem_silent_where_the_reading_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(1)
    access = [(at, access_line(rng, at)) for at in moments(rng, T0, T0 + HOUR, 60)]
    app = text_of(steady(app_line, per_minute=120))
    whole = text_of(access)
    # Only the first half hour of the application's log is read; the other log has an hour.
    exhausted_after(monkeypatch, lines_of(whole) + lines_of(app) // 2)
    ran = run(asked(file(whole, "access.log"), file(app, "app.log")))
    assert "entries later than 2024-03-05T09:" in ran.artifact["notes"][0]
    assert ran.findings == []
    assert "nothing new, rare, bursting or gone in the lines that were read" in ran.report


def test_findings_before_the_reading_stopped_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(2)
    failed = [
        (at, app_line(rng, at, "ERROR", "cannot reach the database"))
        for at in range(int(T0) + 1200, int(T0) + 1500, 10)
    ]
    app = text_of(steady(app_line, per_minute=120), failed)
    exhausted_after(monkeypatch, lines_of(app) // 2)
    ran = run(asked(file(app), alert=(T0 + 1200, T0 + 1800)))
    assert [f.evidence["count"] for f in ran.of("new_template", "cannot reach the database")] == [30]
    assert "**Not everything was read.**" in ran.report


def test_everything_is_read_if_the_time_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    app = text_of(steady(app_line))
    exhausted_after(monkeypatch, lines_of(app) + 32)
    ran = run(asked(file(app)))
    assert "Not everything was read" not in ran.report
    assert ran.artifact["notes"] == []
