"""What a user sends, decoded or refused in a sentence."""

from __future__ import annotations

import base64
import contextlib
import gzip
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.errors import RequestError, RequestTooLarge
from tailrace.inputs import MAX_UNPACKED_BYTES, request_of


def b64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def of(*parts: dict[str, Any]) -> Any:
    return request_of([{"parts": list(parts)}])


def test_text_data_and_files_are_told_apart() -> None:
    request = of(
        {"text": "5xx since 14:03"},
        {"data": {"alert": {}}},
        {"text": "a,b\n", "filename": "m.csv", "mediaType": "text/csv"},
        {"raw": b64(b"line\n"), "filename": "x.log"},
    )
    assert (request.text, request.data) == ("5xx since 14:03", [{"alert": {}}])
    assert [(f.filename, f.media_type, f.text) for f in request.files] == [
        ("m.csv", "text/csv", "a,b\n"),
        ("x.log", "text/plain", "line\n"),
    ]


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0")))
def test_gzip_is_undone(text: str) -> None:
    packed = gzip.compress(text.encode(errors="replace") + b"!")
    file = of({"raw": b64(packed), "filename": "x.log.gz", "mediaType": "application/gzip"}).files[0]
    assert (file.filename, file.media_type) == ("x.log", "text/plain")
    assert file.text.endswith("!")


def test_several_gzip_members_are_one_file() -> None:
    assert of({"raw": b64(gzip.compress(b"a\n") + gzip.compress(b"b\n"))}).files[0].text == "a\nb\n"


@given(st.binary(max_size=200))
def test_any_bytes_are_a_file_or_a_refusal(content: bytes) -> None:
    with contextlib.suppress(RequestError):
        (file,) = of({"raw": b64(content), "filename": "f"}).files
        assert "\0" not in file.text[:8192]


def test_a_byte_order_mark_is_no_content() -> None:
    assert of({"raw": b64(b"\xef\xbb\xbfhi")}).files[0].text == "hi"


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ({"raw": "***", "filename": "x"}, "not base64"),
        ({"raw": b64(b"\x7fELF\0\0"), "filename": "x"}, "binary"),
        ({"raw": b64(gzip.compress(b"abc" * 100)[:-12]), "filename": "x"}, "cut short"),
        ({"raw": b64(b"\x1f\x8b" + b"junk" * 9), "filename": "x"}, "begins like gzip"),
        ({"url": "http://169.254.169.254/", "filename": "x"}, "does not fetch"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(part: dict[str, Any], said: str) -> None:
    with pytest.raises(RequestError, match=said) as refused:
        of(part)
    assert "'x'" in str(refused.value)


def test_a_bomb_of_zeros_stops_at_the_limit() -> None:
    with pytest.raises(RequestTooLarge, match=f"{MAX_UNPACKED_BYTES:,}"):
        of({"raw": b64(gzip.compress(b"0" * (MAX_UNPACKED_BYTES + 1), 1)), "filename": "x"})


def test_ten_thousand_tiny_files_are_taken_and_one_more_is_not() -> None:
    parts = [{"text": "x", "filename": f"{n}"} for n in range(10_000)]
    assert len(of(*parts).files) == 10_000
    with pytest.raises(RequestError, match="10,000"):
        of(*parts, {"text": "x", "filename": "last"})
