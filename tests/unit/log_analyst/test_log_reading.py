from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from log_analyst.readers.mining import Miner
from log_analyst.readers.reading import LINE_LIMIT, LogReader, example, newest_dated
from log_analyst.readers.sources import Source
from tailrace.inputs.text import Text

REFERENCE = datetime(2024, 3, 6, tzinfo=UTC).timestamp()


def read(text: str) -> tuple[LogReader, list[tuple[str, int]]]:
    reading = LogReader(Source("x", Text(text), "x"), REFERENCE)
    return reading, [(record.entry.text, record.lines) for record in reading]


def test_a_trace_belongs_to_the_error_before_it_and_names_its_exception() -> None:
    _, entries = read(
        "2024-03-05 09:00:00 ERROR request failed\n"
        "Traceback (most recent call last):\n"
        '  File "/srv/app.py", line 3, in f\n'
        "    g()\n"
        "shop.errors.PaymentError: no 17\n"
        "2024-03-05 09:00:01 INFO next\n"
    )
    assert entries == [("ERROR request failed | shop.errors.PaymentError", 5), ("INFO next", 1)]


def test_a_java_trace_is_one_entry_with_its_root_cause() -> None:
    _, entries = read(
        "2024-03-05 09:00:00.123 [main] ERROR c.e.Foo - failed\n"
        "java.lang.IllegalStateException: bad\n"
        "\tat c.e.Foo.bar(Foo.java:12)\n"
        "Caused by: java.net.ConnectException: refused\n"
        "\t... 12 more\n"
        "2024-03-05 09:00:01.000 [main] INFO c.e.Foo - on\n"
    )
    assert [lines for _, lines in entries] == [5, 1]
    assert entries[0][0].endswith("| java.net.ConnectException")


def test_a_trace_after_a_harmless_line_is_its_own_entry_with_that_lines_time() -> None:
    text = (
        "2024-03-05 09:00:00 INFO GET / 200\n"
        "Traceback (most recent call last):\n"
        '  File "x.py", line 1\n'
        "KeyError: 'a'\n"
        "2024-03-05 09:00:02 INFO GET / 200\n"
    )
    records = list(LogReader(Source("x", Text(text), "x"), REFERENCE))
    assert [(r.entry.text, r.lines) for r in records] == [
        ("INFO GET / 200", 1),
        ("Traceback | KeyError", 3),
        ("INFO GET / 200", 1),
    ]
    assert records[1].entry.time == records[0].entry.time


def test_lines_of_a_log_without_times_are_entries_unless_they_are_indented() -> None:
    reading, entries = read("alpha starts\n  with details\nbeta starts\ngamma\n")
    assert entries == [("alpha starts", 2), ("beta starts", 1), ("gamma", 1)]
    assert reading.format == "text without times"


def test_formats_may_be_mixed_in_one_log() -> None:
    reading, entries = read(
        '{"ts":"2024-03-05T09:00:00Z","level":"info","msg":"json"}\n'
        "2024-03-05 09:00:01 WARN plain\n"
        "Mar  5 09:00:02 web app[1]: syslog\n"
        '10.0.0.1 - - [05/Mar/2024:09:00:03 +0000] "GET /a HTTP/1.1" 200 1\n'
    )
    assert [text for text, _ in entries] == ["INFO json", "WARN plain", "app: syslog", "GET /a 200"]
    assert set(reading.formats) == {"JSON lines", "plain text", "syslog", "access log"}


def test_colours_carriage_returns_and_a_byte_order_mark_do_not_matter() -> None:
    _, plain = read("2024-03-05 09:00:00 ERROR boom\n2024-03-05 09:00:01 INFO ok\n")
    _, coloured = read("\x1b[2m2024-03-05 09:00:00\x1b[0m \x1b[31mERROR\x1b[0m boom\r\n2024-03-05 09:00:01 INFO ok\r\n")
    _, old = read("2024-03-05 09:00:00 ERROR boom\r2024-03-05 09:00:01 INFO ok\r")
    assert plain == coloured == old


def test_a_very_long_line_is_cut_and_counted() -> None:
    reading, entries = read("2024-03-05 09:00:00 INFO " + "x" * 1_000_000 + "\n2024-03-05 09:00:01 INFO ok\n")
    assert reading.cut == 1
    assert len(entries[0][0]) < LINE_LIMIT
    assert entries[1] == ("INFO ok", 1)


def test_an_example_is_one_line_short_and_printable() -> None:
    text = "first\n\x1b[31m2024 \x07 boom " + "y" * 900 + "\nlast"
    shown = example(Source("x", Text(text), "x"), 6, len(text) - 5, 50)
    assert shown.startswith("2024   boom y")
    assert len(shown) == 50
    assert shown.isprintable()


def test_only_times_with_a_year_give_a_logs_newest_time() -> None:
    assert newest_dated(Source("x", Text("Mar  5 09:00:00 web a: b\n"), "x")) is None
    assert (
        newest_dated(Source("x", Text("2024-03-05 09:00:00 a\n2024-03-05 08:00:00 b\n"), "x")) == REFERENCE - 15 * 3600
    )


log_like = st.lists(
    st.one_of(
        st.text(max_size=60),
        st.text(max_size=40).map("2024-03-05 09:00:00 INFO {}".format),
        st.text(max_size=40).map("Mar  5 09:00:00 web app[1]: {}".format),
        st.text(max_size=20).map('{{"ts":1709629200,"level":"error","msg":"{}"}}'.format),
        st.text(max_size=20).map('1.2.3.4 - - [05/Mar/2024:09:00:00 +0000] "GET /{} HTTP/1.1" 200 5'.format),
        st.sampled_from(["Traceback (most recent call last):", "  File x", "KeyError: 1", "", "\t", "panic: x"]),
    ),
    max_size=40,
)


@given(log_like, st.sampled_from(["\n", "\r\n", "\r"]))
def test_every_line_is_in_a_record_or_blank_and_every_record_in_a_template(lines: list[str], end: str) -> None:
    text = end.join(lines)
    reading = LogReader(Source("x", Text(text), "x"), REFERENCE)
    miner = Miner()
    records = 0
    in_records = 0
    for record in reading:
        assert 0 <= record.start <= record.end <= len(text)
        miner.add(record.entry, 0, (0, record.start, record.end))
        records += 1
        in_records += record.lines
    assert in_records + reading.blank == reading.lines == Text(text).line_count
    assert sum(template.count for template in miner.templates()) == records


def test_a_time_at_the_end_of_long_lines_is_their_time() -> None:
    text = "".join(
        f"INFO order {n} of a customer with a long name was stored in the second of our warehouses [{when}]\n"
        for n, when in enumerate(f"2024-03-05T09:00:{second:02}Z" for second in range(40))
    )
    reading = LogReader(Source("x", Text(text), "x"), REFERENCE)
    entries = [record.entry for record in reading]
    begin = datetime(2024, 3, 5, 9, tzinfo=UTC).timestamp()
    assert [entry.time for entry in entries] == [begin + second for second in range(40)]
    assert entries[7].text == "INFO order 7 of a customer with a long name was stored in the second of our warehouses"
