"""The alert a request is about: what fired, and the window of time it fired in."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import msgspec

from tailrace.inputs.request import Request

# An ISO 8601 moment in running text: a date, a time, and perhaps a zone.
_MOMENT = re.compile(r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?")
_UNITS = (1.0, 1e3, 1e6, 1e9)  # of a number since the epoch, to the second
_LATEST = 253_402_300_800.0  # the year 10000, in seconds since the epoch


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """`start` and `end` are seconds since the epoch, None where the request does not say."""

    title: str
    start: float | None
    end: float | None


def alert_of(request: Request) -> Alert:
    """The alert in a request: its data part `{"alert": {"title", "start", "end"}}`, else its text.

    A time without a zone is taken as UTC. A time that cannot be read counts as not given: an
    analyst without a window still has something to say.
    """
    given: dict[str, Any] = {}
    for part in request.data:
        if isinstance(part, dict) and isinstance(part.get("alert"), dict):
            given = part["alert"]
    lines = [line.strip() for line in request.text.splitlines() if line.strip()]
    moments = _MOMENT.findall(request.text)
    return Alert(
        title=str(given.get("title") or (lines[0] if lines else "")),
        start=_seconds(given.get("start") or (moments[0] if moments else None)),
        end=_seconds(given.get("end") or (moments[1] if len(moments) > 1 else None)),
    )


def _seconds(value: Any) -> float | None:
    try:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            # What no calendar has as seconds is milli-, micro- or nanoseconds.
            number = float(value)
            seconds = next((number / unit for unit in _UNITS if abs(number) / unit < _LATEST), number)
        else:
            moment = datetime.fromisoformat(str(value))
            seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
        datetime.fromtimestamp(seconds, UTC)  # refuses what no calendar has
    except (ValueError, OverflowError, OSError):
        return None
    return seconds
