"""Findings: the content of every analyst's `findings` artifact.

They are dataclasses because they are part of the analysts' graph states, and checkpoints hold no other structs
(tailrace/agent/checkpoints/state_types.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import msgspec

from triage.times import seconds_of

# The types that our analysts use. Another agent may use its own.
FindingType = Literal["level_shift", "spike", "drift", "flat_line", "new_template", "burst", "rare", "gone", "trend"]

# Whether what changed is as it was before, goes on to the end of the recording, or cannot be known.
State = Literal["over", "ongoing", "unknown"]

_NonEmpty = Annotated[str, msgspec.Meta(min_length=1)]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing an analyst found.

    `type` is a `FindingType`, or a word of another agent. `subject` is what changed: a template of log lines or the
    name of a series. `start` and `end` are ISO 8601 in UTC, as `triage.times.iso` writes them. `magnitude` is in
    `unit`; `confidence` is from 0 to 1. `evidence` is plain JSON that a reader can check. Where it counts lines, its
    `count` is the number in `summary`, and its `lines` are the same lines over time (`LineCounts`). `agent` is the one
    that found it, by name; the orchestrator sets it. `state` says whether it is over. Samples and buckets are coarse:
    the change began at the earliest `early_s` seconds before `start`, and at the latest `late_s` after it.
    """

    type: _NonEmpty
    subject: _NonEmpty
    start: str
    end: str
    magnitude: Annotated[float, msgspec.Meta(ge=-1e300, le=1e300)]
    unit: str
    confidence: Annotated[float, msgspec.Meta(ge=0, le=1)]
    summary: str
    evidence: dict[str, Any] = field(default_factory=dict)
    agent: str = ""
    state: State = "unknown"
    early_s: Annotated[float, msgspec.Meta(ge=0, le=1e9)] = 0.0
    late_s: Annotated[float, msgspec.Meta(ge=0, le=1e9)] = 0.0

    @property
    def onset(self) -> tuple[float, float]:
        """The earliest and the latest time at which the change began, in seconds since the epoch."""
        start = seconds_of(self.start)
        return start - self.early_s, start + self.late_s

    def number(self, key: str) -> float | None:
        """Return a number of the evidence; None if it is missing, no number, or too large to be written out."""
        value = self.evidence.get(key)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        return value if abs(value) < 1e15 else None

    @property
    def example(self) -> str:
        """The line that shows it; "" if the evidence has none."""
        value = self.evidence.get("example")
        return value if isinstance(value, str) else ""


@dataclass(frozen=True, kw_only=True)
class LineCounts:
    """The lines of a finding over time: `counts` in buckets of `step_s` seconds, the first of which starts at `start`.

    The lines that the finding counts are those of the buckets from `begin` to `end` (exclusive), and `later` ones after
    the last bucket: together they are its `count`.
    """

    start: str
    step_s: float
    counts: list[int]
    begin: int
    end: int
    later: int = 0


@dataclass(frozen=True, kw_only=True)
class TemplateCount:
    """A template of log lines: their `count`, the times of the first and the last (ISO 8601), and one of them.

    A log analyst's `findings` artifact lists them beside the findings.
    """

    id: str | int = ""
    template: str
    count: int = 0
    first: str | None = None
    last: str | None = None
    example: str = ""


def in_order(findings: Iterable[Finding]) -> list[Finding]:
    """Return the findings in the artifact's order: by start; of equal starts the one with more confidence first."""
    return sorted(findings, key=lambda finding: (finding.start, -finding.confidence, finding.subject))


def most_confident_first(findings: Iterable[Finding]) -> list[Finding]:
    """Return the findings by confidence; equals keep their order."""
    return sorted(findings, key=lambda finding: -finding.confidence)
