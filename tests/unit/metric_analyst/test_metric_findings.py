"""From changes to findings, their order, and the report."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from metric_analyst.detectors.change import Change
from metric_analyst.detectors.detect import detect
from metric_analyst.findings import SeriesChange, excerpt, findings, matters, relation
from metric_analyst.report import Facts, left_out, report
from metric_analyst.wording import number, summary
from tests.unit.metric_analyst.planted import MONDAY, errors_series, finish, series, short_cpu, white
from triage.alert import Alert
from triage.findings import Finding
from triage.markdown import plain
from triage.wording import duration
from triage.wording import listed as listed_names

NO_ALERT = Alert(title="", start=None, end=None)


def change(start: float = 100, end: float = 200, **kw: Any) -> Change:
    given: dict[str, Any] = {
        "type": "level_shift", "before": 0.0, "after": 40.0, "strength": 3.0, "samples": 10, "state": "ongoing",
        "method": "m",
    }  # fmt: skip
    return Change(start=MONDAY + start, end=MONDAY + end, **{**given, **kw})


def found(name: str = "errors", unit: str = "count/s", **kw: Any) -> SeriesChange:
    made = msgspec.structs.replace(series(white(1, 100), step=5, name=name), unit=unit)
    return SeriesChange(made, change(**kw))


def test_findings_are_in_order_of_time_and_ranked_by_importance() -> None:
    listed, omitted = findings(
        [found("late", start=400), found("sure", start=300, strength=9.0), found("early", start=0, strength=1.1)],
        NO_ALERT,
    )
    assert [f.subject for f in listed] == ["early", "sure", "late"]
    assert [f.evidence["rank"] for f in listed] == [3, 1, 2]
    assert omitted == 0


def test_an_alert_changes_ranks_and_relations_but_hides_no_finding() -> None:
    alert = Alert(title="502", start=MONDAY + 1000.0, end=MONDAY + 1100.0)
    cases = [found("before", start=900, end=950), found("in", start=1010), found("after", start=5000, end=5010)]
    listed, _ = findings([found("long before", start=-50_000, end=-49_000), *cases], alert)
    assert {f.subject: f.evidence["alert"] for f in listed} == {
        "long before": "before", "before": "before", "in": "in", "after": "after",
    }  # fmt: skip
    ranks = {f.subject: f.evidence["rank"] for f in listed}
    assert max(ranks["in"], ranks["before"]) < min(ranks["after"], ranks["long before"])


def test_a_relation_needs_at_least_one_end_of_the_alerts_window() -> None:
    assert relation(change(), NO_ALERT) is None
    assert relation(change(), Alert(title="", start=MONDAY + 50.0, end=None)) == "after"


def test_a_tiny_change_does_not_matter_but_a_percentage_point_does() -> None:
    assert not matters(found(unit="bytes", before=4e9, after=4.004e9))
    assert matters(found(unit="bytes", before=4e9, after=4.4e9))
    assert matters(found(unit="%", before=99.9, after=98.0))
    assert not matters(found(unit="%", before=2.0, after=2.5))
    assert matters(found(type="flat_line", before=5.0, after=5.0))


def test_at_most_fifty_findings_and_the_least_important_are_left_out() -> None:
    many = [found(f"m{i}", start=100 * i, end=100 * i, strength=1 + i / 10) for i in range(80)]
    listed, omitted = findings(many, NO_ALERT)
    assert (len(listed), omitted) == (50, 30)
    assert "m79" in {f.subject for f in listed}
    assert "m0" not in {f.subject for f in listed}
    assert len(json.dumps(msgspec.to_builtins(listed))) < 300_000  # one event has to hold them


def test_the_evidence_has_what_a_reader_would_check() -> None:
    made, changes = finish(detect(errors_series()))
    (finding,), _ = findings([SeriesChange(made, c) for c in changes], NO_ALERT)
    assert (finding.type, finding.subject, finding.unit) == ("level_shift", "http_502_rate", "count/s")
    assert finding.start == "2026-01-05T00:03:00Z"
    assert finding.end == "2026-01-05T00:03:59Z"
    assert finding.magnitude == pytest.approx(40, rel=0.1)
    assert 0.7 < finding.confidence < 1
    assert finding.summary.startswith("http_502_rate: rose from 0/s to ")
    assert {"before", "after", "samples", "method", "series", "returned", "rank"} <= set(finding.evidence)
    assert finding.evidence["samples"] == 60
    assert json.loads(json.dumps(msgspec.to_builtins(finding))) == msgspec.to_builtins(finding)


def test_an_excerpt_is_at_most_sixty_points_around_the_change_with_its_extremes() -> None:
    values = white(1, 2000)
    values[1000:1003] = [300.0, 400.0, 300.0]
    made, (spike,) = finish(detect(series(values)))
    points = excerpt(made, spike)
    assert len(points) <= 60
    assert max(value for _, value in points) == 400
    assert points == sorted(points)
    long = excerpt(made, change(0, 2000 * 15))
    assert 50 <= len(long) <= 60


def test_a_flat_line_is_measured_in_seconds() -> None:
    made, changes = finish(detect(series([*short_cpu(1, 72)[:60], *[22.5] * 12], step=5, name="cpu")))
    (finding,), _ = findings([SeriesChange(made, c) for c in changes], NO_ALERT)
    assert (finding.type, finding.unit, finding.magnitude) == ("flat_line", "s", 55)
    assert finding.evidence["value"] == 22.5


@pytest.mark.parametrize(
    ("value", "unit", "said"),
    [
        (40.16, "count/s", "40.16/s"), (0, "", "0"), (95.31, "%", "95.31%"), (1_250_000_000, "bytes", "1.25 GB"),
        (-2048, "bytes/s", "-2.048 kB/s"), (120.82, "ms", "120.8 ms"), (1234567.8, "", "1,234,568"),
        (0.000012, "", "1.2e-05"), (1e20, "", "1e+20"), (3, "s", "3 s"),
        (77.07499999999999, "%", "77.08%"),  # as a table that is made of the finding rounds its 77.075
    ],
)  # fmt: skip
def test_numbers_have_their_significant_digits_and_their_unit(value: float, unit: str, said: str) -> None:
    assert number(value, unit) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 s"),
        (45, "45 s"),
        (1.5, "1.5 s"),
        (600, "10 min"),
        (12_000, "3 h 20 min"),
        (7200, "2 h"),
        (187_200, "2 d 4 h"),
    ],
)
def test_durations_are_in_suitable_units(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_summaries_have_a_factor_if_it_is_meaningful() -> None:
    up = change(before=100.0, after=500.0)
    assert summary(up, "ms") == "rose from 100 ms to 500 ms (×5.0), to the end of the recording"
    assert summary(change(before=500.0, after=100.0), "ms").startswith("fell from 500 ms to 100 ms (÷5.0)")
    assert "×" not in summary(change(), "count/s")
    assert summary(change(end=220, state="over", later=3.0), "").endswith("for 2 min, then came back")
    assert summary(change(end=220, state="over", later=20.0), "").endswith("for 2 min, then was at 20")
    drift = change(type="drift", detail={"per_hour": 3.0, "tau": 1.0}, end=7300, state="unknown")
    assert summary(drift, "%") == "rose steadily from about 0% to about 40% in 2 h (3% an hour)"


def facts(**kw: Any) -> Facts:
    given: dict[str, Any] = {
        "series": 3, "samples": 300, "first": float(MONDAY), "last": MONDAY + 500.0, "step": 5.0,
    }  # fmt: skip
    return Facts(**{**given, **kw})


def written(given: Facts, listed: list[Finding]) -> str:
    return "".join(report(given, listed))


def test_the_report_of_a_quiet_system_is_two_sentences() -> None:
    text = written(facts(), [])
    assert "**Nothing changed.**" in text
    assert "|" not in text
    assert len(text) < 300


def test_the_report_has_a_row_for_each_finding_and_says_what_was_left_out() -> None:
    alert = Alert(title="", start=MONDAY + 90.0, end=MONDAY + 300.0)
    listed, _ = findings([found("errors"), found("latency", start=110), found("queue", start=400)], alert)
    text = written(facts(steady="cpu", minor=2, notes=["a.csv: empty", *left_out([], 2, 0)]), listed)
    assert text.count("\n| 00:0") == 3
    assert [line.split(" | ")[4] for line in text.splitlines() if line.startswith("| 00:")] == ["in", "in", "after"]
    assert "## Steady\n\ncpu." in text
    assert "- a.csv: empty" in text
    assert "2 changes of less than 2% of the level, or one point of a percentage, not listed" in text


def test_series_beyond_the_lists_are_counted_and_small_changes_are_not_called_none() -> None:
    listed, _ = findings([found("errors")], NO_ALERT)
    many = [f"m{n}" for n in range(500)]
    text = written(facts(steady=listed_names(many, 12), short=107, notes=list(left_out(many[:107], 0, 0))), listed)
    assert "and 488 more." in text
    assert "107 series with fewer than 12 samples, too few to judge: m0, m1, m2 and 104 more" in text
    text = written(facts(minor=2), [])
    assert "**Nothing changed much.**" in text
    assert "is larger than 2% of the level, or one point of a percentage." in text


def test_a_report_of_hundreds_of_findings_stays_short() -> None:
    listed, omitted = findings([found(f"m{i}", start=i * 100) for i in range(200)], NO_ALERT)
    text = written(facts(notes=list(left_out([], 0, omitted))), listed)
    assert text.count("\n| ") <= 22
    assert "30 less important findings" in text
    assert "150 findings" in text
    assert len(text) < 8_000


def test_names_cannot_break_the_table_or_become_markup() -> None:
    name = "a|b`c`<script>[x](y)*z*\n# h"
    listed, _ = findings([found(name)], NO_ALERT)
    row = next(line for line in written(facts(), listed).splitlines() if line.startswith("| 00:"))
    assert row.replace("\\|", "").count("|") == 6
    assert "<script" not in row.replace("\\<", "")
    assert plain("x\ny") == "x y"


def test_the_report_says_that_there_are_too_few_samples() -> None:
    text = written(facts(series=1, samples=2, short=1), [])
    assert "too little to judge" in text
    assert "Nothing changed" not in text
