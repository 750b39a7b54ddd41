from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from log_analyst.readers.sources import sources
from tailrace.inputs.request import File, Request
from tests.unit.log_analyst.log_fixtures import T0, app_line, asked, file, steady, text_of

METRICS = "time,cpu,memory\n" + "".join(f"2024-03-05T09:{m:02d}:00Z,{m / 7:.2f},{m * 3}\n" for m in range(30))
LOG = text_of(steady(app_line, end=T0 + 60))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "empty"),
        (" \n\r\n\t", "empty"),
        ("\ufeff", "empty"),
        ("\x00\x01\x02\x7fELF" * 400, "binary"),
        ("\ufffd" * 900, "binary"),
        (METRICS, "table of numbers"),
        ('{"MetricDataResults": [{"Id": "m1", "Values": [1, 2]}]}', "metrics"),
        ('{"status":"success","data":{"resultType": "matrix","result":[]}}', "metrics"),
    ],
)
def test_a_file_that_is_no_log_is_left_out_and_a_note_says_so(text: str, complaint: str) -> None:
    found = sources(asked(file(text, "odd"), file(LOG, "app.log")))
    assert [log.name for log in found.logs] == ["app.log"]
    [note] = found.notes
    assert "odd" in note
    assert complaint in note


def test_many_files_that_are_no_logs_give_one_note() -> None:
    found = sources(asked(*(file("", f"empty-{n}") for n in range(10_000))))
    assert found.logs == []
    assert found.notes == ["Skipped empty-0, empty-1, empty-2, empty-3, empty-4 and 9,995 more: empty."]


@pytest.mark.parametrize(
    "line",
    [
        "2024-03-05 09:00:00,123 INFO a, b",
        '[GIN] 2024/03/05 - 09:00:00 | 200 |     1.2ms |  192.168.100.200 | GET      "/x"',
        "2024-03-05T09:00:00Z the queue is full; 12 ms",
        "2024-03-05T09:00:00Z took 1,5 s",
    ],
)
def test_a_log_with_commas_is_no_table(line: str) -> None:
    assert len(sources(asked(file(f"{line}\n" * 20, "a.csv"))).logs) == 1


@pytest.mark.parametrize("time", ["2024-03-05 09:00", "05-03-2024 9:00 a.m.", "05.03.2024  9:00"])
def test_a_table_of_numbers_may_have_units_that_are_not_known(time: str) -> None:
    found = sources(asked(file("time,voltage\n" + f"{time},229.8 V\n" * 20, "a.csv"), file(LOG, "app.log")))
    assert [log.name for log in found.logs] == ["app.log"]


@pytest.mark.parametrize("wrap", [lambda e: e, lambda e: {"events": e}, lambda e: {"logEvents": e}])
def test_a_json_document_of_events_is_json_lines(wrap) -> None:  # type: ignore[no-untyped-def]
    events = [{"timestamp": 1709629200000 + n, "message": f"INFO tick {n}"} for n in range(5)]
    [log] = sources(asked(file(json.dumps(wrap(events), indent=1), "events.json"))).logs
    assert [json.loads(line) for line in log.content.text.split("\n")] == events


@pytest.mark.parametrize(
    "name", ["app.log", "app.log.1", "app.log.2.gz", "app-20240305.log", "app.log-2024-03-05", "APP.LOG", "var/app.log"]
)
def test_the_rotated_parts_of_a_log_are_one_stream(name: str) -> None:
    [log] = sources(asked(file(LOG, name))).logs
    assert log.stream == "app"


def test_files_of_one_name_in_two_folders_are_two_streams() -> None:
    names = ["web1/access.log", "web1/access.log.1", "web2/access.log"]
    streams = [log.stream for log in sources(asked(*(file(LOG, name) for name in names))).logs]
    assert streams == ["web1/access", "web1/access", "web2/access"]


def test_pasted_lines_are_a_log_and_the_words_before_them_are_not() -> None:
    found = sources(Request(text=f"The shop is slow since nine, see:\n\n{LOG}", data=[], files=[]))
    assert found.remark == "The shop is slow since nine, see:"
    assert found.logs[0].content.text == LOG


def test_a_pasted_trace_between_lines_is_still_a_log() -> None:
    text = "2024-03-05 09:00:00 INFO a\n2024-03-05 09:00:00 ERROR b\nTraceback:\n" + "  at x\n" * 9
    assert len(sources(Request(text=text + "2024-03-05 09:00:01 INFO c", data=[], files=[])).logs) == 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Why is the shop slow?",
        "5xx rate high\nstart: 2024-03-05T09:00:00Z\nend: 2024-03-05T10:00:00Z\n",
        "It began at 2024-03-05T09:00Z and\nended at 2024-03-05T10:00Z\nor so, at 2024-03-05T10:05Z it was fine",
        "2024-03-05T09:00:00Z\n2024-03-05T10:00:00Z\n2024-03-05T11:00:00Z",
        "\n".join(["a sentence"] * 20) + "\n2024-03-05 09:00:00 INFO one\n" + "\n".join(["more words"] * 20),
    ],
)
def test_sentences_are_no_log(text: str) -> None:
    assert sources(Request(text=text, data=[], files=[])).logs == []


def test_with_a_file_the_text_is_not_searched_for_log_lines() -> None:
    found = sources(Request(text=LOG, data=[], files=[file(LOG)]))
    assert len(found.logs) == 1
    assert found.remark == LOG


@given(st.text(max_size=400), st.text(max_size=300))
def test_no_content_is_an_error(content: str, text: str) -> None:
    sources(Request(text=text, data=[], files=[File(filename="", media_type="", text=content)]))
