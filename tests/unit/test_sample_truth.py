"""What the agents say of the sample is true: each value is computed here from the raw recording, by plain patterns."""

from __future__ import annotations

import asyncio
import csv
import gzip
import io
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from orchestrator.answer import SpecialistAnswer
from orchestrator.report import report
from orchestrator.synthesis import Event, corroborated, events_of, main_event, recorded_in
from tailrace.inputs.request import File, Request
from tests.unit.log_analyst.log_fixtures import run_async
from tests.unit.metric_analyst.graph_run import GraphRun
from triage.alert import alert_of
from triage.failures import Failure
from triage.findings import Finding, in_order

SAMPLE = Path(__file__).parents[2] / "frontend" / "sample"
ABOUT: dict[str, Any] = json.loads((SAMPLE / "sample.json").read_text())
DONE = {step["what"]: datetime.fromisoformat(step["time"]).timestamp() for step in ABOUT["recorded"]["done"]}


def raw(name: str) -> str:
    return gzip.decompress((SAMPLE / f"{name}.gz").read_bytes()).decode()


def requests() -> list[tuple[float, str, str]]:
    """Each line of the access log: its time, its request and its status."""
    lines = re.findall(r'\[([^]]+)\] "(\S+ [^ ?]+)[^"]*" (\d{3}) ', raw("access.log"))
    form = "%d/%b/%Y:%H:%M:%S %z"
    return [(datetime.strptime(at, form).astimezone(UTC).timestamp(), what, status) for at, what, status in lines]


@dataclass
class Told:
    """Everything that is said of the sample."""

    findings: list[Finding]
    failures: list[Failure]
    events: list[Event]
    main: Event
    report: str
    reports: str

    def of(self, subject: str) -> list[Finding]:
        return [finding for finding in self.findings if subject in finding.subject]


async def tell() -> Told:
    files = [File(filename=f["filename"], media_type=f["mediaType"], text=raw(f["filename"])) for f in ABOUT["files"]]
    data = [{"alert": ABOUT["alert"]}]
    logs = await run_async(Request(text=ABOUT["text"], data=data, files=files[:3]))
    metrics = await GraphRun().go(Request(text=ABOUT["text"], data=data, files=files[3:]))
    found = [Finding(**each) for each in metrics.results["findings"]["findings"]]
    failures = [Failure(**each) for each in logs.artifact["failures"]]
    answers = [
        SpecialistAnswer(agent="log_analyst", gave_findings=True, findings=logs.findings, failures=failures),
        SpecialistAnswer(agent="metric_analyst", gave_findings=True, findings=found),
    ]
    listed = [*logs.findings, *found]
    findings = in_order(corroborated(listed, recorded_in(listed, [])))
    alert = alert_of(Request(text="", data=data, files=[]))
    events = events_of(findings)
    main = main_event(events, alert)
    assert main is not None
    written = "".join(report(alert, answers, findings, []))
    return Told(findings, failures, events, main, written, logs.report + metrics.report)


@pytest.fixture(scope="module")
def told() -> Told:
    return asyncio.run(tell())


def seconds(iso: str) -> float:
    return datetime.fromisoformat(iso).timestamp()


def test_what_failed_is_a_share_of_all_requests_with_its_start_and_its_end(told: Told) -> None:
    [failure] = told.failures
    all_of_them = requests()
    failed = [at for at, _, status in all_of_them if status[0] == "5"]
    inside = [status for at, _, status in all_of_them if min(failed) <= at <= max(failed)]
    assert (failure.failed, failure.total) == (len(failed), len(inside))
    assert failure.statuses == {status: inside.count(status) for status in ("503", "502", "504")}
    assert failure.given_up == inside.count("499")
    assert (seconds(failure.start), seconds(failure.end)) == (min(failed), max(failed))
    assert (failure.state, failure.failed_before, failure.failed_after) == ("over", 0, 0)
    clocks = [f"{datetime.fromtimestamp(at, UTC):%H:%M:%S}" for at in (min(failed), max(failed))]
    share = f"{100 * len(failed) / len(inside):.0f}%"
    said = f"{len(failed):,} of {len(inside):,} requests ({share}) failed from {clocks[0]} to {clocks[1]}"
    assert said in told.report
    assert "It is over: in the " in told.report


