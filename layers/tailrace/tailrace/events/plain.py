"""Python values as JSON's own types: what authors, tools and graphs give becomes data of an event.

A date becomes a text in ISO 8601, a decimal, a UUID and an IP address a text, bytes base64, a set a list; dataclasses,
pydantic models and numpy's arrays become objects and lists. A value of a subclass, like the text of a message of
LangChain's or a timestamp of pandas, becomes what a value of its base does.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import msgspec

from tailrace.decoding import check_depth
from tailrace.errors import NotJson

# By base, what makes a value of a subclass one of the base. A datetime is a date, so it comes before.
_BASES: tuple[tuple[type, Callable[[Any], Any]], ...] = (
    (str, str.__str__),
    (int, int.__int__),
    (float, float.__float__),
    (bytes, bytes.__bytes__),
    (bytearray, bytes),
    (Decimal, Decimal),
    # pandas' NaT equals nothing, like a float that is no number, which becomes null too.
    (datetime, lambda value: datetime.combine(value.date(), value.timetz()) if value == value else None),
    (date, lambda value: date(value.year, value.month, value.day)),
    (time, lambda value: time(value.hour, value.minute, value.second, value.microsecond, value.tzinfo)),
    (timedelta, lambda value: timedelta(value.days, value.seconds, value.microseconds)),
)
# The modules of types whose values are a text: addresses, time zones.
_AS_TEXT = ("ipaddress", "zoneinfo")


def plain(value: Any, what: str) -> Any:
    """`value` in the types that JSON has. `what` is the beginning of an error's sentence.

    Raises:
        NotJson: a value inside has no form in JSON; the error names its path.
        TooDeep: the value is nested deeper than 64 levels.
    """
    check_depth(value, what)
    try:
        converted = _converted(value)
    except Exception:
        raise NotJson(what, *culprit_in(value, _converted)) from None
    check_depth(converted, what)
    return converted


def as_text(value: Any) -> str:
    """`value`, of JSON's types, as text: a text as it is, anything else as JSON."""
    return value if isinstance(value, str) else msgspec.json.encode(without_surrogates(value)).decode()


def without_surrogates(value: Any) -> Any:
    """`value`, of JSON's types, with a question mark in place of each half of a character that UTF-8 cannot have."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode(errors="replace").decode()
    if isinstance(value, dict):
        return {without_surrogates(key): without_surrogates(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [without_surrogates(each) for each in value]
    return value


def _converted(value: Any) -> Any:
    return msgspec.to_builtins(value, enc_hook=_simpler, str_keys=True)


def _simpler(value: Any) -> Any:
    """A value that msgspec does not know as one that is nearer to JSON.

    Raises:
        TypeError: there is none.
    """
    for method in ("model_dump", "tolist"):  # pydantic's models; numpy's arrays and numbers
        if callable(convert := getattr(value, method, None)) and not isinstance(value, type):
            return convert()
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, BaseException):
        return repr(value)  # as a checkpoint has it
    return str(value) if any(each.__module__ in _AS_TEXT for each in type(value).__mro__) else as_base(value)


def as_base(value: Any) -> Any:
    """A value of a subclass of a text, a number, bytes or a date as one of that base: msgspec refuses subclasses.

    Raises:
        TypeError: it is of none of them.
    """
    for base, convert in _BASES:
        if isinstance(value, base):
            return convert(value)
    raise TypeError(_type_of(value))


def culprit_in(value: Any, convert: Callable[[Any], Any]) -> tuple[str, str]:
    """The path and the type of the innermost value for which `convert` raises."""
    path = ""
    while True:
        try:
            children = list(_children(value))
        except Exception:
            return path, _type_of(value)
        for name, child in children:
            try:
                convert(child)
            except Exception:
                path, value = f"{path}{name}", child
                break
        else:
            key = _odd_key(value)
            return path, _type_of(value) if key is None else f"dict with a key of type {_type_of(key)}"


def _type_of(value: Any) -> str:
    """The name of the value's type, with its module: `float64` alone sounds like a number of Python's."""
    kind = type(value)
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _odd_key(value: Any) -> Any:
    """A key that JSON cannot have; None if there is none."""
    keys = value if isinstance(value, Mapping) else ()
    return next((key for key in keys if not isinstance(key, str | int | float)), None)


def _children(value: Any) -> Iterator[tuple[str, Any]]:
    """The values inside a value, each with its part of the path."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    elif not isinstance(value, dict | list | tuple | set | frozenset):
        value = _simpler(value)
    if isinstance(value, dict):
        yield from ((f".{key}", each) for key, each in value.items())
    elif isinstance(value, list | tuple | set | frozenset):
        yield from ((f"[{place}]", each) for place, each in enumerate(value))
