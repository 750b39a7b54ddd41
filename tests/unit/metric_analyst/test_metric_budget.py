"""When the CPU time is used up, the metric analyst says how far it came and reports what it found until then."""

from __future__ import annotations

from itertools import count

import pytest

from tests.unit.metric_analyst.graph_run import GraphRun, request_with
from tests.unit.metric_analyst.planted import MONDAY, white
from triage.budget import Budget


def exhausted_after(monkeypatch: pytest.MonkeyPatch, questions: int) -> None:
    """Exhaust the budget at the nth look: the work looks before each file, at each row and before each series."""
    asked_so_far = count(1)
    monkeypatch.setattr(Budget, "exhausted", property(lambda _: next(asked_so_far) > questions))


def wide(rows: int, columns: int = 1) -> str:
    """Each column rises from about 50 to about 90 at row 100."""
    noise = [white(i, rows) for i in range(columns)]
    head = "time," + ",".join(f"m{i}" for i in range(columns))
    return "\n".join(
        [head, *(f"{MONDAY + i * 60}," + ",".join(f"{n[i] + 40 * (i >= 100):.2f}" for n in noise) for i in range(rows))]
    )


async def test_the_rows_that_were_read_are_analysed_and_the_report_says_how_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    exhausted_after(monkeypatch, 1 + 200)
    run = await GraphRun().go(request_with(("a.csv", wide(400)), ("b.csv", wide(50))))
    notes = run.results["findings"]["notes"]
    assert "it had read 0 of 2 files completely" in notes[0]
    assert "a.csv (up to line 201 of 401): only a part was read" in notes
    assert "**Not everything was checked.** The reading stopped when it had used its 84 s of CPU time" in run.report


async def test_the_report_says_how_many_series_were_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, columns = 200, 8
    exhausted_after(monkeypatch, 1 + rows + 3)
    run = await GraphRun().go(request_with(("a.csv", wide(rows, columns))))
    assert "3 of 8 series were checked" in run.results["findings"]["notes"][0]
    assert {finding["subject"] for finding in run.results["findings"]["findings"]} == {"m0", "m1", "m2"}
    assert "The detection stopped when it had used its 36 s of CPU time" in run.report


async def test_a_series_does_not_seem_missing_where_the_reading_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {host: white(i, 200) for i, host in enumerate(("a", "b"))}
    # One host follows the other; only the first quarter of an hour of the second one is read.
    lines = [f"{MONDAY + i * 10},{host},{v[i]:.2f}" for host, v in values.items() for i in range(200)]
    reading = 1 + 200 + 90
    asked_so_far = count(1)
    monkeypatch.setattr(Budget, "exhausted", property(lambda _: next(asked_so_far) == reading))
    run = await GraphRun().go(request_with(("a.csv", "\n".join(["time,host,value", *lines]))))
    assert run.results["findings"]["findings"] == []
    assert "Nothing changed in what was checked" in run.report
