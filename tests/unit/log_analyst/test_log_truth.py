"""What is said of logs is true: every number is compared with one that is counted from the lines themselves."""

from __future__ import annotations

import random
import re
from datetime import UTC, datetime
from typing import Any

import pytest

from log_analyst.detectors.failed_requests import failures_in
from tests.unit.log_analyst.log_fixtures import (
    HOUR,
    MINUTE,
    T0,
    TROUBLE,
    Line,
    access_line,
    app_line,
    asked,
    file,
    moments,
    run,
    steady,
    text_of,
)
from triage.failures import Failure, failure_in_words, percent
from triage.findings import Finding
from triage.markdown import plain

_NUMBER = re.compile(r"(\d[\d,]*) lines?\b")


def seconds(iso: str) -> float:
    return datetime.fromisoformat(iso).timestamp()


def numbers_of(finding: Finding) -> set[int]:
    """Every number that a finding gives for its lines: in words, figure, evidence, chart and routes."""
    lines: dict[str, Any] = finding.evidence["lines"]
    chart = sum(lines["counts"][lines["begin"] : lines["end"]]) + lines["later"]
    said = {int(number.replace(",", "")) for number in _NUMBER.findall(finding.summary)}
    said |= {1} if finding.summary.startswith("Seen once") else set()
    figure = {int(finding.magnitude)} if finding.unit in ("line", "lines") else set()
    routes = finding.evidence.get("routes", [])
    listed = {sum(route["count"] for route in routes)} if 0 < len(routes) < 20 else set()
    return {chart, finding.evidence["count"], *said, *figure, *listed}


def errors(count: int, first: float, last: float, text: str = "payment <n> declined") -> list[Line]:
    times = [first + (last - first) * n / max(count - 1, 1) for n in range(count)]
    return [(at, app_line(random.Random(n), at, "ERROR", text.replace("<n>", str(n)))) for n, at in enumerate(times)]


def cases() -> list[tuple[int, float, float]]:
    """Made-up troubles: how many lines, and from when to when; some go on to the end of the log."""
    rng = random.Random(20)
    found = []
    for _ in range(4):
        first = TROUBLE + rng.uniform(0, 5 * MINUTE)
        last = rng.choice([first + rng.uniform(20, 4 * MINUTE), T0 + HOUR - 0.5])
        found.append((rng.randrange(12, 300), round(first), float(round(last))))
    return found


@pytest.mark.parametrize(("count", "first", "last"), cases())
def test_counts_times_and_the_end_of_a_planted_error_are_those_of_its_lines(
    count: int, first: float, last: float
) -> None:
    text = text_of(steady(app_line, per_minute=30), errors(count, first, last))
    [finding] = run(asked(file(text), alert=(TROUBLE, TROUBLE + 10 * MINUTE))).of("new_template", "declined")
    assert numbers_of(finding) == {text.count(" declined")} == {count}
    assert (seconds(finding.start), seconds(finding.end)) == (first, last)
    stays = last > T0 + HOUR - 2
    assert finding.state == ("ongoing" if stays else "over")
    assert ("goes on to the end of the recording" in finding.summary) == stays
    assert ("Over:" in finding.summary) == (not stays)


def test_an_end_that_the_log_is_too_short_to_show_is_not_claimed() -> None:
    slow = errors(20, TROUBLE, T0 + HOUR - 90)  # one every 52 s
    [finding] = run(asked(file(text_of(steady(app_line, per_minute=30), slow)))).of("new_template", "declined")
    assert finding.state == "unknown"
    assert "too soon to tell whether it is over" in finding.summary


def test_a_log_that_ends_before_the_others_is_not_called_the_recording() -> None:
    app = text_of(
        [line for line in steady(app_line) if line[0] < TROUBLE + 4 * MINUTE], errors(60, TROUBLE, TROUBLE + 239)
    )
    rng = random.Random(3)
    access = text_of([(at, access_line(rng, at)) for at in moments(rng, T0, T0 + HOUR, 60)])
    ran = run(asked(file(app), file(access, "access.log"), alert=(TROUBLE, T0 + HOUR)))
    [finding] = ran.of("new_template", "declined")
    assert finding.state == "ongoing"
    assert "to the end of its log" in finding.summary


def test_a_silence_that_lasts_beyond_the_alerts_window_goes_on_to_the_end() -> None:
    lines = [(at, line) for at, line in steady(app_line) if "cart" not in line or at < TROUBLE]
    [finding] = run(asked(file(text_of(lines)), alert=(TROUBLE, TROUBLE + 6 * MINUTE))).of("gone")
    assert finding.state == "ongoing"
    assert numbers_of(finding) - {int(finding.magnitude)} == {0}
    assert "none came until the recording ends" in finding.summary
    assert seconds(finding.end) == pytest.approx(T0 + HOUR, abs=60)


def test_lines_without_a_time_are_not_counted_as_seen_since_then() -> None:
    untimed = "payment 7 declined, no time\n" * 9
    text = untimed + text_of(steady(app_line), errors(40, TROUBLE, TROUBLE + 200))
    for finding in run(asked(file(text))).of("new_template", "declined"):
        assert numbers_of(finding) == {40}


