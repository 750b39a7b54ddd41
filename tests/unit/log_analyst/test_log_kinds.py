"""One incident, written in each way that software writes logs: it is found at its minute, with its name and level."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from log_analyst.readers.reading import LogReader
from log_analyst.readers.sources import Source, sources
from tailrace.inputs.text import Text
from tests.unit.log_analyst.log_fixtures import MINUTE, T0, asked, file, run, when
from triage.date_order import day_first
from triage.timestamps import Timestamps
from triage.zones import AMBIGUOUS, ZONES

BEGIN, END = 45, 60  # minutes of the incident
Maker = Callable[[float, bool], str]


def moments() -> list[tuple[float, bool]]:
    """Two lines a minute for 75 minutes, and in the incident a bad one each minute."""
    good = [(T0 + minute * MINUTE + second, False) for minute in range(75) for second in (3, 31)]
    return sorted(good + [(T0 + minute * MINUTE + 45, True) for minute in range(BEGIN, END)])


def worded(form: str, good: str = "INFO order stored", bad: str = "ERROR pool is exhausted") -> Maker:
    return lambda at, is_bad: f"{when(at, form)} {bad if is_bad else good}"


def record(time: str, **fields: str) -> Callable[[float, bool], dict[str, Any]]:
    def made(at: float, is_bad: bool) -> dict[str, Any]:
        return {time: when(at, "%Y-%m-%dT%H:%M:%SZ"), **fields, "message": "pool is exhausted" if is_bad else "order"}

    return made


LINES: dict[str, Maker] = {
    "dotted": worded("%d.%m.%Y %H:%M:%S,120"),
    "dashed": worded("%d-%m-%Y %H:%M:%S.120"),
    "with AM and PM": worded("%m/%d/%Y %I:%M:%S %p"),
    "epoch behind a key": lambda at, bad: (
        f'level={"error" if bad else "info"} ts={at:.3f} msg="pool is full, order {at}"'
    ),
    "logfmt behind a prefix": lambda at, bad: (
        f'{when(at, "%Y-%m-%dT%H:%M:%SZ")} web-1 level={"error" if bad else "info"} msg="order \\"{at}\\" stored" a=b'
    ),
    "JSON behind a time": lambda at, bad: (
        f"{when(at, '%Y-%m-%dT%H:%M:%S')}.000000123Z "
        + json.dumps({"level": "error" if bad else "info", "msg": "order"})
    ),
    "JSON behind syslog": lambda at, bad: (
        f"{when(at, '%b %d %H:%M:%S')} web app[7]: " + json.dumps({"level": "error" if bad else "info", "msg": "order"})
    ),
    "an application load balancer": lambda at, bad: (
        f"https {when(at, '%Y-%m-%dT%H:%M:%S.%fZ')} app/shop/0f 198.51.100.1:1 10.0.0.3:80 0.001 0.087 0.000 "
        f'{"500 500" if bad else "200 200"} 585 1273 "GET https://shop.example:443/cart HTTP/1.1" "curl/8" - - "R"'
    ),
    "HAProxy": lambda at, bad: (
        f"{when(at, '%b %d %H:%M:%S')} lb haproxy[12]: 10.0.1.2:317 [{when(at, '%d/%b/%Y:%H:%M:%S.009')}] in "
        f'static/srv1 10/0/30/69/109 {503 if bad else 200} 2750 - - ---- 1/1/1/1/0 0/0 "GET /cart HTTP/1.1"'
    ),
    "uvicorn": lambda at, bad: (
        f'{when(at, "%Y-%m-%d %H:%M:%S")} INFO: 10.0.0.1:5 - "GET /cart HTTP/1.1" {500 if bad else 200} OK'
    ),
    "a journal with bytes": lambda at, bad: json.dumps(
        {
            "__REALTIME_TIMESTAMP": str(int(at * 1e6)),
            "PRIORITY": "3" if bad else "6",
            "SYSLOG_IDENTIFIER": "pump",
            "MESSAGE": list(b"valve is stuck\r") if bad else "cycle finished",
        }
    ),
}


@pytest.mark.parametrize("kind", LINES)
def test_the_incident_is_found_in_lines(kind: str) -> None:
    ran = run(asked(file("".join(LINES[kind](at, bad) + "\n" for at, bad in moments()))))
    [found] = ran.of("new_template")
    assert found.start[11:19] == when(T0 + BEGIN * MINUTE + 45, "%H:%M:%S")
    assert found.start[5:10] == when(T0, "%m-%d")
    assert found.evidence["count"] == END - BEGIN
    assert found.evidence["level"] == "ERROR"


@settings(max_examples=5, deadline=None)
@given(rng=st.randoms(use_true_random=False))
def test_the_order_of_lines_does_not_matter(rng: random.Random) -> None:
    made = worded("%Y-%m-%d %H:%M:%S")
    lines = [made(at, bad) + "\n" for at, bad in moments()]
    rng.shuffle(lines)
    [found] = run(asked(file("".join(lines)))).of("new_template")
    assert found.start[11:19] == when(T0 + BEGIN * MINUTE + 45, "%H:%M:%S")
    assert found.evidence["count"] == END - BEGIN


def w3c(at: float, bad: bool) -> str:
    return f"{when(at, '%Y-%m-%d %H:%M:%S')} 10.0.0.5 GET /cart - 443 - 198.51.100.9 Moz+(X11) {500 if bad else 200} 0"


def test_the_fields_line_names_the_fields_and_comments_are_no_entries() -> None:
    header = "#Software: IIS\r\n#Fields: date time s-ip cs-method cs-uri-stem cs-uri-query s-port cs-username c-ip "
    header += "cs(User-Agent) sc-status sc-win32-status\r\n"
    ran = run(asked(file(header + "".join(w3c(at, bad) + "\r\n" for at, bad in moments()))))
    [found] = ran.findings
    assert (found.subject, found.evidence["count"]) == ("GET /cart 500", END - BEGIN)
    assert "165 entries" in ran.report


DOCUMENTS: dict[str, Callable[[list[dict[str, Any]]], object]] = {
    "Records": lambda events: {"Records": events},
    "hits": lambda events: {"took": 3, "hits": {"total": 9, "hits": [{"_id": "1", "_source": e} for e in events]}},
    "items": lambda events: {"kind": "List", "metadata": {}, "items": events},
    "nested twice": lambda events: {"groups": [{"logs": events[:60]}, {"logs": events[60:]}]},
    "fields with values": lambda events: {
        "results": [[{"field": key, "value": value} for key, value in event.items()] for event in events],
        "status": "Complete",
    },
}


@pytest.mark.parametrize("kind", DOCUMENTS)
@pytest.mark.parametrize("indent", [None, 2])
def test_the_incident_is_found_in_a_document(kind: str, indent: int | None) -> None:
    events = [record("eventTime", source="shop")(at, bad) for at, bad in moments()]
    ran = run(asked(file(json.dumps(DOCUMENTS[kind](events), indent=indent), "export.json")))
    assert sum(template["count"] for template in ran.templates) == len(events)
    assert {template["template"]: template["count"] for template in ran.templates}["pool is exhausted"] == END - BEGIN


@pytest.mark.parametrize(
    "wrap",
    [
        lambda at, text: json.dumps({"log": f"{text}\n", "stream": "stderr", "time": when(at, "%Y-%m-%dT%H:%M:%SZ")}),
        lambda at, text: f"{when(at, '%Y-%m-%dT%H:%M:%SZ')} {text}",
    ],
)
def test_a_trace_that_is_wrapped_line_by_line_is_one_entry(wrap: Callable[[float, str], str]) -> None:
    trace = ["ERROR Orders - cannot store", "java.lang.IllegalStateException: pool is closed"]
    trace += ["\tat shop.Pool.take(Pool.java:88)", "Caused by: java.net.ConnectException: refused", "\t... 25 more"]
    lines = [wrap(T0, text) for text in ["INFO started", *trace]] + [wrap(T0 + 9, "INFO order stored")]
    found = [entry.entry.text for entry in LogReader(Source("x", Text("\n".join(lines)), "x"), T0)]
    assert found == ["INFO started", "ERROR Orders - cannot store | java.net.ConnectException", "INFO order stored"]


def test_times_of_day_get_a_day_that_is_past_and_a_note_says_which() -> None:
    text = "".join(f"{when(at, '%H:%M:%S')}.120 [main] {'ERROR x' if bad else 'INFO y'}\n" for at, bad in moments())
    ran = run(asked(file(text, "a.log"), alert=(T0 + 46 * MINUTE, T0 + 50 * MINUTE)))
    [found] = ran.of("new_template")
    assert found.start == "2024-03-05T09:45:45.120Z"
    assert "the times have no date; the first is taken to be on 2024-03-05" in ran.report.replace("\\", "")


def test_the_rest_of_the_log_tells_whether_the_day_comes_first() -> None:
    text = "28/02/2024 09:00:00 INFO a\n05/03/2024 09:00:00 INFO b\n"
    reader = LogReader(Source("x", Text(text), "x"), T0)
    assert [entry.entry.time for entry in reader] == [T0 - 6 * 24 * 3600, T0]
    assert reader.assumptions == []
    alone = LogReader(Source("x", Text("03/05/2024 09:00:00 INFO a\n"), "x"), T0)
    assert [entry.entry.time for entry in alone] == [T0]
    assert "03/05/2024" in alone.assumptions[0]


def test_after_midnight_the_clock_starts_a_new_day() -> None:
    text = "23:59:58 INFO a\n00:00:02 INFO b\n23:59:59 INFO late\n00:00:05 INFO c\n"
    times = [entry.entry.time for entry in LogReader(Source("x", Text(text), "x"), T0)]
    assert times == [T0 - 9 * 3600 - 2, T0 - 9 * 3600 + 2, T0 - 9 * 3600 - 1, T0 - 9 * 3600 + 5]


def test_a_zone_by_its_name_is_not_utc_and_an_ambiguous_one_is_told() -> None:
    reader = LogReader(Source("x", Text("2026-07-07 10:00:00.120 CST [1] LOG: up\n"), "x"), T0)
    [entry] = reader
    assert entry.entry.time == datetime(2026, 7, 7, 16, 0, 0, 120_000, UTC).timestamp()
    assert reader.assumptions == ["times in CST are read as -06:00, but CST may also be +08:00 or -05:00"]


def test_the_zones_are_those_of_the_tz_database() -> None:
    known: dict[str, set[float]] = {}
    for name in available_timezones():
        for month in (1, 7):
            moment = datetime(2024, month, 2, tzinfo=ZoneInfo(name))
            offset = moment.utcoffset()
            if offset is not None and (zone := moment.tzname() or "").isupper() and zone.isalpha():
                known.setdefault(zone, set()).add(offset.total_seconds() / 3600)
    assert {zone: {hours, *AMBIGUOUS.get(zone, ())} for zone, hours in ZONES.items()} == {
        zone: hours for zone, hours in known.items() if zone in ZONES
    }


def test_a_time_in_the_name_of_a_file_is_not_the_lines_time() -> None:
    found = Timestamps(T0).find("app-2024-01-01T00:00:00.log:2024-03-05 09:00:00 INFO x")
    assert found is not None
    assert found.seconds == T0


@pytest.mark.parametrize(
    ("dates", "is_day_first"),
    [
        ([(1, 3, 2024), (13, 3, 2024)], True),
        ([(1, 3, 2024), (3, 13, 2024)], False),
        ([(5, 3, 2024), (6, 3, 2024)], True),
        ([(3, 5, 2024), (3, 6, 2024)], False),
        ([(5, 3, 2024)], None),
        ([], None),
    ],
)
def test_the_other_dates_of_a_file_tell_which_number_is_the_day(
    dates: list[tuple[int, int, int]], is_day_first: bool | None
) -> None:
    assert day_first(dates) is is_day_first


@pytest.mark.parametrize("text", ['{"a": [1, 2]}', "[[1, 2], [3, 4]]", "[]", "{}", '{"a": ' * 3000, '["a", {"b": 1}]'])
def test_a_document_without_events_stays_as_it_is(text: str) -> None:
    assert all(log.content.text == text for log in sources(asked(file(text))).logs)
