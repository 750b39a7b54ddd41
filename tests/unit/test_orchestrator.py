"""The orchestrator's parts: how it classifies a request, whom it asks, what it concludes, what it writes."""

from __future__ import annotations

import base64
import gzip
import json
import random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tailrace
from orchestrator import by_model
from orchestrator.answer import SpecialistAnswer
from orchestrator.classify import Topic, topic_of, topics_of
from orchestrator.planning import Delegation, parts_for, plan, specialist_of
from orchestrator.report import report
from orchestrator.synthesis import incident_of, links
from tailrace.a2a.incoming import AgentCard, card_in
from tailrace.authoring.delegated_parts import as_a2a, reads_uploads
from tailrace.config import Settings
from tailrace.events import Part
from tailrace.inputs.decode import request_of
from tailrace.inputs.media_types import covers
from tailrace.inputs.request import Data, File, Request
from tailrace.inputs.spool import Spool
from tailrace.uploads import UPLOADS, open_uploads
from tests.support.events import message_of
from triage.alert import Alert, alert_of
from triage.findings import Finding
from triage.times import iso

NOON = 1_767_268_800.0  # 2026-01-01T12:00:00Z
NO_ALERT = Alert(title="", start=None, end=None)


def file(name: str, text: str, media_type: str = "text/plain") -> File:
    return File(filename=name, media_type=media_type, text=text)


def request(text: str = "", files: list[File] | None = None, data: list[Any] | None = None) -> Request:
    parts = [*([text] if text else []), *map(Data, data or []), *(files or [])]
    return Request(text=text, data=data or [], files=files or [], parts=parts)


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


@pytest.mark.parametrize(
    ("given_file", "topic"),
    [
        (file("m.csv", "a,b\n"), "metrics"),
        (file("m", "x", "text/csv"), "metrics"),
        (file("export", "timestamp,cpu\n2026-01-01T00:00:00Z,1\n"), "metrics"),
        (file("cw.json", json.dumps({"MetricDataResults": []})), "metrics"),
        (file("prom.json", json.dumps({"status": "success", "data": {"resultType": "matrix"}})), "metrics"),
        (file("app.json", '{"time":"2026-01-01T00:00:00Z","level":"info"}\n{"time":"x"}\n'), "logs"),
        (file("syslog", "Jan  1 00:00:00 host app[1]: hello\n"), "logs"),
        (file("odd", "whatever"), "logs"),
    ],
)
def test_a_file_is_classified_by_its_content_type_and_name(given_file: File, topic: str) -> None:
    assert topic_of(given_file) == topic


def test_pasted_lines_are_logs_and_a_sentence_is_not() -> None:
    lines = [f"2026-01-01T00:00:0{second}Z ERROR a" for second in range(3)]
    assert topics_of(request("\n".join(lines))) == {"logs"}
    assert topics_of(request("\n".join(lines[:2]))) == set(), "too few to compare"
    assert topics_of(request("5xx since 2026-01-01T14:03:00Z on shop.example")) == set()
    assert topics_of(request(files=[file("empty.log", " \n")])) == set()
    assert topics_of(request(data=[{"MetricDataResults": []}])) == {"metrics"}


@given(st.text(), st.text(max_size=30))
def test_any_file_and_any_text_can_be_classified(text: str, name: str) -> None:
    assert topic_of(file(name, text)) in ("logs", "metrics")
    alert_of(request(text))
    topics_of(request(text))


# Delegation


def card(name: str, *tags: str, extensions: list[Any] | None = None) -> AgentCard:
    skills = [{"name": "", "description": "", "tags": list(tags)}]
    return card_in({"name": name, "skills": skills, "capabilities": {"extensions": extensions}}, "")


def test_each_specialist_is_asked_about_what_it_knows() -> None:
    known = [specialist_of(card("la", "logs"), "u1"), specialist_of(card("ma", "metrics"), "u2")]
    both = request(files=[file("a.log", "x"), file("b.csv", "time,v\n")])
    assert [(e["agent"], e["topics"]) for e in plan(both, known)] == [("la", ["logs"]), ("ma", ["metrics"])]
    assert [e["agent"] for e in plan(request(files=[file("a.log", "x")]), known)] == ["la"]


