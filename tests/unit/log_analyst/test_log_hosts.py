"""A host or a caller that was never there is told; what comes and goes as usual is not."""

from __future__ import annotations

import random

from tests.unit.log_analyst.log_fixtures import (
    HOUR,
    MINUTE,
    T0,
    TROUBLE,
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
    when,
)


def hosts_of(at: float) -> list[str]:
    return ["web-1", "web-2", "web-3"] if at < TROUBLE else ["web-1", "web-2", "web-3", "web-9"]


def test_a_host_that_was_never_there_is_told_with_its_first_line() -> None:
    rng = random.Random(3)
    lines = [
        (at, syslog_line(rng, at).replace("web-1", rng.choice(hosts_of(at)))) for at in moments(rng, T0, T0 + HOUR, 60)
    ]
    [finding] = run(asked(file(text_of(lines), "syslog"), file(text_of(steady(app_line))))).findings
    first = next(at for at, line in lines if "web-9" in line)
    assert (finding.type, finding.subject) == ("new_template", "host web-9")
    assert seconds(finding.start) == int(first)
    assert finding.evidence["count"] == sum("web-9" in line for _, line in lines)
    assert "web-9" in finding.evidence["example"]


def test_a_host_that_writes_into_two_logs_is_told_once() -> None:
    rng = random.Random(3)
    logs = {
        name: [
            (at, syslog_line(rng, at).replace("web-1", rng.choice(hosts_of(at))))
            for at in moments(rng, T0, T0 + HOUR, 60)
        ]
        for name in ("shop.log", "mail.log")
    }
    [finding] = run(asked(*(file(text_of(lines), name) for name, lines in logs.items()))).findings
    assert finding.subject == "host web-9"
    assert finding.evidence["count"] == sum("web-9" in line for lines in logs.values() for _, line in lines)


def test_a_caller_that_was_never_there_is_told_and_the_usual_coming_and_going_is_not() -> None:
    rng = random.Random(3)
    usual = [(at, access_line(rng, at)) for at in moments(rng, T0, T0 + HOUR, 60)]
    other = [(at, access_line(rng, at)) for at in moments(rng, TROUBLE, T0 + HOUR, 30)]
    scanner = [(at, f"198.51.100.7 {line.split(' ', 1)[1]}") for at, line in other]
    [finding] = run(asked(file(text_of(usual, scanner), "access.log"))).findings
    assert (finding.type, finding.subject) == ("new_template", "caller 198.51.100.7")
    assert finding.evidence["count"] == len(scanner)
    pods = [
        (at, syslog_line(rng, at).replace("web-1", f"pod-{int(at - T0) // 600}"))
        for at in moments(rng, T0, T0 + HOUR, 60)
    ]
    assert run(asked(file(text_of(pods), "syslog"))).findings == []


def test_a_rolling_deploy_has_no_new_hosts() -> None:
    rng = random.Random(3)

    def pods(at: float) -> list[str]:
        replaced = min(max(int((at - TROUBLE) // MINUTE) + 1, 0), 3)
        return ["pod-a1", "pod-a2", "pod-a3"][replaced:] + ["pod-b1", "pod-b2", "pod-b3"][:replaced]

    lines = [
        (at, syslog_line(rng, at).replace("web-1", rng.choice(pods(at)))) for at in moments(rng, T0, T0 + 2 * HOUR, 60)
    ]
    assert run(asked(file(text_of(lines), "syslog"))).findings == []


def test_what_stands_behind_a_request_is_no_caller() -> None:
    rng = random.Random(3)

    def envoy_line(at: float) -> str:
        is_new = at > TROUBLE and rng.random() < 0.5
        browser, upstream = ("Chrome/132.0.0.0", "10.1.2.9:80") if is_new else ("Chrome/131.0.0.0", "10.1.2.3:80")
        request = f'"GET /api/{rng.choice("abc")} HTTP/1.1" 200 - 0 {rng.randrange(900)} 12 11'
        return f'[{when(at, "%Y-%m-%dT%H:%M:%S.000Z")}] {request} "-" "{browser}" "{at:x<9}" "shop" "{upstream}"'

    lines = [(at, envoy_line(at)) for at in moments(rng, T0, T0 + HOUR, 60)]
    assert run(asked(file(text_of(lines), "access.log"))).findings == []


def test_the_first_word_of_a_sentence_is_no_host_and_no_exception() -> None:
    rng = random.Random(3)
    usual = [(at, "Retry scheduled: job 7") for at in moments(rng, T0, T0 + HOUR, 60)]
    timeouts = [(at, f"Timeout reached: upstream {rng.randrange(99)}") for at in moments(rng, TROUBLE, T0 + HOUR, 20)]
    lines = [(at, f"{when(at, '%Y-%m-%dT%H:%M:%SZ')} {text}") for at, text in usual + timeouts]
    [finding] = run(asked(file(text_of(lines)))).findings
    assert (finding.subject, finding.evidence["count"]) == ("Timeout reached: upstream <num>", len(timeouts))
