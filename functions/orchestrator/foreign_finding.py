"""A finding of another agent, which may have written anything."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import msgspec

from tailrace.errors import RequestError, shorten
from triage.findings import Finding
from triage.times import iso_of

# How much of a wrong value an error quotes, in characters.
_QUOTED = 60
# What an error asks for, by key of a finding.
_REMEDIES = {
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
# Where msgspec's error names the key.
_KEY_IN_ERROR = re.compile(r"`\$\.(\w+)|required field `(\w+)`")


def finding_of(decoded: Any) -> Finding:
    """Return the finding in decoded JSON of another agent.

    Its times become UTC; a time without a zone is UTC. Null counts as missing; `agent` and unknown keys
    are ignored.

    Raises:
        RequestError: it is not a finding. The message names the key, its value and what would be right.
    """
    if not isinstance(decoded, dict):
        raise RequestError(f"it is {_quoted(decoded)}, but must be an object")
    fields = {key: value for key, value in decoded.items() if value is not None and key != "agent"}
    # Another agent may mean something else by these.
    for own in ("state", "early_s", "late_s"):
        if own in fields and not _is_ours(own, fields[own]):
            del fields[own]
    try:
        finding = msgspec.convert(fields, Finding)
    except msgspec.ValidationError as error:
        key = _KEY_IN_ERROR.search(str(error))
        raise _wrong(fields, (key[1] or key[2]) if key else "evidence") from None
    start, end = _utc(fields, "start"), _utc(fields, "end")
    if end < start:
        raise _wrong(fields, "end")
    return replace(finding, start=iso_of(start), end=iso_of(end))


def _is_ours(key: str, value: Any) -> bool:
    if key == "state":
        return value in ("over", "ongoing", "unknown")
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1e9


def _utc(fields: Mapping[str, Any], key: str) -> datetime:
    try:
        moment = datetime.fromisoformat(fields[key])
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise _wrong(fields, key) from None


def _wrong(fields: Mapping[str, Any], key: str) -> RequestError:
    problem = f"has value {_quoted(fields[key])}" if key in fields else "is missing"
    return RequestError(f"{key} {problem}, but must be {_REMEDIES[key]}")


def _quoted(value: Any) -> str:
    return shorten(repr(value) if isinstance(value, str) else msgspec.json.encode(value).decode(), _QUOTED)