def delegation(*topics: Topic) -> Delegation:
    return {
        "agent": "a", "url": "u", "topics": list(topics), "modes": [], "reason": "", "parts": 99, "alone": False
    }  # fmt: skip


def parts_to(asked: Request, *topics: Topic, reads: bool = False) -> tuple[list[Part], list[str]]:
    """What an analyst of these topics is sent, and the notes. `reads` says whether it reads our store of uploads."""
    store = [{"uri": UPLOADS, "params": {"store": open_uploads(Settings()).id}}] if reads else []
    return as_a2a(parts_for(asked, delegation(*topics)), card("a", extensions=store))


def test_a_specialist_gets_the_alert_and_only_its_own_files() -> None:
    large = "2026-01-01 line\n" * 5000
    asked = request("hello", [file("a.log", "x"), file("big.log", large), file("b.csv", "time,v\n")], [{"alert": {}}])
    text, data, small, packed = parts_to(asked, "logs")[0]
    assert (text, data) == (Part(text="hello"), Part(data={"alert": {}}))
    assert small == Part(text="x", filename="a.log", media_type="text/plain")
    assert (packed.filename, packed.media_type) == ("big.log.gz", "application/gzip")
    assert gzip.decompress(base64.b64decode(packed.raw)).decode() == large


@pytest.mark.parametrize("reads_uploads", [True, False])
@pytest.mark.parametrize("name", ["app.log", "metrics.csv", "archive.gz"])
def test_an_agent_receives_a_compressed_file_under_its_own_name(name: str, reads_uploads: bool) -> None:
    content = "2026-01-01 line\n" * 5000
    sent = request(files=[file(name, content)])
    [part] = parts_to(sent, "logs", "metrics", reads=reads_uploads)[0]
    ours = tailrace.AgentCard(name="ours", description="", version="1", skills=[])
    assert covers(ours.input_modes, part.media_type), "our own agent would refuse the part for its media type"
    [received] = request_of([message_of(part)]).files
    assert (received.filename, received.text) == (name, content)


def uploaded(name: str, content: bytes) -> File:
    return File(filename=name, media_type="text/plain", content=Spool.of([content]), reference=Part(url=f"urn:{name}"))


def test_our_specialist_gets_an_uploads_reference_and_another_one_its_content() -> None:
    asked = request(files=[uploaded("a.log", b"2026-01-01 line\n" * 99)])
    assert parts_to(asked, "logs", reads=True) == ([Part(url="urn:a.log")], [])
    [part] = parts_to(asked, "logs")[0]
    assert (part.filename, part.media_type) == ("a.log.gz", "application/gzip")
    assert gzip.decompress(base64.b64decode(part.raw)) == b"2026-01-01 line\n" * 99
    assert parts_to(asked, "logs")[0] == [part]


def test_a_file_too_large_for_another_agent_is_left_out_and_a_note_says_so() -> None:
    noise = random.Random(4).randbytes(600_000).hex().encode()
    asked = request(files=[uploaded("a.log", noise), uploaded("b.log", noise), uploaded("c.log", b"x\n")])
    parts, [note] = parts_to(asked, "logs")
    assert [part.filename for part in parts] == ["a.log.gz", "c.log.gz"]
    assert "b.log" in note


@pytest.mark.parametrize(
    ("declared", "reads"),
    [
        ([], False),
        ([{"uri": UPLOADS, "params": {"store": open_uploads(Settings()).id}}], True),
        ([{"uri": UPLOADS, "params": {"store": "another"}}], False),
        ([{"uri": UPLOADS}], False),
    ],
)
def test_only_an_agent_that_declares_our_store_reads_uploads_from_it(declared: list[Any], reads: bool) -> None:
    assert reads_uploads(card("a", extensions=declared)) is reads


# Conclusions


def test_the_first_finding_is_the_cause_and_a_later_one_a_symptom() -> None:
    found = [finding(40, "ERROR upstream 502"), finding(0, "database_cpu", "level_shift"), finding(2, "db locked")]
    incident = incident_of(found, NO_ALERT)
    assert incident is not None
    assert {f.subject for f in incident.first} == {"database_cpu", "db locked"}
    assert [f.subject for f in incident.later] == ["ERROR upstream 502"]


