"""Reads JSON documents that hold events under some name: CloudTrail, Elasticsearch, Logs Insights, `kubectl`.

An array of objects with times is an array of events. So is an array of rows, each an array of fields with a name and a
value. If there are several, all count. Without any, the longest array of objects counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any

import msgspec

from log_analyst.readers.fields import is_event

_DEEPEST = 6
_NAMES = (("field", "value"), ("name", "value"), ("key", "value"), ("Name", "Value"))

# Events are kept encoded: decoded they would take ten times the memory.
_Events = list[msgspec.Raw]


def json_lines_of(text: str) -> Iterator[bytes] | None:
    """Return the events in a JSON document as JSON lines; None if it has none.

    Raises:
        ValueError, RecursionError: it is no JSON, or too deep.
    """
    timed: list[_Events] = []
    others: list[_Events] = []
    _collect(msgspec.Raw(text.encode(errors="replace")), 0, timed, others)
    if timed:
        return _lines(chain.from_iterable(timed))
    return _lines(max(others, key=len)) if others else None


def _collect(value: msgspec.Raw, depth: int, timed: list[_Events], others: list[_Events]) -> None:
    """Add the arrays of objects in a value to `timed`, if the first of each is an event, or else to `others`."""
    if depth > _DEEPEST:
        return
    if _begins(value, b"{"):
        for each in msgspec.json.decode(value, type=dict[str, msgspec.Raw]).values():
            if _begins(each, b"{") or _begins(each, b"["):
                _collect(each, depth + 1, timed, others)
        return
    items = msgspec.json.decode(value, type=list[msgspec.Raw])
    if not items or not (all(_begins(item, b"{") for item in items) or all(_begins(item, b"[") for item in items)):
        return
    record = _record(items[0])
    if record is not None and (is_event(record) or any(isinstance(v, dict) and is_event(v) for v in record.values())):
        timed.append(items)
        return
    found = len(timed)
    for item in items:
        _collect(item, depth + 1, timed, others)
    if len(timed) == found and record is not None:
        others.append(items)


def _lines(events: Iterator[msgspec.Raw] | _Events) -> Iterator[bytes]:
    line_end = b""
    for event in events:
        if (record := _record(event)) is not None:
            yield line_end + msgspec.json.encode(record)
            line_end = b"\n"


def _record(event: msgspec.Raw) -> dict[str, Any] | None:
    """Return an event as an object: decoded, or made of the names and values of its fields; None if it is neither."""
    decoded = msgspec.json.decode(event)
    if isinstance(decoded, dict):
        return decoded
    if not isinstance(decoded, list) or not decoded or not all(isinstance(field, dict) for field in decoded):
        return None
    for name, value in _NAMES:
        if all(name in field and value in field for field in decoded):
            return {str(field[name]): field[value] for field in decoded}
    return None


def _begins(value: msgspec.Raw, mark: bytes) -> bool:
    return bytes(memoryview(value)[:1]) == mark
