"""Text in memory and text on disk say the same, line by line, whatever it is and however it comes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.inputs.request import LINE_LIMIT, File
from tailrace.inputs.spool import Spool
from tailrace.inputs.text import Text

MARK = b"\xef\xbb\xbf"
texts = st.text(st.characters(codec="utf-8"), max_size=40) | st.lists(
    st.sampled_from(["a", "é", "𝄞", "\n", "\r", " ", "\x1f", "\u3000"])
).map("".join)


def pieces(content: bytes, cuts: list[int]) -> Iterator[bytes]:
    places = sorted({0, len(content), *(min(cut, len(content)) for cut in cuts)})
    for start, end in pairwise(places):
        yield content[start:end]


cuts = st.lists(st.integers(0, 60), max_size=6)


@given(texts, cuts, st.booleans())
def test_both_have_the_same_text_and_lines(text: str, cuts: list[int], mark: bool) -> None:
    content = text.removeprefix("\ufeff").encode()
    memory = Text.of(pieces(MARK * mark + content, cuts))
    disk = Spool.of(pieces(MARK * mark + content, cuts))
    assert memory.text == disk.text == content.decode()
    assert b"".join(disk.chunks()) == b"".join(memory.chunks()) == content
    assert memory.blank == disk.blank == (not text.removeprefix("\ufeff").strip())
    assert [(line.text, line.cut) for line in disk.lines(5)] == [(line.text, line.cut) for line in memory.lines(5)]
    assert disk.line_count == memory.line_count == len(list(disk.lines(5)))
    assert disk.size == len(content)


@given(texts, cuts)
def test_what_stands_at_a_line_is_the_line(text: str, cuts: list[int]) -> None:
    for content in (Text(text), Spool.of(pieces(text.encode(), cuts))):
        for line in content.lines(1000):
            assert content.read(line.start, line.end) == line.text
            assert 0 <= line.start <= line.end <= content.size


@given(st.binary(max_size=60), cuts)
def test_any_bytes_are_lines_of_replaced_text(content: bytes, cuts: list[int]) -> None:
    disk = Spool.of(pieces(content, cuts))
    assert disk.text == content.removeprefix(MARK).decode(errors="replace")
    assert [line.text for line in disk.lines(1000)] == [line.text for line in Text(disk.text).lines(1000)]


@pytest.mark.parametrize("letter", ["x", "é", "𝄞"])
def test_a_line_longer_than_asked_for_is_cut_on_disk_as_in_memory(letter: str) -> None:
    text = f"{letter * 700_000}\nshort\n{letter * 300_000}"
    for content in (Text(text), Spool.of([text.encode()])):
        assert [(line.text, line.cut) for line in content.lines(99)] == [
            (letter * 99, True),
            ("short", False),
            (letter * 99, True),
        ]


def test_white_space_is_blank_though_a_chunk_ends_within_a_character() -> None:
    blank = "\u3000" * 100_000
    for text in (blank, f"{blank}x"):
        for content in (Text(text), Spool.of([text.encode()])):
            assert content.blank == (text == blank)


def test_beginning_and_ending_are_near_what_was_asked_for() -> None:
    for content in (Text("abc\ndef"), Spool.of([b"abc\ndef"])):
        assert (content.beginning(3), content.ending(3), content.beginning(99)) == ("abc", "def", "abc\ndef")


def test_the_disk_is_given_back() -> None:
    def open_files() -> int:
        return len(os.listdir("/dev/fd"))

    before = open_files()
    spool = Spool.of([b"x"])
    assert open_files() == before + 1
    del spool
    assert open_files() == before
    spool = Spool.of([b"x"])
    spool.close()
    spool.close()
    assert open_files() == before
    with pytest.raises(OSError, match="descriptor"):
        spool.read(0, 1)
    with pytest.raises(ZeroDivisionError):
        Spool.of(bytes(1 // n) for n in (1, 0))
    assert open_files() == before


def test_a_file_is_read_by_lines_without_their_ends() -> None:
    file = File(filename="f", media_type="text/plain", content=Spool.of([b"one\r\ntwo\n" + b"x" * 2_000_000]))
    one, two, long = file.lines()
    assert (one, two, len(long)) == ("one", "two", LINE_LIMIT)
    assert b"".join(file.chunks()).startswith(b"one\r\n")
