"""A finding has one number everywhere: in its summary, in its evidence and in the tables of both reports."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

import pytest

from orchestrator.answer import answer_of
from orchestrator.report import report
from tailrace.a2a.incoming import Artifact, Part, Status, Task
from tailrace.authoring.answer import answer_in
from tailrace.inputs.request import File, Request
from tests.unit.log_analyst.log_fixtures import run
from triage.alert import Alert
from triage.findings import Finding

SAMPLE = Path(__file__).parents[3] / "frontend" / "sample"


@pytest.fixture(scope="module")
def findings() -> list[Finding]:
    """The log analyst's findings on the sample, as the orchestrator reads them from the artifact."""
    sample = json.loads((SAMPLE / "sample.json").read_text())
    files = [
        File(
            filename=name, media_type="text/plain", text=gzip.decompress((SAMPLE / f"{name}.gz").read_bytes()).decode()
        )
        for name in ("access.log", "error.log", "app.log")
    ]
    ran = run(Request(text=sample["text"], data=[{"alert": sample["alert"]}], files=files))
    artifact = Artifact(artifact_id="findings", parts=[Part(data=ran.artifact)])
    task = Task(id="t", status=Status(state="TASK_STATE_COMPLETED"), artifacts=[artifact])
    answer = answer_of(answer_in("log_analyst", task, []))
    assert answer.unread == 0
    return answer.findings


def numbers_in(summary: str) -> list[int]:
    """Return the numbers of lines in a summary, without its times."""
    plain = re.sub(r"\d{4}-\S+", "", summary).replace("No lines", "0").replace("once", "1")
    return [int(number.replace(",", "")) for number in re.findall(r"\d[\d,]*", plain)]


def test_a_gone_finding_has_the_same_count_in_its_summary_evidence_and_tables(findings: list[Finding]) -> None:
    gone = [finding for finding in findings if finding.type == "gone"]
    assert gone
    text = "".join(report(Alert(title="", start=None, end=None), [], findings, []))
    for finding in gone:
        count, expected = numbers_in(finding.summary)
        assert (finding.evidence["count"], finding.evidence["expected"]) == (count, expected)
        assert finding.magnitude == expected - count
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| gone")]
    assert rows
    counts = {
        (finding.subject, f"{numbers_in(finding.summary)[0]:,} of about {numbers_in(finding.summary)[1]:,}")
        for finding in gone
    }
    assert {(row[1].strip("`"), row[2]) for row in rows} <= counts


def test_other_findings_have_the_same_count_in_summary_and_evidence(findings: list[Finding]) -> None:
    others = [finding for finding in findings if finding.type != "gone"]
    assert {finding.type for finding in others} >= {"new_template", "burst"}
    for finding in others:
        assert finding.evidence["count"] == numbers_in(finding.summary)[0], finding.summary
