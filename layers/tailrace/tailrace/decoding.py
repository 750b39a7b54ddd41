"""Decoding JSON from outside, with a limit on how deep it may be nested.

JSON that is accepted here must be readable everywhere: from the log, by a viewer, by another agent that it is forwarded
to. Python decodes JSON by recursion and fails at about a thousand levels, or fewer if the call stack is deep already,
and each place wraps the value into a few more levels. So there are two limits: a value whose shape A2A leaves open
(`data`, `metadata`) has at most `MAX_DEPTH` levels, and the rest of a body adds at most `FRAME_DEPTH`.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from tailrace.errors import JsonError, TooDeep

# Maximum levels of arrays and objects in a value of `data` or `metadata`, including the value itself.
MAX_DEPTH = 64
# Maximum levels around such a value. The deepest message of A2A, ListTasks, has 8.
FRAME_DEPTH = 16
_MIN_INT, _MAX_INT = -(2**63), 2**64 - 1
# What msgspec raises for bytes that are not JSON: by their grammar, by their UTF-8, by their depth.
NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

# Half of a surrogate pair at a text's end: msgspec says of it that the input was truncated.
_HALF_PAIR_AT_END = re.compile(rb'(?<!\\)(?:\\\\)*(\\u[dD][89abAB][0-9a-fA-F]{2})"')
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_TO_SQUARE = bytes.maketrans(b"{}", b"[]")
_NO_BRACKET = bytes(set(range(256)) - set(b"[]{}"))


def decode_json(body: bytes | str, what: str = "The body") -> Any:
    """Decode JSON from outside, in time proportional to its length.

    `what` is the beginning of the error's sentence.

    Raises:
        TooDeep: the value is nested deeper than `MAX_DEPTH + FRAME_DEPTH`.
        JsonError: `body` is not JSON, is not UTF-8, or contains a number that is out of range.
    """
    encoded = body.encode(errors="surrogatepass") if isinstance(body, str) else body
    try:
        value = msgspec.json.decode(encoded)
    except RecursionError:
        brackets = _brackets(encoded)
        if 2 * brackets.count(b"[") != len(brackets):
            raise JsonError(f"{what} is not JSON: not every array and object in it is closed.") from None
        raise _too_deep_error(what) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        half = _HALF_PAIR_AT_END.search(encoded)
        problem = f"{half[1].decode()} is half of a surrogate pair" if half else error
        raise JsonError(f"{what} is not JSON: {problem}.") from None
    if nested_too_deep(encoded):
        raise _too_deep_error(what)
    return value


def nested_too_deep(body: bytes) -> bool:
    """Whether JSON has more levels than `MAX_DEPTH + FRAME_DEPTH`. Takes time in proportion to the body's length."""
    limit = MAX_DEPTH + FRAME_DEPTH
    return body.count(b"[") + body.count(b"{") > limit and _deeper(body, limit)


def too_deep(value: Any) -> bool:
    """Whether dicts, lists and tuples are nested deeper than `MAX_DEPTH` in `value`.

    An object that occurs several times on a level is visited once, so this is fast even if objects refer to each other.
    """
    level = [value] if isinstance(value, dict | list | tuple) else []
    for _ in range(MAX_DEPTH):
        if not level:
            return False
        members = (each for container in level for each in _members(container))
        inner = {id(each): each for each in members if isinstance(each, dict | list | tuple)}
        level = list(inner.values())
    return bool(level)


def check_depth(value: Any, what: str) -> None:
    """Refuse a value that is `too_deep`. `what` is the beginning of the error's sentence.

    Raises:
        TooDeep: the value is nested deeper than `MAX_DEPTH`.
    """
    if too_deep(value):
        raise TooDeep(f"{what} is nested deeper than {MAX_DEPTH} levels; make it flatter, or a file.")


def has_huge_int(value: Any) -> bool:
    """Whether an integer in `value`, of JSON's types, needs more than 64 bits. No checkpoint can hold it."""
    left = [value]
    while left:
        each = left.pop()
        if isinstance(each, int):
            if not _MIN_INT <= each <= _MAX_INT:
                return True
        elif isinstance(each, dict | list | tuple):
            left.extend(_members(each))
    return False


def _members(container: Any) -> Any:
    return container.values() if isinstance(container, dict) else container


def _deeper(body: bytes, limit: int) -> bool:
    """Whether valid JSON is nested deeper than `limit`. Each step removes the innermost brackets."""
    brackets = _brackets(body)
    for _ in range(limit):
        if not brackets:
            return False
        # All innermost pairs at once: of `[[][]]` first the two inner ones, then the outer one.
        brackets = brackets.replace(b"[]", b"")
    return bool(brackets)


def _brackets(body: bytes) -> bytes:
    """The brackets of arrays and objects, all written as square brackets."""
    return _STRING.sub(b"", body).translate(_TO_SQUARE, _NO_BRACKET)


def _too_deep_error(what: str) -> TooDeep:
    return TooDeep(
        f"{what} is nested deeper than {MAX_DEPTH + FRAME_DEPTH} levels; "
        f"a value of `data` or `metadata` may have {MAX_DEPTH}."
    )
