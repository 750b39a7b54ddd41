"""JSON that comes from outside: one decoder for every door, and one limit on how deep it may be nested.

Whatever is admitted has to be readable wherever it is read again: from the log, by a viewer, by another agent
that it is forwarded to. Python decodes JSON by recursion and gives up at about a thousand levels, sooner if it is
called from deep inside; and each place wraps what it passes on into a few levels of its own. So there are two limits:
a value that A2A leaves open (`data`, `metadata`) has at most `MAX_DEPTH` levels, and all the rest of a body
adds at most `FRAME_DEPTH` to that.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from tailrace.errors import JsonError, TooDeep

# How many arrays and objects may be nested in one value of `data` or `metadata`, the value itself counted.
MAX_DEPTH = 64
# What may be around such a value. The deepest frame of A2A is that of ListTasks, with 8 levels.
FRAME_DEPTH = 16
# What msgspec raises for bytes that are not JSON: by their grammar, by their UTF-8, by their depth.
NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_TO_SQUARE = bytes.maketrans(b"{}", b"[]")
_NO_BRACKET = bytes(set(range(256)) - set(b"[]{}"))


def decode_json(body: bytes | str, what: str = "The body") -> Any:
    """The value in `body`, which came from outside. Takes time in proportion to the body's length.

    `what` begins the error's sentence.

    Raises:
        TooDeep: it is nested deeper than `MAX_DEPTH + FRAME_DEPTH`.
        JsonError: it is not JSON, by its grammar or its UTF-8, or a number in it is out of range.
    """
    encoded = body.encode(errors="surrogatepass") if isinstance(body, str) else body
    try:
        value = msgspec.json.decode(encoded)
    except RecursionError:
        brackets = _brackets(encoded)
        if 2 * brackets.count(b"[") != len(brackets):
            raise JsonError(f"{what} is not JSON: not every array and object in it is closed.") from None
        raise _too_deep(what) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise JsonError(f"{what} is not JSON: {error}.") from None
    if nested_too_deep(encoded):
        raise _too_deep(what)
    return value


def nested_too_deep(body: bytes) -> bool:
    """Whether JSON has more levels than `MAX_DEPTH + FRAME_DEPTH`. Takes time in proportion to the body's length."""
    limit = MAX_DEPTH + FRAME_DEPTH
    return body.count(b"[") + body.count(b"{") > limit and _deeper(body, limit)


def too_deep(value: Any) -> bool:
    """Whether dicts, lists and tuples are nested deeper in `value` than `MAX_DEPTH`.

    An object that is met again at the same level is not looked into again, so this ends soon whatever an author's
    own objects hold.
    """
    level = [value] if isinstance(value, dict | list | tuple) else []
    for _ in range(MAX_DEPTH):
        if not level:
            return False
        inner = {id(each): each for holder in level for each in _held(holder) if isinstance(each, dict | list | tuple)}
        level = list(inner.values())
    return bool(level)


def check_depth(value: Any, what: str) -> None:
    """Refuse a value that is `too_deep`. `what` begins the error's sentence.

    Raises:
        TooDeep: it is.
    """
    if too_deep(value):
        raise TooDeep(f"{what} is nested deeper than {MAX_DEPTH} levels; make it flatter, or a file.")


def _held(holder: Any) -> Any:
    return holder.values() if isinstance(holder, dict) else holder


def _deeper(body: bytes, limit: int) -> bool:
    """Whether valid JSON is nested deeper than `limit`: whether brackets are left when so many layers are peeled."""
    brackets = _brackets(body)
    for _ in range(limit):
        if not brackets:
            return False
        # Not one pair at a time: in `[[][]]` the inner two go together, and then the outer one.
        brackets = brackets.replace(b"[]", b"")
    return bool(brackets)


def _brackets(body: bytes) -> bytes:
    """What opens and closes arrays and objects, all of it written as square brackets."""
    return _STRING.sub(b"", body).translate(_TO_SQUARE, _NO_BRACKET)


def _too_deep(what: str) -> TooDeep:
    return TooDeep(
        f"{what} is nested deeper than {MAX_DEPTH + FRAME_DEPTH} levels; "
        f"a value of `data` or `metadata` may have {MAX_DEPTH}."
    )
