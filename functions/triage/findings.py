"""Findings: what every analyst's `findings` artifact is made of."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import msgspec

from tailrace.errors import RequestError, shorten

# The types our analysts find. Another agent may find things of a type of its own.
FindingType = Literal[
    "level_shift",
    "spike",
    "drift",
    "flat_line",
    "new_template",
    "burst",
    "rare",
    "gone",
]

_Text = Annotated[str, msgspec.Meta(min_length=1)]
_SHOWN_VALUE = 60


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing an analyst found.

    `type` is a `FindingType`, or another agent's own word. `start` and `end` are ISO 8601 in UTC, as `iso()` writes
    them. `magnitude` is in `unit`; `confidence` is between 0 and 1. `evidence` holds what a reader would check:
    plain JSON. Where it counts lines, `count` is the number that `summary` tells.
    """

    type: _Text
    subject: _Text
    start: str
    end: str
    magnitude: Annotated[float, msgspec.Meta(ge=-1e300, le=1e300)]
    unit: str
    confidence: Annotated[float, msgspec.Meta(ge=0, le=1)]
    summary: str
    evidence: dict[str, Any] = {}

    def number(self, key: str) -> float | None:
        """A number of the evidence that can be written down; None where there is none under this key."""
        value = self.evidence.get(key)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        return value if abs(value) < 1e15 else None

    @property
    def example(self) -> str:
        """A line or the like that shows it; empty where the evidence has none."""
        value = self.evidence.get("example")
        return value if isinstance(value, str) else ""


# What would be right for each key of a finding that comes from another agent.
_RIGHT = {
    "type": "a text that is not empty",
    "subject": "a text that is not empty",
    "start": "a time in ISO 8601, like 2026-11-20T10:30:45Z",
    "end": "a time in ISO 8601, not before start",
    "magnitude": "a number",
    "unit": "a text",
    "confidence": "a number from 0 to 1",
    "summary": "a text",
    "evidence": "an object",
}
_PLACE = re.compile(r"`\$\.(\w+)|required field `(\w+)`")


def finding_of(given: Any) -> Finding:
    """A finding that another agent sent, decoded from JSON. Its times become UTC; a time without a zone is UTC.

    Keys that a finding does not have are ignored, and null counts as not given.

    Raises:
        RequestError: it is no finding. The message names the key, its value and what would be right.
    """
    if not isinstance(given, dict):
        raise RequestError(f"it is {_shown(given)}, but must be an object")
    there = {key: value for key, value in given.items() if value is not None}
    try:
        finding = msgspec.convert(there, Finding)
    except msgspec.ValidationError as error:
        place = _PLACE.search(str(error))
        raise _wrong(there, (place[1] or place[2]) if place else "evidence") from None
    start, end = _utc(there, "start"), _utc(there, "end")
    if end < start:
        raise _wrong(there, "end")
    return msgspec.structs.replace(finding, start=_iso(start), end=_iso(end))


def _utc(given: dict[str, Any], key: str) -> datetime:
    try:
        moment = datetime.fromisoformat(given[key])
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise _wrong(given, key) from None


def _wrong(given: dict[str, Any], key: str) -> RequestError:
    what = f"has value {_shown(given[key])}" if key in given else "is missing"
    return RequestError(f"{key} {what}, but must be {_RIGHT[key]}")


def _shown(value: Any) -> str:
    return shorten(repr(value) if isinstance(value, str) else msgspec.json.encode(value).decode(), _SHOWN_VALUE)


def iso(seconds: float) -> str:
    """`seconds` since the epoch as ISO 8601 in UTC, to the millisecond where there are any."""
    return _iso(datetime.fromtimestamp(seconds, UTC))


def _iso(moment: datetime) -> str:
    precision = "milliseconds" if moment.microsecond >= 1000 else "seconds"
    return moment.isoformat(timespec=precision).replace("+00:00", "Z")


def in_order(findings: Iterable[Finding]) -> list[Finding]:
    """The findings as the artifact lists them: by start, the surest first among equals."""
    return sorted(findings, key=lambda f: (f.start, -f.confidence, f.subject))
