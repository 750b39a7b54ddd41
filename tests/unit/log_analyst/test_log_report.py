from __future__ import annotations

from typing import Any

from log_analyst.detectors.window import Window
from log_analyst.readers.survey import Log
from log_analyst.report import Facts, report
from tests.unit.log_analyst.log_fixtures import T0, asked, file, run
from triage.findings import Finding, TemplateCount
from triage.times import iso

EXAMPLE = "2024-03-05 09:00:00 ERROR ```boom``` `x`"


def finding(at: float, kind: Any = "new_template", level: str = "ERROR", **evidence: Any) -> Finding:
    return Finding(
        type=kind,
        subject=f"{level} thing `{at}` broke",
        start=iso(T0 + at),
        end=iso(T0 + at + 60),
        magnitude=7.0,
        unit="lines",
        confidence=0.9,
        summary="First seen at 2024-03-05T09:00:00Z; 7 lines since then.",
        evidence={"level": level, "log": "app.log", "example": EXAMPLE, "before": 0, "in_window": 7, **evidence},
    )


def facts(**changes: Any) -> Facts:
    known: dict[str, Any] = {
        "lines": 12_345,
        "entries": 12_000,
        "template_count": 40,
        "log_count": 7,
        "logs": [Log(f"app-{n}.log", "plain text", 1000) for n in range(7)],
        "first": T0,
        "last": T0 + 3600,
        "window": Window(T0 + 600, T0 + 1200, derived=False),
        "notes": ["Skipped a*b*.csv: empty."],
    }
    return Facts(**{**known, **changes})


def template(n: int) -> TemplateCount:
    return TemplateCount(id=f"t{n}", template=f"line | {n} `x`", count=n, last=iso(T0))


def written(facts: Facts, findings: list[Finding], templates: list[TemplateCount]) -> str:
    return "".join(report(facts, findings, templates))


def test_the_verdict_names_the_counts_the_window_and_the_logs() -> None:
    text = written(facts(), [finding(0), finding(5, "gone", "INFO")], [])
    assert "**1 new, 1 gone** from 2024-03-05T09:10:00Z to 2024-03-05T09:20:00Z" in text
    assert "the alert's window" in text
    assert "Read 12,345 lines (12,000 entries, 40 templates)" in text
    assert "`app-4.log` (plain text, 1,000 lines) and 2 more." in text
    assert "- Skipped a\\*b\\*.csv: empty." in text


def test_findings_are_listed_in_order_of_time_and_described_in_order_of_importance() -> None:
    text = written(facts(), [finding(0, "gone", "INFO"), finding(5)], [])
    listed, shown = text.split("### In order of time")[1].split("### ", 1)
    assert listed.index("09:00:00 Gone") < listed.index("09:00:05 New error")
    assert shown.index("New error") < shown.index("Gone")


def test_findings_of_several_days_are_listed_with_their_dates() -> None:
    assert "- 2024-03-06T09:00:00 New error" in written(facts(), [finding(0), finding(86_400)], [])


def test_many_findings_stay_readable() -> None:
    text = written(facts(), [finding(n) for n in range(40)], [template(n) for n in range(50)])
    assert text.count("For example, in ") == 6
    assert text.count("\n- 09:00") == 20
    assert "20 less important findings are not listed." in text
    assert text.count("\n| ") == 21
    assert "20 more templates are not shown." in text


def test_a_line_cannot_end_its_fence_and_a_template_cannot_end_its_cell() -> None:
    text = written(facts(), [finding(0)], [template(3)])
    assert f"````text\n{EXAMPLE}\n````" in text
    assert "| 3 | - | 2024-03-05T09:00:00Z | `line ¦ 3 'x'` |" in text


def test_the_report_says_that_nothing_stands_out() -> None:
    assert "**Nothing stands out** from 2024-03-05T09:10:00Z" in written(facts(), [], [])
    assert "**Nothing stands out:**" in written(facts(window=None), [], [])


def test_a_few_lines_are_not_called_quiet() -> None:
    ran = run(asked(file("2024-03-05 09:00:00 ERROR boom\n")))
    assert "**Too few lines to judge:** 30 lines are the fewest" in ran.report
    assert "Nothing stands out" not in ran.report


def test_the_report_of_lines_without_times_says_that_changes_are_unknown() -> None:
    text = written(facts(window=None, first=None, last=None), [], [template(1)])
    assert "Nothing can be said about changes" in text
    assert "They are from" not in text


def test_the_report_says_that_a_window_comes_from_the_logs() -> None:
    text = written(facts(window=Window(T0, T0 + 60, derived=True)), [finding(0)], [])
    assert "the time that differs most" in text
