"""Reads lines that name their fields: JSON, logfmt (https://brandur.org/logfmt) and W3C's extended log format.

JSON and logfmt may stand behind the time, the host or the container's name that a collector puts in front.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from log_analyst.readers import levels
from log_analyst.readers.entry import Entry, structured
from log_analyst.readers.fields import fields_of, is_event, message_of
from triage.timestamps import Timestamps

# In characters. What begins later in a line is part of its text; pairs of logfmt beyond the longest are not read.
_LONGEST_PREFIX, _LONGEST = 160, 8_192
_KEY = r"[A-Za-z_@][\w.@-]{0,60}"
_FIRST = re.compile(rf"(?:^|(?<=\s)){_KEY}=(?=\S)")
_PAIR = re.compile(rf"({_KEY})=(?:\"((?:[^\"\\]|\\.)*)\"|(\S*))(?:\s+|$)")
_ESCAPED = re.compile(r"\\(.)")
_FIELDS = "#Fields:"
# Fields of W3C's that differ in each line and say nothing about a fault.
_VARIABLE = frozenset(["date", "time", "c-ip", "s-ip", "c-port", "s-port", "time-taken", "x-edge-request-id"])


def json_line(line: str, stamps: Timestamps) -> Entry | None:
    """Parse a JSON object; behind a prefix only one with a time, or with a message and a level."""
    at = line.find("{", 0, _LONGEST_PREFIX)
    if at < 0 or line[-1:] != "}":
        return None
    try:
        record = msgspec.json.decode(line[at:])
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict):
        return None
    fields = fields_of(record)
    if at and not is_event(record) and (message_of(record) is None or fields.level is None):
        return None
    return structured(fields, stamps, line[:at])


def logfmt(line: str, stamps: Timestamps) -> Entry | None:
    """Parse pairs of keys and values with a level, or with a message and a time."""
    if "level=" not in line and "msg=" not in line and "lvl=" not in line:
        return None
    first = _FIRST.search(line, 0, _LONGEST_PREFIX)
    if first is None:
        return None
    record: dict[str, str] = {}
    at, end = first.start(), min(len(line), _LONGEST)
    while at < end and (pair := _PAIR.match(line, at, end)) is not None:
        key, quoted, bare = pair.groups()
        record[key] = bare if quoted is None else _ESCAPED.sub(r"\1", quoted) if "\\" in quoted else quoted
        at = pair.end()
    fields = fields_of(record)
    if levels.level_of(fields.level) == levels.UNKNOWN and (message_of(record) is None or not is_event(record)):
        return None
    return structured(fields, stamps, line[: first.start()])


class W3cLog:
    """A parser of one log of IIS or CloudFront: it keeps the names in its `#Fields:` line.

    Source: https://www.w3.org/TR/WD-logfile
    """

    def __init__(self) -> None:
        self._names: list[str] = []

    def __call__(self, line: str, stamps: Timestamps) -> Entry | None:
        """Parse a line of values. None for lines that begin with `#`, and before the names of the fields are known."""
        if line.startswith(_FIELDS):
            self._names = line[len(_FIELDS) :].split()
        values = line.split("\t") if "\t" in line else line.split(" ")
        if line[:1] == "#" or not self._names or len(values) != len(self._names):
            return None
        record: dict[str, Any] = dict(zip(self._names, values, strict=True))
        text = " ".join(f"{key}={value}" for key, value in record.items() if key not in _VARIABLE and value != "-")
        time = f"{record.get('date', '')} {record.get('time', '')}"
        entry = structured(fields_of({**record, "time": time.strip()})._replace(text=text, level=None), stamps)
        return entry if entry.time is not None else None
