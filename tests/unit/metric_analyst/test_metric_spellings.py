"""Numbers and times as people and their tools write them."""

from __future__ import annotations

import pytest

from metric_analyst.readers.reader import RequestMetrics
from tailrace.inputs.request import Request
from tests.unit.metric_analyst.reading import T0, by_name, only, reading
from triage.alert import alert_of

ROWS = 30


def column(cells: list[str], header: str = "time;x", first: str = "") -> RequestMetrics:
    rows = "".join(f"2026-01-01 00:{i:02d};{cell}\n" for i, cell in enumerate(cells))
    return reading(("a.csv", f"{first}{header}\n{rows}"))


@pytest.mark.parametrize(
    ("cell", "value", "unit"),
    [
        ("1.400,12", 1400.12, ""),
        ("1,400.1", 1400.1, ""),
        ("-1,234,567.5", -1_234_567.5, ""),
        ("1\u202f400,5", 1400.5, ""),
        ("1'400.25", 1400.25, ""),
        ("3,14", 3.14, ""),
        ("1.5 KiB", 1536, "bytes"),
        ("2 MB/s", 2e6, "bytes/s"),
        ("206 ms", 206, "ms"),
        ("8.30 s", 8300, "ms"),
        ("250 µs", 0.25, "ms"),
        ("12.5 req/s", 12.5, "count/s"),
        ("1.2 K", 1200, ""),
        ("45%", 45, "%"),
        ("1,5 ms", 1.5, "ms"),
    ],
)
def test_a_number_is_read_with_its_separators_and_its_unit(cell: str, value: float, unit: str) -> None:
    comma = cell in ("1.400,12", "1\u202f400,5", "3,14", "1,5 ms")
    series = only(column([cell, *["2,5" if comma else "2.5"] * ROWS]))
    assert series.values[0] == pytest.approx(value)
    assert series.unit == unit


def test_thousands_with_periods_are_told_from_decimals_by_the_rest_of_the_file() -> None:
    assert only(column(["1.331", *["998,5"] * ROWS])).values[0] == 1331
    assert only(column(["1.331", *["998.5"] * ROWS])).values[0] == 1.331
    text = "time,cores,x\n" + "".join(f'2026-01-01 00:{i:02d}:00,"0,1",0.331\n' for i in range(ROWS))
    assert set(by_name(reading(("a.csv", text)))["x"].values) == {0.331}


def test_bytes_and_milliseconds_do_not_share_a_series() -> None:
    found = column([*["5 ms"] * ROWS, "7 KiB"])
    assert set(only(found).values) == {5}
    assert "no number" in found.notes[0]


def test_the_whole_file_tells_whether_the_day_comes_first() -> None:
    def file(*dates: str) -> RequestMetrics:
        return reading(
            ("a.csv", "time,x\n" + "".join(f"{date} 00:00:{i:02d},{i}\n" for date in dates for i in range(9)))
        )

    assert only(file("01/02/2026", "13/02/2026")).times[0] == T0 + 31 * 86_400
    assert only(file("01/02/2026", "02/02/2026")).times[0] == T0 + 31 * 86_400
    assert only(file("01/01/2026", "01/02/2026")).times[-1] == T0 + 86_408
    ambiguous = file("02/01/2026")
    assert only(ambiguous).times[0] == T0 + 31 * 86_400
    assert "month first" in ambiguous.notes[0]


def test_a_header_that_is_a_comment_names_the_columns() -> None:
    text = "# hostname;interval;timestamp;%user\n"
    text += "".join(f"shop;300;2026-01-01 00:{i:02d}:00 UTC;{i % 7}\n" for i in range(ROWS))
    assert "%user" in by_name(reading(("sa.csv", text)))


@pytest.mark.parametrize("inside", ["\u2028", "\u0085", "\f", "\x1c"])
def test_only_line_feeds_end_a_json_line(inside: str) -> None:
    text = "".join(f'{{"time": {T0 + i}, "cpu": {i}, "note": "a{inside}b"}}\n' for i in range(ROWS))
    assert len(only(reading(("a.jsonl", text))).values) == ROWS


def test_a_column_that_is_not_read_is_named_with_an_example() -> None:
    text = "time,x,build\n" + "".join(f"2026-01-01 00:{i:02d}:00,{i},v{i}-rc\n" for i in range(ROWS))
    [note] = reading(("a.csv", text)).notes
    assert "'build' (like 'v0-rc')" in note


def test_a_bare_alert_is_an_alert_and_no_metrics() -> None:
    alert = {"title": "CPU", "start": "2026-01-01T00:00:00Z"}
    found = alert_of(Request(text="why?", data=[alert], files=[]))
    assert (found.title, found.start, found.end) == ("CPU", T0, None)
    assert reading(data=[alert]).notes == []
    assert alert_of(Request(text="why?", data=[{"start": 1, "points": []}], files=[])).start is None
