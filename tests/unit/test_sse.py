"""Frames and the parser of frames, wherever a network cuts them (WHATWG HTML, "Server-sent events")."""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.errors import AgentError
from tailrace.log import Batch
from tailrace.stream.sse import COMMENT, Envelope, Parser, ServerSentEvent, control, retry


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(edges)]


def parse(chunks: list[bytes]) -> list[ServerSentEvent]:
    parser = Parser()
    return [message for chunk in chunks for message in parser.feed(chunk)]


cuts = st.lists(st.integers(0, 10_000), max_size=12)


@given(st.lists(st.binary(max_size=60).filter(lambda b: b"\n" not in b and b"\r" not in b), max_size=8), cuts)
def test_what_is_framed_is_parsed_back_wherever_it_is_cut(events: list[bytes], places: list[int]) -> None:
    envelope = Envelope("task-1")
    sent = retry(2000) + COMMENT + envelope.frames(Batch(5, 1, events)) + control("sync", {"seq": 4 + len(events)})
    *frames, last = parse(cut(sent, places))
    assert [envelope.open(message.data) for message in frames] == events
    assert [message.id for message in frames] == [str(seq) for seq in range(5, 5 + len(events))]
    assert (last.name, last.data) == ("sync", b'{"seq":%d}' % (4 + len(events)))


LINES = [b"data: a", b"data:b", b"data", b"id: 7", b"id", b"event: x", b": note", b"retry: 5", b"odd", b"", b""]


@given(
    st.lists(st.tuples(st.sampled_from(LINES), st.sampled_from([b"\n", b"\r\n", b"\r"])), max_size=20),
    st.sampled_from([b"", b"\xef\xbb\xbf"]),
    cuts,
)
def test_line_ends_and_cuts_make_no_difference(
    lines: list[tuple[bytes, bytes]], mark: bytes, places: list[int]
) -> None:
    plain = b"".join(line + b"\n" for line, _ in lines)
    mixed = b"".join(line + end for line, end in lines)
    assert parse(cut(mark + mixed, places)) == read_by_the_standard(mixed)
    for end in (b"\n", b"\r\n", b"\r"):
        assert parse(cut(mark + plain.replace(b"\n", end), places)) == read_by_the_standard(plain)


def read_by_the_standard(stream: bytes) -> list[ServerSentEvent]:
    """The messages of a stream, line by line as the standard's algorithm goes."""
    messages: list[ServerSentEvent] = []
    last_id, name, data = "", "", list[bytes]()
    # What follows the last end of a line is no line.
    for line in re.split(rb"\r\n|\n|\r", stream)[:-1]:
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if not line:
            if data:
                messages.append(ServerSentEvent(name, b"\n".join(data), last_id))
            name, data = "", []
        elif field == b"data":
            data.append(value)
        elif field == b"id":
            last_id = value.decode()
        elif field == b"event":
            name = value.decode()
    return messages


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_a_message_is_there_with_the_byte_that_ends_it(end: bytes) -> None:
    parser = Parser()
    sent = b"data: a" + end + end
    told = [list(parser.feed(bytes([byte]))) for byte in sent]
    # A CR is an end of a line by itself: the LF that may follow it is not waited for.
    ends = len(sent) - 1 if end != b"\r\n" else len(sent) - 2
    assert [bool(messages) for messages in told].index(True) == ends
    assert list(parser.feed(b"\ndata: b" + end + end)) == [ServerSentEvent("", b"b", "")]


def test_a_message_follows_the_standard() -> None:
    (message,) = parse([b"\xef\xbb\xbf: c\nid: 1\nevent: e\ndata: one\ndata:two\ndata:  three\nretry: 30\n\n"])
    assert message == ServerSentEvent("e", b"one\ntwo\n three", "1")


def test_an_id_lasts_until_the_next_and_a_nul_is_ignored() -> None:
    messages = parse([b"id: 1\ndata: a\n\ndata: b\n\nid: 2\0\ndata: c\n\nid\ndata: d\n\n"])
    assert [message.id for message in messages] == ["1", "1", "1", ""]


def test_an_event_without_data_or_without_its_end_is_none() -> None:
    assert parse([b"id: 1\n\nevent: x\n\ndata: unfinished\n"]) == []


def test_an_endless_event_is_refused() -> None:
    with pytest.raises(AgentError, match="16,000,000"):
        parse([b"x" * 1_000_000] * 17)


def test_the_envelope_opens_only_its_own() -> None:
    assert Envelope("a").open(b'{"jsonrpc":"2.0","id":"b","result":{}}') is None
