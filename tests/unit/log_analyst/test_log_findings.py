"""The analyst's findings: planted troubles are found at the right times, steady logs give none."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import pytest

from tests.unit.log_analyst.log_fixtures import (
    ALERT,
    HOUR,
    MAKERS,
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
    seconds,
    steady,
    syslog_line,
    text_of,
    upstream_dies,
)

WINDOWS = pytest.mark.parametrize("alert", [ALERT, None], ids=["alert", "no alert"])


def planted(count: int, span: float, level: str, text: Callable[[random.Random], str], seed: int = 9) -> list[Line]:
    rng = random.Random(seed)
    times = sorted(TROUBLE + rng.uniform(0, span) for _ in range(count))
    return [(at, app_line(rng, at, level, text(rng))) for at in times]


@WINDOWS
@pytest.mark.parametrize("name", [*MAKERS, "access log"])
@pytest.mark.parametrize("per_minute", [6, 90])
def test_a_steady_log_gives_no_finding(name: str, per_minute: float, alert: tuple[float, float] | None) -> None:
    maker = MAKERS.get(name, access_line)
    for seed in (1, 2):
        ran = run(asked(file(text_of(steady(maker, seed, per_minute=per_minute))), alert=alert))
        assert ran.findings == []
        assert "Nothing stands out" in ran.report


@WINDOWS
def test_a_day_with_its_rise_and_fall_gives_no_finding(alert: tuple[float, float] | None) -> None:
    rng = random.Random(3)

    def day(maker: Callable[..., str]) -> list[Line]:
        return [
            (at, maker(rng, at))
            for at in moments(rng, T0, T0 + 24 * HOUR, 15)
            if rng.random() < 0.55 - 0.45 * math.cos((at - T0) / (24 * HOUR) * 2 * math.pi)
        ]

    at = (T0 + 11 * HOUR, T0 + 12 * HOUR) if alert else None
    ran = run(asked(file(text_of(day(app_line), day(access_line))), alert=at))
    assert ran.findings == []


@WINDOWS
def test_a_job_that_runs_every_ten_minutes_is_no_burst(alert: tuple[float, float] | None) -> None:
    rng = random.Random(5)
    job = [
        (T0 + start + at, app_line(rng, T0 + start + at, "INFO", f"cleanup step {at} removed {rng.randrange(99)} rows"))
        for start in range(60, 3600, 600)
        for at in range(25)
    ]
    assert run(asked(file(text_of(job, steady(app_line))), alert=alert)).findings == []


@WINDOWS
def test_a_new_error_is_found_with_its_counts_and_times(alert: tuple[float, float] | None) -> None:
    trouble = planted(40, 5 * MINUTE, "ERROR", lambda r: f"payment {r.randrange(9999)} declined by gateway")
    [finding] = run(asked(file(text_of(steady(app_line), trouble)), alert=alert)).findings
    assert finding.type == "new_template"
    assert finding.subject == "ERROR [shop.web] payment <num> declined by gateway"
    assert finding.magnitude == finding.evidence["count"] == finding.evidence["in_window"] == 40
    assert finding.evidence["before"] == 0
    assert seconds(finding.start) == pytest.approx(trouble[0][0], abs=0.01)
    assert seconds(finding.end) == pytest.approx(trouble[-1][0], abs=0.01)
    assert finding.evidence["example"] == trouble[0][1]
    assert finding.evidence["log"] == "app.log"
    assert finding.confidence > 0.8
    assert finding.evidence["window"]["derived"] == (alert is None)


@WINDOWS
def test_a_burst_is_found_with_its_size_and_times(alert: tuple[float, float] | None) -> None:
    trouble = planted(80, 5 * MINUTE, "WARN", lambda r: f"slow query took {r.random():.2f}s on shard-{r.randrange(8)}")
    [finding] = run(asked(file(text_of(steady(app_line), trouble)), alert=alert)).findings
    assert finding.type == "burst"
    assert "slow query" in finding.subject
    assert finding.unit == "times the usual rate"
    assert 4 < finding.magnitude < 14
    assert seconds(finding.start) == pytest.approx(TROUBLE, abs=70)
    assert seconds(finding.end) == pytest.approx(TROUBLE + 5 * MINUTE, abs=70)


@WINDOWS
def test_a_new_error_with_several_words_that_vary_is_one_finding(alert: tuple[float, float] | None) -> None:
    hosts = ["alpha", "beta", "gamma", "delta", "eta", "zeta", "iota", "kappa"]
    trouble = planted(
        40, 5 * MINUTE, "ERROR", lambda r: "cannot reach {} because of {} on {}".format(*r.choices(hosts, k=3))
    )
    [finding] = run(asked(file(text_of(steady(app_line), trouble)), alert=alert)).findings
    assert finding.subject == "ERROR [shop.web] cannot reach <*> because of <*> on <*>"
    assert (finding.type, finding.evidence["count"]) == ("new_template", 40)


@WINDOWS
def test_a_burst_that_is_most_of_the_log_while_it_lasts_is_found(alert: tuple[float, float] | None) -> None:
    trouble = planted(400, 5 * MINUTE, "INFO", lambda r: f"order {r.randrange(999)} accepted for user u-7 in 12ms")
    [finding] = run(asked(file(text_of(steady(app_line), trouble)), alert=alert)).findings
    assert finding.type == "burst"
    assert "accepted for user" in finding.subject
    assert seconds(finding.start) == pytest.approx(TROUBLE, abs=70)
    assert seconds(finding.end) == pytest.approx(TROUBLE + 5 * MINUTE, abs=70)


@WINDOWS
@pytest.mark.parametrize("times", [2, 3])
def test_a_rate_that_doubles_for_a_while_is_a_burst(times: int, alert: tuple[float, float] | None) -> None:
    rng = random.Random(4)
    usual = moments(rng, T0, T0 + HOUR, 20)
    more = moments(rng, TROUBLE, TROUBLE + 12 * MINUTE, 20 * (times - 1))
    jobs = [
        (at, app_line(rng, at, "INFO", f"job {int(at)} waits for worker {rng.randrange(9)}")) for at in usual + more
    ]
    [finding] = run(asked(file(text_of(steady(app_line), jobs)), alert=alert)).findings
    assert (finding.type, finding.subject) == ("burst", "INFO [shop.web] job <num> waits for worker <num>")
    assert seconds(finding.start) == pytest.approx(TROUBLE, abs=100)


@WINDOWS
def test_a_template_that_stops_is_gone(alert: tuple[float, float] | None) -> None:
    lines = [(at, line) for at, line in steady(app_line) if "cart" not in line or not 0 < at - TROUBLE < 12 * MINUTE]
    [finding] = run(asked(file(text_of(lines)), alert=alert)).findings
    assert finding.type == "gone"
    assert finding.subject == "INFO [shop.web] cart <hex> updated"
    assert 100 < finding.magnitude < 260
    assert seconds(finding.start) == pytest.approx(TROUBLE, abs=70)


@pytest.mark.parametrize(("hours", "every"), [(6, 60), (12, 120), (12, 300)])
def test_a_heartbeat_that_is_silent_for_an_hour_is_gone(hours: int, every: int) -> None:
    silent = T0 + 0.6 * hours * HOUR
    beats = [
        (at, app_line(random.Random(1), at, "INFO", f"heartbeat {at:.0f} of the pump"))
        for at in (T0 + number * every for number in range(int(hours * HOUR / every)))
        if not silent <= at < silent + HOUR
    ]
    [finding] = run(asked(file(text_of(steady(app_line, end=T0 + hours * HOUR, per_minute=2), beats)))).findings
    assert (finding.type, finding.subject) == ("gone", "INFO [shop.web] heartbeat <num> of the pump")


@WINDOWS
def test_a_log_that_falls_silent_is_one_finding(alert: tuple[float, float] | None) -> None:
    rng = random.Random(6)
    requests = [(at, access_line(rng, at)) for at in moments(rng, T0, T0 + HOUR, 100)]
    app = [(at, line) for at, line in steady(app_line) if at < TROUBLE]
    ran = run(asked(file(text_of(requests), "access.log"), file(text_of(app)), alert=alert))
    [finding] = ran.findings
    assert (finding.type, finding.subject) == ("gone", "all lines of app")


@WINDOWS
def test_ten_times_the_traffic_is_one_finding(alert: tuple[float, float] | None) -> None:
    rng = random.Random(7)
    crowd = [(at, app_line(rng, at)) for at in moments(rng, TROUBLE, TROUBLE + 5 * MINUTE, 600)]
    [finding] = run(asked(file(text_of(steady(app_line), crowd)), alert=alert)).findings
    assert (finding.type, finding.subject) == ("burst", "all ordinary lines")
    assert 8 < finding.magnitude < 14


@WINDOWS
def test_a_single_fatal_line_is_rare(alert: tuple[float, float] | None) -> None:
    trouble = planted(1, 5 * MINUTE, "FATAL", lambda _: "heap exhausted")
    [finding] = run(asked(file(text_of(steady(app_line), trouble)), alert=alert)).findings
    assert finding.type == "rare"
    assert (finding.magnitude, finding.unit) == (1, "line")
    assert finding.start == finding.end
    assert seconds(finding.start) == pytest.approx(trouble[0][0], abs=0.01)
    assert finding.magnitude == 1
    assert finding.confidence < 0.6


def test_a_restart_in_the_window_is_rare_although_it_is_no_error() -> None:
    trouble = planted(1, 5 * MINUTE, "INFO", lambda _: "starting shop version 1.2.3")
    [finding] = run(asked(file(text_of(steady(app_line), trouble)), alert=ALERT)).findings
    assert (finding.type, finding.evidence["level"]) == ("rare", "INFO")


def test_another_word_in_a_known_error_is_not_rare() -> None:
    rng = random.Random(8)
    tries = [
        (at, app_line(rng, at, "WARN", f"no login for {rng.choice(['root', 'admin', 'guest'])} from 10.0.0.1"))
        for at in moments(rng, T0, T0 + HOUR, 1)
    ]
    another = planted(1, 5 * MINUTE, "WARN", lambda _: "no login for git from 10.0.0.1")
    other = planted(1, 5 * MINUTE, "WARN", lambda _: "certificate expires in 3 days")
    [finding] = run(asked(file(text_of(steady(app_line), tries, another, other)), alert=ALERT)).findings
    assert (finding.type, finding.subject) == ("rare", "WARN [shop.web] certificate expires in <num> days")


def test_errors_that_stop_are_not_gone() -> None:
    rng = random.Random(8)
    errors = [(at, app_line(rng, at, "ERROR", "mail queue is stuck")) for at in moments(rng, T0, TROUBLE, 10)]
    assert run(asked(file(text_of(steady(app_line), errors)), alert=ALERT)).findings == []


def test_errors_that_come_one_by_one_all_the_time_are_not_rare() -> None:
    rng = random.Random(8)
    words = [f"{a}{b}{c}x" for a in "bcdfg" for b in "aeiou" for c in "klmnp"]
    odd = [
        (at, app_line(rng, at, "ERROR", f"{word} module {word} lost its {word} {word}"))
        for at, word in zip(sorted(rng.uniform(T0, T0 + HOUR) for _ in words), words, strict=True)
    ]
    assert run(asked(file(text_of(steady(app_line), odd)), alert=ALERT)).findings == []


@WINDOWS
def test_an_upstream_that_dies_shows_in_access_and_error_log(alert: tuple[float, float] | None) -> None:
    access, errors = upstream_dies()
    ran = run(asked(file(text_of(access), "access.log"), file(text_of(errors), "error.log"), alert=alert))
    [route] = ran.of("new_template", "GET /api/orders/<id> 502")
    [refused] = ran.of("new_template", "connect() failed (<num>: Connection refused)")
    assert route.magnitude == refused.magnitude == len(errors)
    assert seconds(refused.start) == int(errors[0][0])
    assert ran.of("gone", "GET /api/orders/<id> 200")
    assert not ran.of("burst")
    assert [f.start for f in ran.findings] == sorted(f.start for f in ran.findings)
    # Errors come first in the report, even if something else came first in time.
    assert ran.report.index("New error") < ran.report.index("Gone")


def test_one_status_on_many_routes_is_one_finding() -> None:
    rng = random.Random(4)
    routes = [f"/api/{word}" for word in ("cart", "pay", "user", "list", "stock", "mail", "login")]
    fine = [(at, access_line(rng, at, route=rng.choice(routes), status=200)) for at in moments(rng, T0, T0 + HOUR, 90)]
    bad = [
        (at, access_line(rng, at, route=rng.choice(routes), status=503))
        for at in moments(rng, TROUBLE, TROUBLE + 300, 90)
    ]
    [finding] = run(asked(file(text_of(fine, bad)), alert=ALERT)).of("new_template")
    assert finding.subject == "503 on 7 routes"
    assert finding.magnitude == len(bad)
    assert sum(route["count"] for route in finding.evidence["routes"]) == len(bad)


def test_a_log_that_starts_in_the_window_is_not_all_new() -> None:
    rng = random.Random(4)
    access = [(at, access_line(rng, at)) for at in moments(rng, T0, T0 + HOUR, 60)]
    late = steady(app_line, start=TROUBLE)
    assert run(asked(file(text_of(access), "access.log"), file(text_of(late)), alert=ALERT)).findings == []


def test_rotated_logs_are_one_log() -> None:
    lines = steady(app_line)
    old, new = text_of(x for x in lines if x[0] < TROUBLE), text_of(x for x in lines if x[0] >= TROUBLE)
    assert run(asked(file(new, "app.log"), file(old, "app.log.1"), alert=ALERT)).findings == []


def test_syslog_takes_its_year_from_the_alert() -> None:
    trouble = [(at, syslog_line(random.Random(1), at, "ERROR", "disk sda failing")) for at in (TROUBLE, TROUBLE + 9)]
    ran = run(asked(file(text_of(steady(syslog_line), trouble), "syslog"), alert=ALERT))
    [finding] = ran.of("new_template", "disk sda failing")
    assert seconds(finding.start) == TROUBLE


def test_syslog_takes_its_year_from_other_logs() -> None:
    trouble = [(TROUBLE + at, syslog_line(random.Random(1), TROUBLE + at, "ERROR", "disk failing")) for at in range(60)]
    ran = run(asked(file(text_of(steady(syslog_line), trouble), "syslog"), file(text_of(steady(app_line)))))
    [finding] = ran.of("new_template", "disk failing")
    assert seconds(finding.start) == TROUBLE


def test_a_time_in_the_users_words_is_the_alerts_window() -> None:
    text = "5xx rate high since 2024-03-05T09:43:00Z"
    trouble = planted(4, 5 * MINUTE, "ERROR", lambda r: f"payment {r.randrange(9999)} declined")
    [finding] = run(asked(file(text_of(steady(app_line), trouble)), text=text)).findings
    assert not finding.evidence["window"]["derived"]


def test_the_times_of_pasted_lines_are_not_the_alerts() -> None:
    trouble = planted(30, 5 * MINUTE, "ERROR", lambda r: f"payment {r.randrange(9999)} declined")
    ran = run(asked(text="What is this?\n" + text_of(steady(app_line, per_minute=20), trouble)))
    [finding] = ran.findings
    assert finding.type == "new_template"
    assert finding.evidence["window"]["derived"]
    assert finding.evidence["log"] == "the pasted lines"
    assert "### Notes" not in ran.report


@pytest.mark.parametrize("alert", [(T0 + 9 * HOUR, T0 + 10 * HOUR), (T0 - HOUR, T0 + HOUR)])
def test_without_lines_in_the_alerts_window_a_note_says_so_and_the_window_comes_from_the_logs(
    alert: tuple[float, float],
) -> None:
    trouble = planted(40, 5 * MINUTE, "ERROR", lambda r: f"payment {r.randrange(9999)} declined")
    ran = run(asked(file(text_of(steady(app_line), trouble)), alert=alert))
    [finding] = ran.findings
    assert finding.evidence["window"]["derived"]
    assert "the window was chosen from the logs" in ran.report


def test_a_short_window_in_a_long_log_has_fine_buckets() -> None:
    start = T0 + 5 * 24 * HOUR
    trouble = [
        (start + 7 * at, app_line(random.Random(1), start + 7 * at, "ERROR", f"payment {at} declined"))
        for at in range(30)
    ]
    lines = steady(app_line, end=T0 + 6 * 24 * HOUR, per_minute=1)
    ran = run(asked(file(text_of(lines, trouble)), alert=(start, start + 5 * MINUTE)))
    [finding] = ran.findings
    assert (finding.type, finding.magnitude) == ("new_template", 30)
    assert seconds(finding.start) == start


def test_the_same_request_gives_the_same_findings() -> None:
    access, errors = upstream_dies()
    request = asked(file(text_of(access), "access.log"), file(text_of(errors), "error.log"), alert=ALERT)
    assert run(request).artifact == run(request).artifact


@pytest.mark.parametrize("rises", [True, False])
def test_a_rate_that_changes_slowly_is_a_trend_and_the_change_of_all_lines_is_none(rises: bool) -> None:
    rng = random.Random(4)

    def drifting(maker: Callable[..., str], text: str = "") -> list[Line]:
        share = {True: lambda at: (at - T0) / HOUR, False: lambda at: 1 - (at - T0) / HOUR}[rises]
        found = [at for at in moments(rng, T0, T0 + HOUR, 50) if rng.random() < 0.2 + 0.8 * share(at)]
        return [(at, maker(rng, at, "INFO", text.format(int(at))) if text else maker(rng, at)) for at in found]

    retries = drifting(app_line, "the queue is full, retry {} is later")
    ran = run(asked(file(text_of(steady(app_line), retries))))
    [finding] = ran.findings
    assert (finding.type, finding.subject) == ("trend", "INFO [shop.web] the queue is full, retry <num> is later")
    assert ("Rises" if rises else "Falls") in finding.summary
    assert "**1 trend** over the whole recording" in ran.report
    assert sum(finding.evidence["lines"]["counts"]) == finding.evidence["count"] == len(retries)
    assert run(asked(file(text_of(drifting(app_line))))).findings == []


def test_the_traffic_of_a_morning_is_no_trend_beside_health_checks() -> None:
    rng = random.Random(3)
    visits = [at for at in moments(rng, T0, T0 + 6 * HOUR, 20) if rng.random() < 0.1 + 0.9 * (at - T0) / (6 * HOUR)]
    checks = [(at, access_line(rng, at, route="/health", status=200)) for at in moments(rng, T0, T0 + 6 * HOUR, 8)]
    log = text_of([(at, access_line(rng, at)) for at in visits], checks)
    assert run(asked(file(log, "access.log"))).findings == []


def test_lines_of_a_wrong_clock_hide_no_failed_requests_and_move_no_end() -> None:
    access, _ = upstream_dies()
    wrong = [(at, access_line(random.Random(3), at, route="/", status=500)) for at in (0.0, 4_070_908_800.0)]
    [right, disturbed] = (run(asked(file(text_of(access, some), "access.log"))) for some in ((), wrong))
    assert disturbed.artifact["failures"] == right.artifact["failures"] != []
    assert [f.summary for f in disturbed.findings] == [f.summary for f in right.findings]
    assert "2 entries without a plausible time" in disturbed.report