def outage(seed: int, share: float, first: float, last: float) -> str:
    rng = random.Random(seed)
    routes = [f"/api/{word}" for word in ("cart", "pay", "user", "list", "stock", "mail", "login")]

    def status(at: float) -> int:
        return rng.choice([502, 503, 503, 504]) if first <= at <= last and rng.random() < share else 200

    return text_of(
        [
            (at, access_line(rng, at, route=rng.choice(routes), status=status(at)))
            for at in moments(rng, T0, T0 + HOUR, 90)
        ]
    )


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("stays", [False, True])
def test_the_share_of_failed_requests_is_that_of_the_access_log(seed: int, stays: bool) -> None:
    rng = random.Random(seed)
    first = TROUBLE + rng.uniform(0, 5 * MINUTE)
    last = T0 + HOUR if stays else first + rng.uniform(1, 9) * MINUTE
    text = outage(seed, rng.uniform(0.2, 1), first, last)
    ran = run(asked(file(text, "access.log")))
    [failure] = ran.artifact["failures"]
    check(failure, text)
    assert failure["state"] == ("ongoing" if stays else "over")
    assert plain(failure_in_words(Failure(**failure))) in ran.report
    for finding in ran.of("new_template"):
        status, routes = re.fullmatch(r"(\d+) on (\d+) routes", finding.subject).groups()  # type: ignore[union-attr]
        found = re.findall(rf'"GET (/api/\w+)\S* HTTP/1.1" {status} ', text)
        assert numbers_of(finding) == {len(found)}
        assert len(set(found)) == int(routes)


def check(failure: dict[str, Any], text: str) -> None:
    """Compare a failure with what the lines of an access log say."""
    lines = re.findall(r'\[([^]]+)\] "[^"]*" (\d{3}) ', text)
    times = [
        (datetime.strptime(at, "%d/%b/%Y:%H:%M:%S %z").astimezone(UTC).timestamp(), status) for at, status in lines
    ]
    failed = [at for at, status in times if status[0] == "5"]
    assert (seconds(failure["start"]), seconds(failure["end"])) == (min(failed), max(failed))
    assert failure["failed"] == len(failed) == sum(failure["statuses"].values())
    assert failure["total"] == sum(min(failed) <= at <= max(failed) for at, _ in times)
    assert failure["total_before"] == sum(at < min(failed) for at, _ in times)
    assert failure["total_after"] == sum(at > max(failed) for at, _ in times)
    assert failure["failed_before"] == failure["failed_after"] == 0
    assert failure["given_up"] == sum(s == "499" and min(failed) <= at <= max(failed) for at, s in times)
    for status, count in failure["statuses"].items():
        assert count == sum(each == status for _, each in times)


@pytest.mark.parametrize("share", [0.01, 0.3])
def test_a_share_of_failed_requests_that_does_not_change_is_no_outage(share: float) -> None:
    ran = run(asked(file(outage(1, share, T0, T0 + HOUR), "access.log")))
    assert ran.artifact["failures"] == []
    assert "Failed requests" not in ran.report


def test_two_outages_with_a_pause_between_them_are_two() -> None:
    fine = [T0 + n for n in range(7200)]
    bad = [T0 + 1800 + n / 2 for n in range(240)], [T0 + 5400 + n / 2 for n in range(120)]
    found = failures_in({"access": {"200": fine, "503": [*bad[0], *bad[1]]}})
    assert [(seconds(each.start), each.failed, each.state) for each in found] == [
        (T0 + 1800, 240, "over"),
        (T0 + 5400, 120, "over"),
    ]


def test_a_proxy_and_the_server_behind_it_are_counted_each_by_itself() -> None:
    proxy, server = outage(3, 0.5, TROUBLE, TROUBLE + 300), outage(4, 0.9, TROUBLE, TROUBLE + 300)
    ran = run(asked(file(proxy, "proxy.log"), file(server, "server.log")))
    one, other = sorted(ran.artifact["failures"], key=lambda failure: failure["logs"])
    assert (one["logs"], other["logs"]) == (["proxy"], ["server"])
    check(one, proxy)
    check(other, server)


@pytest.mark.parametrize(
    ("part", "whole", "words"),
    [
        (0, 9, "0%"),
        (1, 90_000, "under 0.1%"),
        (4, 1000, "0.4%"),
        (43, 100, "43%"),
        (9995, 10_000, "over 99.9%"),
        (9, 9, "100%"),
    ],
)
def test_a_share_is_never_rounded_to_none_or_to_all(part: int, whole: int, words: str) -> None:
    assert percent(part, whole) == words


@pytest.mark.parametrize("seed", range(1, 4))
def test_the_only_log_that_hangs_for_a_while_is_told_without_an_alert(seed: int) -> None:
    hang, end = T0 + HOUR + 10 * MINUTE, T0 + HOUR + 25 * MINUTE
    lines = steady(app_line, seed=seed, end=T0 + 2 * HOUR)
    [finding] = run(asked(file(text_of(line for line in lines if not hang <= line[0] < end)))).findings
    assert (finding.type, finding.subject, finding.state) == ("gone", "all lines of app", "over")
    assert hang - MINUTE <= seconds(finding.start) <= hang + MINUTE
    assert end - 2 * MINUTE <= seconds(finding.end) <= end + MINUTE


@pytest.mark.parametrize("seed", range(1, 4))
def test_a_log_that_hangs_beside_another_is_one_finding(seed: int) -> None:
    rng = random.Random(seed)
    hang, end = T0 + HOUR + 10 * MINUTE, T0 + HOUR + 30 * MINUTE

    def written(*texts: str) -> list[Line]:
        times = moments(rng, T0, T0 + 2 * HOUR, 40)
        return [(at, app_line(rng, at, "INFO", f"{rng.choice(texts)} {rng.randrange(9999)}")) for at in times]

    shop = written("order stored", "cart updated", "session opened", "cache refreshed")
    queue = written("mail sent", "queue polled", "job done", "heartbeat")
    hanging = [(at, line) for at, line in queue if not hang <= at < end]
    ran = run(asked(file(text_of(shop), "shop.log"), file(text_of(hanging), "queue.log")))
    assert [(finding.type, finding.subject) for finding in ran.findings] == [("gone", "all lines of queue")]
