"""Findings: what every analyst's `findings` artifact is made of (design, section 7)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

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


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing an analyst found.

    `start` and `end` are ISO 8601 in UTC, as `iso()` writes them. `magnitude` is in `unit`;
    `confidence` is between 0 and 1. `evidence` holds what a reader would check: plain JSON.
    """

    type: FindingType
    subject: str
    start: str
    end: str
    magnitude: float
    unit: str
    confidence: float
    summary: str
    evidence: dict[str, Any] = {}


def iso(seconds: float) -> str:
    """`seconds` since the epoch as ISO 8601 in UTC, to the millisecond where there are any."""
    moment = datetime.fromtimestamp(seconds, UTC)
    precision = "milliseconds" if moment.microsecond >= 1000 else "seconds"
    return moment.isoformat(timespec=precision).replace("+00:00", "Z")


def in_order(findings: list[Finding]) -> list[Finding]:
    """The findings as the artifact lists them: by start, the surest first among equals."""
    return sorted(findings, key=lambda f: (f.start, -f.confidence, f.subject))


def merged(lists: list[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Several analysts' findings, as JSON, in one list, in the order of an artifact."""
    return sorted(
        (finding for findings in lists for finding in findings),
        key=lambda finding: (finding["start"], -finding["confidence"], finding["subject"]),
    )
