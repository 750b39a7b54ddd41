"""Reads logfmt: `ts=… level=info msg="order stored"`, also behind a prefix (https://brandur.org/logfmt)."""

from __future__ import annotations

import re

from log_analyst.readers import levels
from log_analyst.readers.entry import Entry, structured
from log_analyst.readers.fields import fields_of, is_event, message_of
from log_analyst.readers.timestamps import Timestamps

# In characters. A pair that begins later in a line is part of its text; pairs beyond the longest are not read.
_LONGEST_PREFIX, _LONGEST = 96, 8_192
_KEY = r"[A-Za-z_@][\w.@-]{0,60}"
_FIRST = re.compile(rf"(?:^|(?<=\s)){_KEY}=(?=\S)")
_PAIR = re.compile(rf"({_KEY})=(?:\"((?:[^\"\\]|\\.)*)\"|(\S*))(?:\s+|$)")
_ESCAPED = re.compile(r"\\(.)")


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
