"""Metrics are read from many shapes; other content is skipped with a note, never with an exception."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metric_analyst.detectors.change import Change
from metric_analyst.detectors.detect import detect
from metric_analyst.notes import Notes
from metric_analyst.readers.csv_reader import read_csv
from metric_analyst.readers.json_reader import read_document, read_json, series_names
from metric_analyst.readers.reached import Reached
from metric_analyst.readers.series import clean
from metric_analyst.readers.units import unit_of
from tailrace.inputs.text import Text
from tests.unit.metric_analyst.planted import MONDAY, finish
from tests.unit.metric_analyst.reading import T0, by_name, only, reading
from triage.timestamps import time_in


@pytest.mark.parametrize(
    "written",
    [
        "2026-01-01T00:00:00Z",
        "2026-01-01T01:00:00+01:00",
        "2026-01-01 00:00:00",
        "2026-01-01 00:00:00.000",
        "2026/01/01 00:00:00",
        "2026-01-01T00:00:00.000000000Z",
        "2026-01-01 00:00:00 UTC",
        "2026-01-01 01:00:00 CET",
        "2025-12-31 19:00:00.000 EST",
        "01.01.2026 00:00",
        "1.1.2026",
        "01-01-2026 00:00:00",
        "01/01/2026 12:00:00 AM",
        "1/1/2026, 0:00:00",
        "01/01/2026 00:00:00.000",
        "01/01/2026 00:00:00 UTC",
        "01 Jan 2026 00:00:00",
        "Jan 1, 2026 12:00 AM",
        "Thu Jan 1 00:00:00 UTC 2026",
        "Thu, 01 Jan 2026 00:00:00 GMT",
        "01/Jan/2026:00:00:00 +0000",
        "01/01/2026  0:00",
        "01.01.2026  0:00",
        "01/01/2026T00:00:00",
        "1/1/2026, 12:00:00\u202fAM",
        "01-01-2026 12:00 am",
        "01.01.2026 12:00:00AM",
        "01.01.2026, 12:00 a.m.",
        "2026/01/01 02:00:00 +02",
        "1767225600",
        "1767225600.0",
        "1767225600000",
        "1767225600000000",
        "1767225600000000000",
    ],
)
def test_every_spelling_of_a_time_is_the_same_moment(written: str) -> None:
    assert time_in(written) == T0


@pytest.mark.parametrize(
    "written",
    [
        *("", "12", "1000", "hello", "nan", "1e400", "infinity", "1_767_225_600", "²" * 9),
        *("2026-13-01 00:00:00", "9999-99-99", "20260101-0042", "2026-01-01-12", "20260101A0042"),
    ],
)
def test_text_that_is_no_time_gives_none(written: str) -> None:
    assert time_in(written) is None


@pytest.mark.parametrize("form", ["%d/%m/%Y", "%d/%m/%Y ", "%d/%m/%YT%H:%M", "%d/%m/%Y  %H:%M"])
def test_a_day_above_twelve_tells_the_order_of_a_files_dates(form: str) -> None:
    days = [datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=n) for n in range(20)]
    rows = [f"{day.strftime(form)},{day.day}" for day in days]
    assert list(only(reading(("m.csv", "\n".join(["date,v", *rows])))).times) == [day.timestamp() for day in days]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("header", [True, False])
def test_csv_with_any_delimiter_with_and_without_header(delimiter: str, header: bool) -> None:
    rows = [[f"{T0 + i:.0f}", str(i), str(2 * i)] for i in range(5)]
    lines = ([["time", "cpu", "mem"]] if header else []) + rows
    found = by_name(reading(("m.csv", "\n".join(delimiter.join(row) for row in lines))))
    first, second = ("cpu", "mem") if header else ("column 2", "column 3")
    assert list(found[first].values) == [0, 1, 2, 3, 4]
    assert list(found[second].values) == [0, 2, 4, 6, 8]
    assert list(found[first].times) == [T0 + i for i in range(5)]


def test_long_format_is_one_series_a_name() -> None:
    text = "time,name,value\n" + "".join(
        f"{T0 + i:.0f},{n},{i * k}\n" for i in range(4) for k, n in ((1, "cpu"), (2, "mem"))
    )
    found = by_name(reading(("long.csv", text)))
    assert {name: list(series.values) for name, series in found.items()} == {"cpu": [0, 1, 2, 3], "mem": [0, 2, 4, 6]}


def test_a_label_column_splits_and_a_remark_column_does_not() -> None:
    labelled = "time,host,cpu,mem\n" + "".join(f"{T0 + i:.0f},{h},{i},{i}\n" for i in range(4) for h in ("a", "b"))
    assert set(by_name(reading(("l.csv", labelled)))) == {"cpu (a)", "cpu (b)", "mem (a)", "mem (b)"}
    remarked = "time,phase,cpu\n" + "".join(f"{T0 + i:.0f},{'before' if i < 5 else 'after'},{i}\n" for i in range(10))
    assert len(only(reading(("r.csv", remarked))).values) == 10


def test_quotes_windows_line_ends_a_bom_preamble_and_comments() -> None:
    text = '\ufeff# export\r\nName: web\r\n\r\n"Time","Latency (ms)"\r\n'
    text += '"2026-01-01 00:00:00","1.5"\r\n"2026-01-01 00:00:10","2.5"\r\n'
    series = only(reading(("q.csv", text)))
    assert (series.name, series.unit, list(series.values)) == ("Latency (ms)", "ms", [1.5, 2.5])


def test_an_open_quote_affects_only_its_own_row() -> None:
    text = "time,cpu\n" + "".join(f"{T0 + i:.0f},{chr(34) if i == 3 else ''}{i}\n" for i in range(8))
    assert len(only(reading(("q.csv", text))).values) >= 7


def test_semicolons_allow_a_decimal_comma_and_percent_signs_are_read() -> None:
    assert list(only(reading(("d.csv", f"time;load\n{T0:.0f};1,5\n{T0 + 1:.0f};2,5\n"))).values) == [1.5, 2.5]
    assert list(only(reading(("p.csv", f"time,cpu %\n{T0:.0f},15%\n{T0 + 1:.0f},25%\n"))).values) == [15, 25]


def test_date_and_time_in_two_columns() -> None:
    series = only(reading(("d.csv", "date,time,rps\n2026-01-01,00:00:00,1\n2026-01-01,00:00:10,2\n")))
    assert list(series.times) == [T0, T0 + 10]


def test_ragged_rows_are_skipped_and_named_by_line() -> None:
    rows = [f"{T0 + i:.0f},{i}" for i in range(10)]
    rows[3], rows[7] = "oops", rows[7] + ",1,2"
    found = reading(("m.csv", "time,cpu\n" + "\n".join(rows)))
    assert len(only(found).values) == 8
    assert any("line 5" in note and "line 9" in note for note in found.notes), found.notes


def test_a_row_without_a_time_is_skipped_and_named() -> None:
    found = reading(("m.csv", f"time,cpu\n{T0:.0f},1\nlater,2\n{T0 + 2:.0f},3\n{T0 + 3:.0f},4\n"))
    assert list(only(found).values) == [1, 3, 4]
    assert any("line 3" in note for note in found.notes)


def test_gaps_nan_infinities_and_words_in_a_column_of_numbers() -> None:
    cells = ["1", "", "NaN", "inf", "-Infinity", "null", "2", "broken", "3", "4", "5", "1e999"]
    found = reading(("m.csv", "time,cpu\n" + "".join(f"{T0 + i:.0f},{c}\n" for i, c in enumerate(cells))))
    assert list(only(found).values) == [1, 2, 3, 4, 5]
    assert any("'cpu' line 9" in note for note in found.notes), found.notes


def test_unordered_and_repeated_samples() -> None:
    times, values, dropped, repeated = clean([(2, 5.0), (1, 1.0), (2, 7.0), (1, 1.0), (3, None), (4, math.inf)])
    assert (times, values, dropped, repeated) == ([1, 2], [1.0, 6.0], 2, 2)


def test_a_file_sent_twice_changes_nothing() -> None:
    text = "time,cpu\n" + "".join(f"{T0 + i:.0f},{i % 7}\n" for i in range(50))
    once, twice = only(reading(("a.csv", text))), only(reading(("a.csv", text), ("b.csv", text)))
    assert (list(once.times), list(once.values)) == (list(twice.times), list(twice.values))


def test_files_that_continue_each_other_are_one_series_and_others_are_not() -> None:
    def part(start: int, value: int) -> str:
        return "time,cpu\n" + "".join(f"{T0 + start + i:.0f},{value}\n" for i in range(5))

    assert len(only(reading(("1.csv", part(0, 1)), ("2.csv", part(5, 2)))).values) == 10
    assert set(by_name(reading(("web.csv", part(0, 1)), ("db.csv", part(0, 2))))) == {"web: cpu", "db: cpu"}
    assert set(by_name(reading(("web.csv", part(0, 1)), ("db.csv", part(5, 2))))) == {"web: cpu", "db: cpu"}


def test_ten_thousand_tiny_files_are_one_series_and_few_notes() -> None:
    files = [(f"{i}.csv", f"time,cpu\n{T0 + i:.0f},{i % 5}\n") for i in range(9_000)]
    files += [(f"empty{i}.csv", "") for i in range(500)] + [
        (f"log{i}.txt", "it is broken\nreally\n") for i in range(500)
    ]
    found = reading(*files)
    assert len(only(found).values) == 9_000
    assert len(found.notes) == 2
    assert any("(500)" in note for note in found.notes)


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("empty.csv", "", "empty"),
        ("blank.csv", "\n \n", "empty"),
        ("header.csv", "time,cpu\n", "single line"),
        ("access.log", '127.0.0.1 - - [10/Oct/2026:13:55:36 +0000] "GET / HTTP/1.1" 200 23\n' * 5, "looks like a log"),
        ("py.log", "2026-01-01 00:00:00,123 INFO hello\n2026-01-01 00:00:01,124 WARN x\n", "looks like a log"),
        ("words.txt", "to be or\nnot to be\n", "no column of times"),
        ("bad.json", '{"MetricDataResults": [', "not valid JSON"),
        ("other.json", '{"name": "x"}', "not metrics of a known shape"),
        ("logs.json", '{"time":"2026-01-01T00:00:00Z","level":"info","ms":4}\n' * 3, "not metrics of a known shape"),
        ("text.csv", f"time,note\n{T0:.0f},a\n{T0 + 1:.0f},b\n", "no column of times"),
        ("deep.json", "[" * 100_000, "not valid JSON"),
    ],
)  # fmt: skip
def test_a_file_without_metrics_is_skipped_and_a_note_says_why(name: str, text: str, says: str) -> None:
    found = reading((name, text))
    assert not found.series
    assert any(says in note and name in note for note in found.notes), found.notes


def test_cloudwatch_get_metric_data() -> None:
    stamps = [f"2026-01-01T00:0{i}:00Z" for i in range(5)]
    results = [{"Id": "m1", "Label": "CPUUtilization", "Timestamps": stamps[::-1], "Values": [4, 3, 2, 1, 0.0]}]
    results += [{"Id": "m2", "Label": "Latency", "StatusCode": "PartialData", "Timestamps": stamps, "Values": [1]}]
    found = reading(data=[{"alert": {"title": "x"}}, {"MetricDataResults": results}])
    series = by_name(found)
    assert list(series["CPUUtilization"].values) == [0, 1, 2, 3, 4]
    assert series["CPUUtilization"].unit == "%"
    assert len(series["Latency"].values) == 1
    assert any("PartialData" in note for note in found.notes)
    assert any("differ in length" in note for note in found.notes)


def test_cloudwatch_get_metric_statistics_brings_its_unit() -> None:
    points = [{"Timestamp": f"2026-01-01T00:0{i}:00Z", "Average": float(i), "Unit": "Milliseconds"} for i in range(3)]
    series = only(reading(("s.json", json.dumps({"Label": "Duration", "Datapoints": points}))))
    assert (series.name, series.unit, list(series.values)) == ("Duration", "ms", [0, 1, 2])


def test_prometheus_names_a_series_by_the_labels_that_differ() -> None:
    def result(code: str) -> dict[str, Any]:
        labels = {"__name__": "http_requests", "job": "web", "code": code}
        return {"metric": labels, "values": [[T0, "1"], [T0 + 15, "NaN"], [T0 + 30, "2"]]}

    document = {"status": "success", "data": {"resultType": "matrix", "result": [result("200"), result("502")]}}
    found = by_name(reading(("p.json", json.dumps(document))))
    assert set(found) == {'http_requests{code="200"}', 'http_requests{code="502"}'}
    assert list(found['http_requests{code="502"}'].values) == [1, 2]
    assert series_names([{"job": "a"}]) == ['{job="a"}']
    assert series_names([{}]) == ["value"]


def test_other_json_shapes_are_read() -> None:
    records = [{"time": "2026-01-01T00:00:00Z", "cpu": 1, "host": "a"}, {"time": "2026-01-01T00:00:10Z", "cpu": 2}]
    assert list(only(reading(("r.json", json.dumps(records)))).values) == [1, 2]
    assert list(only(reading(("r.jsonl", "\n".join(map(json.dumps, records))))).values) == [1, 2]
    assert only(reading(data=[{"metrics": {"cpu": [[T0, 1], [T0 + 1, 2]]}}])).name == "cpu"
    assert list(
        only(reading(data=[{"target": "load", "datapoints": [[1, T0 * 1000], [2, T0 * 1000 + 10]]}])).values
    ) == [
        1,
        2,
    ]


def test_an_alert_without_metrics_gives_no_note() -> None:
    found = reading(data=[{"alert": {"title": "502", "start": "2026-01-01T00:00:00Z"}}])
    assert (found.series, found.notes) == ([], [])


def test_metrics_pasted_as_the_message_are_read() -> None:
    found = reading(text="time,cpu\n2026-01-01 00:00:00,1\n2026-01-01 00:00:10,2\n")
    assert list(only(found).values) == [1, 2]
    assert found.pasted
    assert not reading(text="the site is slow\nsince 2026-01-01 00:00:00\nplease look").series


def test_a_huge_whole_number_in_json_is_left_out() -> None:
    series = only(reading(data=[{"cpu": [[T0, 10**400], [T0 + 1, 1]]}]))
    assert list(series.values) == [1]


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("cpu", "%"), ("cpu %", "%"), ("CPUUtilization", "%"), ("latency_p99_ms", "ms"), ("Latency (ms)", "ms"),
        ("request_duration_seconds", "s"), ("memory_bytes", "bytes"), ("node_memory_MemFree_bytes", "bytes"),
        ('http_requests_per_second{code="502"}', "count/s"), ("http_502_rate", "count/s"), ("app_rps", "count/s"),
        ("net_kb_per_second", "kB/s"), ("uplink bps", "bits/s"),
        ("network_bytes_per_second", "bytes/s"), ("queue_depth", ""), ("s3_requests", ""), ("", ""),
    ],
)  # fmt: skip
def test_units_come_from_the_series_names(name: str, unit: str) -> None:
    assert unit_of(name, 80.0) == unit


@pytest.mark.parametrize(
    ("name", "unit"), [("cpu", ""), ("CPUUtilization", ""), ("cpu_usage_ratio", ""), ("cpu %", "%")]
)
def test_a_share_from_0_to_1_is_in_percent_only_if_its_name_says_so(name: str, unit: str) -> None:
    rows = "".join(f"2026-01-01 00:{minute:02}:00,{0.2 if minute < 9 else 0.6}\n" for minute in range(20))
    assert only(reading(("a.csv", f"time,{name}\n{rows}"))).unit == unit


def test_a_series_that_stops_knows_until_when_others_were_recorded() -> None:
    text = "time,a,b\n" + "".join(f"{T0 + i:.0f},{i if i < 10 else ''},{i}\n" for i in range(30))
    series = by_name(reading(("m.csv", text)))["a"]
    assert (series.times[-1], series.recorded_until) == (T0 + 9, T0 + 29)


def test_a_gap_is_told_where_a_series_is_the_only_one_or_others_go_on_in_it() -> None:
    def gaps(header: str, row: Callable[[int], str]) -> list[Change]:
        rows = "".join(f"{T0 + 15 * i:.0f},{row(i)}\n" for i in range(200) if not 80 <= i < 120)
        changes = [finish(detect(series))[1] for series in reading(("a.csv", f"time,{header}\n{rows}")).series]
        return [change for each in changes for change in each]

    [gap] = gaps("cpu", lambda i: f"{i * 7 % 13}")
    assert (gap.detail["kind"], gap.start, gap.end) == ("missing", T0 + 79 * 15, T0 + 120 * 15)
    assert gap.returned
    assert gaps("cpu,load", lambda i: f"{i * 7 % 13},{i * 5 % 11}") == []  # the recording itself has a gap


csv_like = st.lists(
    st.lists(
        st.one_of(
            st.sampled_from(["time", "cpu", "", "NaN", '"', "2026-01-01 00:00:00", str(MONDAY), "1e308", "-1", "x"]),
            st.integers(min_value=MONDAY, max_value=MONDAY + 100).map(str),
            st.floats().map(str),
            st.text(max_size=8),
        ),
        max_size=5,
    ).map(",".join),
    max_size=30,
).map("\n".join)


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(), csv_like))
def test_no_text_makes_the_csv_reader_raise(text: str) -> None:
    table = finish(read_csv(Text(text), "f.csv", Notes(), Reached([])))
    for column in table.columns:
        assert len(column.times) == len(column.values)
        assert set(column.times) <= set(table.times)


KEYS = """MetricDataResults Timestamps Values Label data result resultType metric values value Datapoints Timestamp
Average Unit datapoints target name time status error alert StatusCode __name__ points"""
json_like = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.just("2026-01-01 00:00")),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.sampled_from(KEYS.split()), inner, max_size=4)
    ),
    max_leaves=20,
)


def test_a_row_of_a_wrong_clock_is_left_out_and_a_note_counts_it() -> None:
    rows = "".join(f"{T0 + 60 * i:.0f},{i % 7}\n" for i in range(60))
    found = reading(("a.csv", f"time,cpu\n{T0 - 7e8:.0f},5\n{rows}{T0 + 2e9:.0f},5\n"))
    assert list(only(found).times) == [T0 + 60 * i for i in range(60)]
    assert only(found).recorded_until == T0 + 60 * 59
    assert found.notes == ["times far from all others are left out (2): a.csv, …"]


def test_a_series_of_json_without_values_has_one_note() -> None:
    assert reading(data=[{"cpu": [[T0 + i, None] for i in range(30)]}]).notes == ["data part 1 'cpu': no values"]


@settings(max_examples=300, deadline=None)
@given(json_like)
def test_no_document_makes_the_json_reader_raise(document: Any) -> None:
    table = finish(read_document(document, "part", Notes()))
    assert list(table.times) == sorted(set(table.times))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.text(max_size=10), st.one_of(st.text(), csv_like)), max_size=4), json_like, st.text())
def test_no_request_makes_the_reader_raise_and_every_series_is_clean(
    files: list[tuple[str, str]], part: Any, text: str
) -> None:
    for series in reading(*files, data=[part], text=text).series:
        assert list(series.times) == sorted(set(series.times))
        assert len(series.times) == len(series.values) > 0
        assert all(map(math.isfinite, series.values))


@settings(max_examples=100, deadline=None)
@given(st.text())
def test_no_text_makes_json_raise(text: str) -> None:
    assert finish(read_json("{" + text, "f.json", Notes())).columns == []