def test_silence_is_no_cause_if_there_is_another_sign() -> None:
    incident = incident_of([finding(0, "cart saved", "gone"), finding(4, "ERROR locked")], NO_ALERT)
    assert incident is not None
    assert [f.subject for f in incident.first] == ["ERROR locked"]


def test_the_incident_is_the_one_nearest_to_the_alert() -> None:
    found = [finding(0, "yesterday"), finding(7200, "today"), finding(7210, "today too")]
    for start, subject in ((NOON + 5, "yesterday"), (NOON + 7230, "today")):
        incident = incident_of(found, Alert(title="", start=start, end=None))
        assert incident is not None
        assert incident.first[0].subject == subject


def test_a_faint_sign_just_before_the_incident_is_kept() -> None:
    incident = incident_of([finding(0, "job started", "rare", 0.3), finding(8, "ERROR locked")], NO_ALERT)
    assert incident is not None
    assert [f.subject for f in incident.faint] == ["job started"]


def test_shared_words_link_a_symptom_to_the_cause() -> None:
    incident = incident_of([finding(0, "upstream_threads", "spike"), finding(30, "ERROR no live upstream")], NO_ALERT)
    assert incident is not None
    (link,) = links(incident)
    assert link.words == ["upstream"]


# The report


def test_the_report_has_its_sections_in_order() -> None:
    text = written([finding(0, "db locked"), finding(30, "cpu", "spike")], Alert(title="5xx", start=NOON + 9, end=None))
    headings = [line for line in text.splitlines() if line.startswith("#")]
    assert headings == [
        "# 5xx", "## What happened", "## When it began", "## The evidence", "### In the logs", "### In the metrics",
        "## Likely cause, and symptoms", "## What to look at next",
    ]  # fmt: skip
    assert "9 s before the alert fired (12:00:09)" in text


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
            assert line.count("|") == 6


async def test_the_model_gets_the_findings_the_texts_and_what_was_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown: list[Any] = []

    async def wrote(system: str, facts: Any) -> bool:
        shown.append(msgspec.json.decode(msgspec.json.encode(facts)))
        return True

    monkeypatch.setattr(by_model, "model_wrote_report", wrote)
    found = [finding(9, "db locked"), finding(0, "cpu", "spike")]
    answers = [
        answer("log_analyst", gave_findings=True, findings=found),
        answer("chatty", text="The disk is full."),
        answer("broken", error="could not be reached"),
        answer("mute", notes=["1 of 1 finding could not be read: it is 5, but must be an object."]),
    ]
    assert await by_model.write_report(NO_ALERT, answers, found, ["Only 2 of 4 findings are kept."])
    [facts] = shown
    assert [each["subject"] for each in facts["findings"]] == ["cpu", "db locked"]
    assert facts["texts"] == [{"specialist": "chatty", "text": "The disk is full."}]
    assert [each["specialist"] for each in facts["failed"]] == ["broken", "mute"]
    assert facts["left_out"][0] == "Only 2 of 4 findings are kept."
    assert facts["left_out"][1].startswith("mute: 1 of 1 finding could not be read")


@pytest.mark.parametrize(
    "start", [1e18, -1e18, float("inf"), float("nan"), "0001-01-01T00:00:00+14:00", "9999", True, [1]]
)
def test_an_impossible_time_of_an_alert_counts_as_missing(start: Any) -> None:
    alert = alert_of(request(data=[{"alert": {"title": "a", "start": start}}]))
    assert alert.title == "a"
    assert written([finding(0, "db locked")], alert)


def test_an_alerts_title_is_bounded_wherever_it_comes_from() -> None:
    long, bounded = "5xx " * 1000, ("5xx " * 1000)[:199] + "…"
    assert alert_of(request(data=[{"alert": {"title": long}}])).title == bounded
    assert alert_of(request(f"\n {long}\nmore text")).title == bounded
    assert alert_of(request("a" * 200)).title == "a" * 200


@pytest.mark.parametrize("start", [1_767_225_600, 1_767_225_600_000, 1_767_225_600e6, "2026-01-01T00:00:00Z"])
def test_an_alerts_time_may_be_in_seconds_or_finer(start: Any) -> None:
    assert alert_of(request(data=[{"alert": {"start": start}}])).start == 1_767_225_600
