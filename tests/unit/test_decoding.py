"""JSON from outside: what is taken can be read again wherever it goes, and what is refused is refused in words."""

from __future__ import annotations

import gc
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.decoding import FRAME_DEPTH, MAX_DEPTH, check_depth, decode_json, too_deep
from tailrace.errors import JsonError, TooDeep

DEEPEST = MAX_DEPTH + FRAME_DEPTH

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text('[]{}\\"a\n', max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('[{"\\', max_size=3), inner, max_size=3),
    max_leaves=40,
)


def nested(levels: int, within: Any = "x") -> Any:
    value = within
    for _ in range(levels):
        value = [value]
    return value


def depth_of(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth_of, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(depth_of, value), default=0)
    return 0


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}"), (b'[{"]":', b"}]")])
def test_a_body_is_read_up_to_the_limit_and_refused_beyond(opening: bytes, closing: bytes) -> None:
    levels = opening.count(b"[") + opening.count(b"{")
    deepest = DEEPEST // levels
    assert decode_json(opening * deepest + b"1" + closing * deepest)
    with pytest.raises(TooDeep, match="nested deeper than 80 levels; a value of `data` or `metadata` may have 64"):
        decode_json(opening * (deepest + 1) + b"1" + closing * (deepest + 1))


@pytest.mark.parametrize("levels", [DEEPEST + 1, 300, 960, 5_000, 1_000_000])
def test_a_body_that_pythons_own_stack_could_not_hold_is_refused_like_any_other(levels: int) -> None:
    with pytest.raises(TooDeep, match="The body is nested deeper than 80 levels"):
        decode_json(b"[" * levels + b"]" * levels)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"nul",
        b"\xff",
        b'"\xed\xa0\x80"',
        b"NaN",
        b"-Infinity",
        b"1e999",
        b"1" * 5_000,
        b'"\\ud800"',
        b"{} {}",
    ],
)
def test_what_is_not_json_is_told_so(body: bytes) -> None:
    with pytest.raises(JsonError, match=r"^The answer is not JSON: .+\.$") as refused:
        decode_json(body, "The answer")
    assert not isinstance(refused.value, TooDeep)


def test_what_opens_and_never_closes_is_not_json_however_deep() -> None:
    with pytest.raises(JsonError, match="is not JSON: not every array and object in it is closed"):
        decode_json(b"[" * 9_000)


@pytest.mark.parametrize("body", [rb'{"a": "\ud83d"}', rb'["\\\uDBFF", "b"]'])
def test_half_of_a_surrogate_pair_is_named(body: bytes) -> None:
    with pytest.raises(JsonError, match=r"^The body is not JSON: \\u(d83d|DBFF) is half of a surrogate pair\.$"):
        decode_json(body)


def test_json_that_ends_early_is_told_so() -> None:
    with pytest.raises(JsonError, match=r"^The body is not JSON: Input data was truncated\.$"):
        decode_json(rb'{"a": "\\ud83d')


def test_a_text_with_a_lone_surrogate_is_not_json() -> None:
    with pytest.raises(JsonError, match="is not JSON"):
        decode_json('"\ud800"')


@given(value=values, around=st.integers(0, 90))
def test_exactly_what_is_nested_too_deep_is_refused(value: Any, around: int) -> None:
    body = json.dumps(nested(around, value), ensure_ascii=False).encode()
    padding = json.dumps(["[[[{{{"] + [[]] * 100).encode()  # so many brackets that their depth has to be looked at
    whole = b"[" + body + b"," + padding + b"]"
    if depth_of(nested(around, value)) + 1 <= DEEPEST:
        assert decode_json(whole) == json.loads(whole)
    else:
        with pytest.raises(TooDeep):
            decode_json(whole)
    assert too_deep(nested(around, value)) == (depth_of(nested(around, value)) > MAX_DEPTH)


@given(body=st.binary(max_size=40) | st.text('[]{}:,"\\u0d8 1', max_size=40).map(str.encode))
def test_whatever_comes_is_read_or_refused(body: bytes) -> None:
    try:
        value = decode_json(body)
    except JsonError:
        return
    assert msgspec.json.decode(msgspec.json.encode(value)) == value


def test_what_an_author_made_of_one_object_many_times_is_looked_through_at_once() -> None:
    doubled: Any = []
    for _ in range(MAX_DEPTH - 1):
        doubled = [doubled, doubled]  # 2^63 leaves
    check_depth(doubled, "result()'s data")
    with pytest.raises(TooDeep, match=r"^result\(\)'s data is nested deeper than 64 levels"):
        check_depth([doubled], "result()'s data")


def test_what_holds_itself_is_too_deep() -> None:
    endless: list[Any] = []
    endless.append(endless)
    assert too_deep(endless)
    endless.clear()
    gc.collect()