@pytest.mark.parametrize("status", ["502", "503"])
def test_a_status_on_many_routes_has_one_number_everywhere(told: Told, status: str) -> None:
    [finding] = told.of(f"{status} on ")
    matching = [(at, what) for at, what, found in requests() if found == status]
    lines = finding.evidence["lines"]
    chart = sum(lines["counts"][lines["begin"] : lines["end"]]) + lines["later"]
    routes = [route["count"] for route in finding.evidence["routes"]]
    [words] = re.findall(r": (\d[\d,]*) lines\.", finding.summary)
    assert {chart, sum(routes), int(words), finding.magnitude, finding.evidence["count"]} == {len(matching)}
    assert f"| `{finding.subject}` | {len(matching)} |" in told.report
    assert f"`{finding.subject}`, {len(matching)} lines" in told.reports
    assert (seconds(finding.start), seconds(finding.end)) == (min(matching)[0], max(matching)[0])


def test_the_cause_is_the_job_that_came_first_and_it_is_sure(told: Told) -> None:
    cause = told.main.cause
    assert "reprice started" in cause.subject
    assert abs(seconds(cause.start) - DONE["the price job starts"]) < 1
    assert cause.confidence > 0.8
    assert "**What changed first:**" in told.report
    assert told.report.index("reprice started") < told.report.index("upstream_pool_in_use")
    # The samples are too coarse to tell that the pool filled up after it, and the report says so.
    assert "upstream_pool_in_use" in [each.subject for each in told.main.first]
    assert "may have changed at the same time" in told.report
    assert [each.subject for each in told.main.at_end if "reprice stopped by SIGTERM" in each.subject]


def test_the_second_fault_is_an_event_of_its_own(told: Told) -> None:
    killed = DONE["the shop is killed"]
    [event] = [each for each in told.events if any("502 on" in finding.subject for finding in each.all)]
    assert event is not told.main
    assert abs(event.start - killed) < 3
    assert {"upstream_rss_mb"} <= {finding.subject for finding in event.first}
    assert any("Connection refused" in finding.subject for finding in event.all)
    assert not any("503" in finding.subject for finding in event.all)
    assert event.state == "over"
    assert abs(event.end - DONE["the shop is started again"]) < 4


def test_no_series_is_said_to_stay_where_it_was_back_or_to_stand_still_where_it_had_no_samples(told: Told) -> None:
    rows = list(csv.DictReader(io.StringIO(raw("metrics.csv"))))
    assert all("stood still" not in text for text in (told.report, told.reports))
    for finding in [each for each in told.findings if each.type == "level_shift"]:
        samples = [(seconds(row["time"]), float(row[finding.subject])) for row in rows if row[finding.subject]]
        middle = (finding.evidence["before"] + finding.evidence["after"]) / 2
        up = 1 if finding.magnitude > 0 else -1
        ending = [up * (value - middle) >= 0 for _, value in samples[-5:]]
        if finding.state == "ongoing" or "to the end of the recording" in finding.summary:
            assert sum(ending) >= 3, finding.summary
        if finding.state == "over":
            assert seconds(finding.end) < samples[-1][0]
    for finding in [each for each in told.findings if each.evidence.get("kind") == "missing"]:
        inside = [row for row in rows if seconds(finding.start) < seconds(row["time"]) < seconds(finding.end)]
        assert inside
        assert all(not row[finding.subject] for row in inside)


def test_nothing_that_is_over_is_said_to_end_with_the_recording(told: Told) -> None:
    assert "The last of these ends" not in told.report
    assert told.main.state == "over"
    assert told.main.end < DONE["the recording ends"] - 30
    for finding in told.findings:
        if finding.state == "ongoing":
            assert seconds(finding.end) > DONE["the recording ends"] - 5


def test_every_count_of_lines_is_that_of_the_recording(told: Told) -> None:
    """Each new kind of line is counted with a pattern made of its template."""
    app = [json.loads(line) for line in raw("app.log").splitlines()]
    found = [each for each in told.findings if each.type == "new_template" and each.evidence["log"] == "app.log"]
    assert len(found) >= 4
    for finding in found:
        text = re.sub(r"^[A-Z]+ (\w+[\w-]*: )?", "", finding.subject)
        pattern = re.escape(text).replace("<num>", r"[\d.]+")
        service = next((each for each in ("orders-db", "shop", "reprice") if f"{each}:" in finding.subject), "")
        matching = [line for line in app if service in line["service"] and re.search(f"{pattern}$", line["message"])]
        assert finding.evidence["count"] == len(matching), finding.subject
        assert seconds(finding.start) == pytest.approx(seconds(matching[0]["time"]), abs=0.001)
        assert seconds(finding.end) == pytest.approx(seconds(matching[-1]["time"]), abs=0.001)
