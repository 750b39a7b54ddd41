"""Text by other names is text: what browsers, tools and stores call a file does not decide whether it can be read."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.classify import topic_of
from tailrace.errors import RequestError
from tailrace.inputs.decode import check, request_of
from tailrace.inputs.media_types import covers, media_type_of
from tailrace.inputs.request import File
from tests.support.events import message_of

CSV = "time,errors\n2026-01-01T10:00:00Z,5\n"
# How an Excel file of before 2007 begins (MS-CFB, section 2.2): its signature and a class id of zeros.
XLS = bytes.fromhex("d0cf11e0a1b11ae1") + bytes(16) + b"\x3e\x00\x03\x00\xfe\xff\x09\x00" + bytes(480)


def part(content: bytes, media_type: str | None, name: str = "export.xls") -> dict[str, Any]:
    return {"raw": base64.b64encode(content).decode(), "filename": name, "mediaType": media_type}


def file(*args: Any) -> File:
    return request_of([message_of(part(*args))]).files[0]


@pytest.mark.parametrize(
    ("given_type", "known_as"),
    [
        ("application/vnd.ms-excel", "text/csv"),
        ("application/csv", "text/csv"),
        ("Text/CSV; charset=utf-8; header=present", "text/csv"),
        ("application/x-log", "text/plain"),
        ("application/x-troff-man", "text/plain"),
        ("application/jsonl", "application/x-ndjson"),
        ("application/problem+json", "application/json"),
        ("application/yaml", "text/yaml"),
        ("application/x-gzip", "application/gzip"),
        ("binary/octet-stream", "application/octet-stream"),
        ("image/svg+xml", "image/svg+xml"),
        ("text/x-log", "text/x-log"),
    ],
)
def test_a_type_has_one_name(given_type: str, known_as: str) -> None:
    assert media_type_of(given_type) == known_as
    assert file(CSV.encode(), given_type).media_type == known_as


@pytest.mark.parametrize("nothing", [None, "", " ", ";"])
def test_a_file_without_a_type_is_plain_text(nothing: str | None) -> None:
    assert media_type_of(nothing) == ""
    assert file(CSV.encode(), nothing).media_type == "text/plain"


@given(st.text(max_size=30) | st.from_regex(r"(application|text|image)/[a-z.+-]{0,12}", fullmatch=True))
def test_the_one_name_of_a_name_is_itself_whatever_case_and_parameters_it_came_with(given_type: str) -> None:
    name = media_type_of(given_type)
    assert media_type_of(name) == media_type_of(f"{name}; charset=utf-8") == name
    if given_type.isascii():
        assert media_type_of(given_type.upper()) == name


@pytest.mark.parametrize(
    ("modes", "given_type", "taken"),
    [
        (("text/csv",), "application/vnd.ms-excel", True),
        (("application/vnd.ms-excel",), "application/vnd.ms-excel", True),
        (("application/x-log",), "text/plain; charset=utf-8", True),
        (("text/*",), "application/xml", True),
        (("application/*",), "application/csv", True),
        (("*/*",), "image/png", True),
        (("text/plain",), "application/json", False),
        (("text/plain",), "text/csv", False),
        (("text/*", "application/json"), "application/pdf", False),
        (("text/*",), "image/svg+xml", False),
    ],
)
def test_a_mode_covers_a_type_by_any_of_its_names(modes: tuple[str, ...], given_type: str, taken: bool) -> None:
    assert covers(modes, given_type) is taken


@pytest.mark.parametrize("media_type", ["application/vnd.ms-excel", "application/csv", "text/csv; charset=utf-8"])
def test_a_csv_that_windows_calls_excel_is_metrics(media_type: str) -> None:
    assert topic_of(file(CSV.encode(), media_type, "errors")) == "metrics"


@pytest.mark.parametrize(
    ("media_type", "remedy"),
    [
        ("application/vnd.ms-excel", "text/csv must be text, plain or gzipped"),
        ("text/csv", "text/csv must be text, plain or gzipped"),
        (None, "give its mediaType"),
    ],
)
def test_a_workbook_is_refused_as_binary_whatever_it_is_called(media_type: str | None, remedy: str) -> None:
    for read in (request_of, lambda messages: check(messages, "alice")):
        with pytest.raises(RequestError, match=rf"^The file 'export.xls' is binary; {remedy}\.$"):
            read([message_of(part(XLS, media_type))])
