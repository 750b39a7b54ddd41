"""Reads JSON log lines, also behind the time, the host or the container's name that a collector puts in front."""

from __future__ import annotations

from typing import Any

import msgspec

from log_analyst.readers.entry import Entry, structured
from log_analyst.readers.fields import fields_of, is_event, message_of
from log_analyst.readers.timestamps import Timestamps

# In characters. An object that begins later in a line is part of its text.
_LONGEST_PREFIX = 160


def json_line(line: str, stamps: Timestamps) -> Entry | None:
    """Parse a JSON object: its time, level and message by the names that loggers use."""
    if not line.startswith("{"):
        return None
    record = _record(line)
    return structured(fields_of(record), stamps) if record is not None else None


def json_behind_prefix(line: str, stamps: Timestamps) -> Entry | None:
    """Parse a JSON object with a message or a time behind a prefix. The prefix has the time if the object has none."""
    if line[-1:] != "}" or line[:1] == "{":
        return None
    at = line.find("{", 0, _LONGEST_PREFIX)
    if at < 0 or (record := _record(line[at:])) is None or not (is_event(record) or _says_level(record)):
        return None
    return structured(fields_of(record), stamps, line[:at])


def _says_level(record: dict[str, Any]) -> bool:
    return message_of(record) is not None and fields_of(record).level is not None


def _record(text: str) -> dict[str, Any] | None:
    try:
        record = msgspec.json.decode(text)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None
