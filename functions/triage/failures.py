"""Failures: stretches of time in which requests were answered with an error of the server."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import floor

from triage.findings import State
from triage.times import iso, seconds_of
from triage.wording import counted, duration


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Requests that failed: `failed` of the `total` that were logged from `start` to `end`, both included.

    `statuses` has how many were answered with which status (5xx), the most frequent first; they add up to `failed`.
    `given_up` more ended because their clients went away (499). Of the requests before and after, `failed_before` of
    `total_before` and `failed_after` of `total_after` failed. `recorded_until` is when the last request was logged.
    Times are ISO 8601 in UTC. `logs` are the access logs that were counted.
    """

    start: str
    end: str
    failed: int
    total: int
    statuses: dict[str, int]
    given_up: int = 0
    failed_before: int = 0
    total_before: int = 0
    failed_after: int = 0
    total_after: int = 0
    recorded_until: str
    state: State = "unknown"
    logs: list[str] = field(default_factory=list)


def failure_in_words(failure: Failure) -> str:
    """Return what failed, since when, and whether it is over, in sentences of plain text with times in ISO 8601."""
    f = failure
    statuses = ", ".join(f"{count:,} × {status}" for status, count in f.statuses.items())
    where = " and ".join(f.logs) if len(f.logs) < 3 else f"{len(f.logs)} access logs"
    text = (
        f"{f.failed:,} of {counted(f.total, 'request')} ({percent(f.failed, f.total)}) failed from {_clock(f.start)} "
        f"to {_clock(f.end)} ({statuses}, in {where})."
    )
    if f.given_up:
        text += f" {f.given_up:,} more {'was' if f.given_up == 1 else 'were'} given up by the client (499)."
    if f.total_before:
        text += f" Before it, {_of(f.failed_before, f.total_before)} failed."
    quiet = duration(seconds_of(f.recorded_until) - seconds_of(f.end))
    if f.state == "over":
        text += f" It is over: in the {quiet} after it, {_of(f.failed_after, f.total_after)} failed."
    elif f.state == "ongoing":
        text += " It goes on to the end of the recording."
    else:
        text += f" The recording ends {quiet} later: too soon to tell whether it is over."
    return text


def percent(part: int, whole: int) -> str:
    """Return a share without rounding it to nothing or to all: `43%`, `0.4%`, `under 0.1%`, `99.9%`, `over 99.9%`."""
    share = 100 * part / whole
    if 0 < share < 0.1:
        return "under 0.1%"
    if 99.9 < share < 100:
        return "over 99.9%"
    return f"{share:.1f}%" if 0 < share < 1 or 99 < share < 100 else f"{share:.0f}%"


def _of(part: int, whole: int) -> str:
    if not part:
        return f"none of {counted(whole, 'request')}"
    return f"{part:,} of {counted(whole, 'request')} ({percent(part, whole)})"


def _clock(time: str) -> str:
    return iso(floor(seconds_of(time)))
