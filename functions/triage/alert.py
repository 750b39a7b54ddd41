"""The alert a request is about: what fired, and the window of time it fired in."""

from __future__ import annotations

import re

import msgspec

from tailrace.errors import shorten
from tailrace.inputs.request import Request
from triage.timestamps import time_in

# An ISO 8601 time in running text: a date, a time, and perhaps a zone.
_TIME = re.compile(r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?")
# A title is the report's heading and part of a model's prompt. In characters.
_LONGEST_TITLE = 200


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """What fired (`title`, at most 200 characters, "" if unknown) and when.

    `start` and `end` are seconds since the epoch, None where the request does not name them. Without `fired`,
    `start` is only a time in the request's text.
    """

    title: str
    start: float | None
    end: float | None
    fired: bool = True


def alert_of(request: Request) -> Alert:
    """Return the alert of a request.

    It is taken from the last data part `{"alert": {"title", "start", "end"}}` or `{"title", "start", "end"}` alone.
    What that part leaves out is taken from the text: its first line is the title, its first two ISO 8601 times are
    start and end. A time without a zone is UTC; a number is in seconds, milli-, micro- or nanoseconds since the epoch.
    A time that cannot be read or is impossible (before 1970, from 2200 on) counts as missing, because an analyst can
    work without a window. Raises nothing.
    """
    fields: dict[str, object] = {}
    for part in request.data:
        if (found := fields_in(part)) is not None:
            fields = found
    first_line = next((line.strip() for line in request.text.splitlines() if line.strip()), "")
    times = _TIME.findall(request.text)
    return Alert(
        title=shorten(str(fields.get("title") or first_line), _LONGEST_TITLE),
        start=time_in(fields.get("start") or (times[0] if times else None)),
        end=time_in(fields.get("end") or (times[1] if len(times) > 1 else None)),
        fired=bool(fields.get("start")),
    )


def fields_in(part: object) -> dict[str, object] | None:
    """Return the alert in a data part: under `alert`, or the part itself if it has nothing but an alert's keys."""
    if not isinstance(part, dict):
        return None
    named = part.get("alert")
    if isinstance(named, dict):
        return named
    return part if "start" in part and part.keys() <= {"title", "start", "end"} else None
