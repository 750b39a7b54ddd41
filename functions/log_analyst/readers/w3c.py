"""Reads W3C's extended log format, by its `#Fields:` line: IIS, CloudFront (https://www.w3.org/TR/WD-logfile)."""

from __future__ import annotations

from typing import Any

from log_analyst.readers import levels
from log_analyst.readers.entry import Entry, request_entry
from log_analyst.readers.fields import fields_of
from log_analyst.readers.timestamps import Timestamps

_MARK = "#Fields:"
# Fields that differ in each line and say nothing about a fault.
_VARIABLE = frozenset(["date", "time", "c-ip", "s-ip", "c-port", "s-port", "time-taken", "x-edge-request-id"])


class W3cLog:
    """A parser of one log: it keeps the names of the fields from the line that has them."""

    def __init__(self) -> None:
        self._names: list[str] = []

    def __call__(self, line: str, stamps: Timestamps) -> Entry | None:
        """Parse a line of values. None for lines that begin with `#`, and before the names of the fields are known."""
        if line[:1] == "#":
            if line.startswith(_MARK):
                self._names = line[len(_MARK) :].split()
            return None
        if not self._names:
            return None
        values = line.split("\t") if "\t" in line else line.split(" ")
        if len(values) != len(self._names):
            return None
        record: dict[str, Any] = dict(zip(self._names, values, strict=True))
        time = stamps.value(f"{record['date']} {record.get('time', '')}" if "date" in record else record.get("time"))
        if time is None:
            return None
        fields = fields_of(record)
        if fields.request is not None and fields.status is not None:
            return request_entry(time, fields.request, fields.status, fields.caller)
        text = " ".join(f"{key}={value}" for key, value in record.items() if key not in _VARIABLE and value != "-")
        return Entry(time, levels.UNKNOWN, text)
