"""The orchestrator's parts: what it concludes, and what it writes."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator import by_model
from orchestrator.answer import SpecialistAnswer
from orchestrator.report import report
from orchestrator.synthesis import Event, corroborated, events_of, links, main_event
from tailrace.inputs.request import Data, Request
from triage.alert import Alert, alert_of
from triage.findings import Finding
from triage.times import iso

NOON = 1_767_268_800.0  # 2026-01-01T12:00:00Z
NO_ALERT = Alert(title="", start=None, end=None)


def request(text: str = "", *data: Any) -> Request:
    return Request(text=text, data=list(data), files=[], parts=[*([text] if text else []), *map(Data, data)])


def finding(at: float, subject: str, kind: str = "new_template", sure: float = 0.9, **changes: Any) -> Finding:
    whole = {
        "type": kind,
        "subject": subject,
        "start": iso(NOON + at),
        "end": iso(NOON + at + 10),
        "magnitude": 3.0,
        "unit": "",
        "confidence": sure,
        "summary": f"{subject} was seen",
        "evidence": {"example": f"a line about {subject}", "count": 3},
    }
    return Finding(**{**whole, **changes})


def answer(agent: str, **given: Any) -> SpecialistAnswer:
    return SpecialistAnswer(agent=agent, **given)


def written(findings: list[Finding], alert: Alert = NO_ALERT, answers: list[SpecialistAnswer] | None = None) -> str:
    answers = answers or [answer("log_analyst", gave_findings=True, findings=findings)]
    return "".join(report(alert, answers, findings, []))


# Classification


def main_of(found: list[Finding], alert: Alert = NO_ALERT) -> Event:
    event = main_event(events_of(found), alert)
    assert event is not None
    return event


def subjects(findings: list[Finding]) -> list[str]:
    return [each.subject for each in findings]


def test_the_first_finding_is_the_cause_and_a_later_one_a_symptom() -> None:
    event = main_of([finding(9, "ERROR upstream 502"), finding(0, "database_cpu", "level_shift"), finding(2, "locked")])
    assert subjects(event.first) == ["database_cpu"]
    assert subjects(event.later) == ["locked", "ERROR upstream 502"]


def test_what_may_have_begun_at_the_same_time_is_not_called_later_and_a_resource_comes_before_an_error() -> None:
    pool = finding(8, "pool_in_use", "level_shift", early_s=10.0)
    event = main_of([finding(0, "ERROR locked"), pool, finding(9, "ERROR late")])
    assert subjects(event.first) == ["pool_in_use", "ERROR locked"]
    assert subjects(event.later) == ["ERROR late"]


def test_what_users_feel_is_no_cause_even_if_nothing_came_before_it() -> None:
    text = written([finding(0, "503 on 4 routes"), finding(9, "ERROR locked")])
    assert "its cause is not in what was analysed" in text
    assert "Likely cause, because" not in text


def test_the_incident_is_the_one_nearest_to_the_alert() -> None:
    found = [finding(0, "yesterday"), finding(7200, "today"), finding(7210, "today too")]
    for start, subject in ((NOON + 5, "yesterday"), (NOON + 7230, "today")):
        assert main_of(found, Alert(title="", start=start, end=None)).cause.subject == subject


def test_a_start_just_before_an_event_is_sure_if_it_is_seldom_there_by_chance() -> None:
    job = finding(0, "INFO reprice started", "rare", 0.3, evidence={"before": 0})
    found = [job, finding(2, "ERROR locked")]
    [sure, _] = corroborated(found, (NOON - 600, NOON + 600))
    assert sure.confidence > 0.85
    assert sure.evidence["alone"] == 0.3
    assert main_of([sure, found[1]]).cause is sure
    # In a recording of ten seconds it may well be chance; and so it may if such lines are many.
    assert corroborated(found, (NOON - 5, NOON + 5)) == found
    many = [*found, *(finding(at, f"INFO job {at} started", "rare", 0.3) for at in range(-550, -50, 5))]
    assert corroborated(many, (NOON - 600, NOON + 600)) == many


def test_a_faint_sign_just_before_the_incident_is_kept() -> None:
    event = main_of([finding(0, "odd line", "rare", 0.3), finding(8, "ERROR locked")])
    assert subjects(event.faint) == ["odd line"]


def test_a_second_fault_is_an_event_of_its_own_and_what_rises_again_is_not() -> None:
    long = {"end": iso(NOON + 200), "state": "over"}
    first = [finding(0, "pool", "level_shift", **long), finding(3, "ERROR locked", **long)]
    second = [finding(60, "ERROR connection refused", state="over"), finding(61, "502 on 3 routes", state="over")]
    again = [finding(120, "pool", "level_shift", **long)]
    one, two = events_of([*first, *second, *again])
    assert subjects(one.all) == ["pool", "ERROR locked", "pool"]
    assert subjects(two.all) == ["ERROR connection refused", "502 on 3 routes"]
    text = written([*first, *second, *again])
    assert "**Another event began at 12:01:00, 60 s later, while the first went on:**" in text
    assert "times alone cannot tell" in text


def test_what_stopped_just_as_an_event_ended_is_told() -> None:
    found = [finding(0, "pool", "level_shift", state="over"), finding(1, "ERROR locked", state="over")]
    stop = finding(11, "WARNING job stopped", "rare", 0.3)
    assert subjects(main_of([*found, stop]).at_end) == ["WARNING job stopped"]


@pytest.mark.parametrize(
    ("states", "said"),
    [
        (["over", "over"], "All of this was over after 12:00:13."),
        (["over", "ongoing"], "To the end of the recording goes on: `b`."),
        (["over", "unknown"], "Whether it is over cannot be told."),
    ],
)
def test_the_end_is_told_as_far_as_it_is_known(states: Any, said: str) -> None:
    found = [finding(0, "a", state=states[0]), finding(3, "b", state=states[1])]
    assert said in written(found)


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ("over", "All of this was over after 12:00:00."),
        ("ongoing", "To the end of the recording goes on: `a`."),
        ("unknown", "Whether it is over cannot be told."),
    ],
)
def test_the_end_of_lines_of_one_second_is_told_as_the_finding_tells_it(state: str, said: str) -> None:
    assert said in written([finding(0, "a", state=state, end=iso(NOON))])


def test_a_series_without_samples_is_not_said_to_stand_still() -> None:
    gone = finding(0, "rss", "flat_line", evidence={"kind": "missing"})
    stuck = finding(0, "cpu", "flat_line", evidence={"kind": "stuck"})
    text = written([gone, stuck])
    assert "| flat line | `rss` | no samples for 10 s |" in text
    assert "| flat line | `cpu` | stuck for 10 s |" in text


def test_shared_words_link_a_symptom_to_the_cause() -> None:
    (link,) = links(main_of([finding(0, "upstream_threads", "spike"), finding(8, "ERROR no live upstream")]))
    assert link.words == ["upstream"]


# The report


def test_the_report_has_its_sections_in_order() -> None:
    text = written([finding(0, "db locked"), finding(5, "cpu", "spike")], Alert(title="5xx", start=NOON + 9, end=None))
    headings = [line for line in text.splitlines() if line.startswith("#")]
    assert headings == [
        "# 5xx", "## What happened", "## When it began", "## The evidence", "### In the logs", "### In the metrics",
        "## Likely cause, and symptoms", "## What to look at next",
    ]  # fmt: skip
    assert "9 s before the alert fired (12:00:09)" in text


def test_times_of_several_days_have_their_dates() -> None:
    summary = "First seen at 2026-01-01T12:00:00Z, last at 2026-01-03T09:00:00Z: 3 lines"
    text = written([finding(0, "db locked", end="2026-01-03T09:00:00Z", summary=summary, state="over")])
    assert "2026-01-01 12:00:00, last at 2026-01-03 09:00:00" in text
    assert "over after 2026-01-03 09:00:00" in text
    example = {"example": "2026-01-01 12:00:00 db locked", "count": 3}
    assert "text\n2026-01-01 12:00:00 db locked\n" in written([finding(0, "db locked", evidence=example)])


def test_a_time_in_the_text_of_a_request_is_not_called_an_alert() -> None:
    alert = alert_of(request("slow since 2026-01-01T12:00:09Z"))
    text = written([finding(0, "db locked"), finding(5, "cpu", "spike")], alert)
    assert "9 s before the time in the request (12:00:09)" in text
    assert "alert fired" not in text


def test_a_report_without_findings_says_so_and_names_no_cause() -> None:
    text = written([])
    assert "nothing that stands out" in text
    assert "cause" not in text


def test_a_failed_specialist_is_listed_with_its_error() -> None:
    failed = answer("metric_analyst", error="could not be\nreached")
    text = written([], answers=[answer("log_analyst", gave_findings=True), failed])
    assert "## Not covered\n\n- `metric_analyst`: could not be reached\n" in text
    assert "`log_analyst` found nothing that stands out" in text


def test_a_specialists_notes_are_in_the_report() -> None:
    noted = answer("log_analyst", gave_findings=True, notes=["the lines have no times"])
    assert "- `log_analyst`: the lines have no times\n" in written([], answers=[noted])


_text = st.text(max_size=60)
_types = ["new_template", "burst", "gone", "rare", "spike", "drift", "level_shift", "flat_line", "disk_full", "a|b`c"]
_findings = st.lists(
    st.builds(
        lambda at, subject, kind, sure, summary, example, number: finding(
            at,
            subject or "s",
            kind,
            sure,
            summary=summary,
            unit=summary,
            evidence={"example": example, "count": number, "expected": number, "before": number, "after": number},
        ),
        st.floats(-1e6, 1e6),
        _text,
        st.sampled_from(_types),
        st.floats(0, 1),
        _text,
        _text | st.none() | st.integers(),
        st.integers() | st.floats() | _text | st.none(),
    ),
    max_size=12,
)


@given(_findings, _text)
def test_any_findings_give_a_report_and_no_text_of_a_log_breaks_its_fence_or_row(found: list[Any], title: str) -> None:
    text = written(found, Alert(title=title, start=NOON, end=None))
    assert text.startswith("# ")
    # A log line can neither end its fence nor its row of a table.
    assert len([line for line in text.splitlines() if line.startswith("```")]) % 2 == 0
    for line in text.splitlines():
        if line.startswith("| ") and line.endswith(" |"):
            assert line.count("|") == 7


def test_the_model_gets_the_findings_the_texts_and_what_was_left_out() -> None:
    found = [finding(9, "db locked"), finding(0, "cpu", "spike")]
    answers = [
        answer("log_analyst", gave_findings=True, findings=found),
        answer("chatty", text="The disk is full."),
        answer("broken", error="could not be reached"),
        answer("mute", notes=["1 of 1 finding could not be read: it is 5, but must be an object."]),
    ]
    shown = by_model.facts_of(NO_ALERT, answers, found, ["Only 2 of 4 findings are kept."])
    facts = msgspec.json.decode(msgspec.json.encode(shown))
    assert [each["subject"] for each in facts["findings"]] == ["cpu", "db locked"]
    assert facts["texts"] == [{"specialist": "chatty", "text": "The disk is full."}]
    assert [each["specialist"] for each in facts["failed"]] == ["broken", "mute"]
    assert facts["left_out"][0] == "Only 2 of 4 findings are kept."
    assert facts["left_out"][1].startswith("mute: 1 of 1 finding could not be read")


@pytest.mark.parametrize(
    "start", [1e18, -1e18, float("inf"), float("nan"), "0001-01-01T00:00:00+14:00", "9999", True, [1]]
)
def test_an_impossible_time_of_an_alert_counts_as_missing(start: Any) -> None:
    alert = alert_of(request("", {"alert": {"title": "a", "start": start}}))
    assert alert.title == "a"
    assert written([finding(0, "db locked")], alert)


def test_an_alerts_title_is_bounded_wherever_it_comes_from() -> None:
    long, bounded = "5xx " * 1000, ("5xx " * 1000)[:199] + "…"
    assert alert_of(request("", {"alert": {"title": long}})).title == bounded
    assert alert_of(request(f"\n {long}\nmore text")).title == bounded
    assert alert_of(request("a" * 200)).title == "a" * 200


@pytest.mark.parametrize("start", [1_767_225_600, 1_767_225_600_000, 1_767_225_600e6, "2026-01-01T00:00:00Z"])
def test_an_alerts_time_may_be_in_seconds_or_finer(start: Any) -> None:
    assert alert_of(request("", {"alert": {"start": start}})).start == 1_767_225_600
