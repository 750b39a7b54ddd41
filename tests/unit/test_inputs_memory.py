"""What a request's files take of memory and descriptors while they are read: little, whatever shape they come in."""

from __future__ import annotations

import base64
import gzip
import os
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tailrace.authoring.delegated_parts import as_a2a
from tailrace.errors import RequestError
from tailrace.inputs.decode import check, request_of
from tests.support.events import message_of

EMOJI = "😀".encode()
# A tenth of what the files hold, and a fortieth of what they would take as Python text.
MOST = 6_000_000


def packed(content: bytes, name: str = "x.log.gz") -> dict[str, Any]:
    return {"raw": base64.b64encode(gzip.compress(content)).decode(), "filename": name, "mediaType": "application/gzip"}


SHAPES: dict[str, Callable[[], list[dict[str, Any]]]] = {
    "one file of 60 MB": lambda: [packed(b"x" * 60_000_000 + EMOJI)],
    "60 files of 1 MB": lambda: [packed(b"x" * 1_000_000 + EMOJI)] * 60,
    "9,000 files of 6 KB": lambda: [packed(b"x" * 6_000 + EMOJI)] * 9_000,
    "60 members of 1 MB": lambda: [
        {"raw": base64.b64encode(gzip.compress(b"x" * 1_000_000 + EMOJI) * 60).decode(), "filename": "x.log.gz"}
    ],
}


@contextmanager
def peak_below(most: int) -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < most, f"{peak:,} bytes"


def open_files() -> int:
    return len(os.listdir("/dev/fd"))


@pytest.mark.parametrize("shape", SHAPES)
def test_checking_a_message_keeps_nothing_of_its_files(shape: str) -> None:
    message = message_of(*SHAPES[shape]())
    with peak_below(MOST):
        assert check([message], "alice") == []


@pytest.mark.parametrize("shape", SHAPES)
def test_files_are_on_the_disk_under_one_descriptor_until_the_request_is_closed(shape: str) -> None:
    message = message_of(*SHAPES[shape]())
    before = open_files()
    with peak_below(2 * MOST):
        request = request_of([message])
        assert open_files() == before + 1
        assert len(request.files) == len(message.parts)
        assert all(file.size > 6_000 and not file.content.blank for file in request.files)
    assert request.files[-1].content.ending(4).endswith("😀")
    request.close()
    assert open_files() == before


def test_nothing_is_left_of_a_request_that_is_refused_at_its_last_file() -> None:
    before = open_files()
    with pytest.raises(RequestError, match="not base64") as refused:
        request_of([message_of(packed(b"good\n"), {"raw": "***"})])
    assert open_files() == before, refused


def test_a_file_is_packed_for_a_specialist_without_holding_it() -> None:
    request = request_of([message_of(packed(b"2026-01-01 INFO x\n" * 3_000_000 + EMOJI))])
    with peak_below(MOST):
        (part,), _ = as_a2a(request.parts, None)
    assert gzip.decompress(base64.b64decode(part.raw)).endswith(EMOJI)
