"""Puts the findings of all specialists together: the events, what changed first in each, and what followed.

The reasoning is simple, and the report says so. Findings whose changes began near each other are one event. A sample
only tells that the change began after the sample before it, so each finding has an earliest and a latest time
(`onset`), and one came before another only if its latest time is before the other's earliest. Of those that no other
came before, the likely cause is the first by kind (`kinds.py`). A start, a stop or a setting that was never seen
before, and that came just before an event, is more than the single line that its specialist found: it is seldom there
by chance.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec

from orchestrator.kinds import Kind, kind_of
from triage.alert import Alert
from triage.findings import Finding, State
from triage.times import iso, seconds_of

# The pause between two events: this share of the time from the first to the last start, within limits in seconds.
_GAP_SHARE, _GAP_LEAST_S, _GAP_MOST_S = 0.05, 10.0, 600.0
# How long before an event a faint sign is told with it.
_JUST_BEFORE_S = 30.0
# A stop so near to an event's end, in seconds, may have ended it.
_AT_END_S = 3.0
# The greatest chance that a sign is near an event by accident.
_MOST_CHANCE = 0.1
_SURE = 0.9
# Findings with less confidence are reported, but nothing is concluded from them.
CONFIDENT = 0.5
_WORD = re.compile(r"[a-z][a-z]{2,}")
# Words that link nothing, because they are in many findings.
_COMMON_WORDS = frozenset(
    """
    about above again and are below between during for from had has not than that the then this was were while with
    after before burst count drift error errors first flat gone info last level line lines log logs max mean metric
    min new per percent rare second seconds shift spike template time times total value warn warning window
    bytes dur get hex http ids num path post routes str uuid
    """.split()  # noqa: SIM905
)


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Findings whose changes began near each other, from `start` to `end` (seconds since the epoch).

    `first` are those that no other one came before, as far as the samples tell, the likely cause first; `later` are the
    others, in order of time. `at_end` are signs of just when the event ended, and `faint` findings with little
    confidence from just before it. `state` says whether all of it is over.
    """

    first: list[Finding]
    later: list[Finding]
    at_end: list[Finding]
    faint: list[Finding]
    start: float
    end: float
    state: State

    @property
    def cause(self) -> Finding:
        """What is likely the cause, or at least came first."""
        return self.first[0]

    @property
    def all(self) -> list[Finding]:
        """The findings but the faint ones, in order of their start."""
        return sorted([*self.first, *self.later], key=_start)


class Link(msgspec.Struct, frozen=True):
    """Two findings that share words: the earlier one may be the cause of the later one."""

    earlier: Finding
    later: Finding
    words: list[str]


def corroborated(findings: Sequence[Finding], recorded: tuple[float, float]) -> list[Finding]:
    """Return the findings; a start, stop or setting just before an event has the confidence that this gives it.

    The chance that one of so many such signs is so near to an event by accident follows from the time that was
    recorded, `recorded` (seconds since the epoch).
    """
    groups = _groups(findings)
    signs = [finding for finding in findings if finding.confidence < CONFIDENT and kind_of(finding) == Kind.TRIGGER]
    span = max(recorded[1] - recorded[0], 1.0)
    kept = []
    for finding in findings:
        near = [_first_latest(group) - seconds_of(finding.start) for group in groups]
        distance = min((each for each in near if 0 <= each <= _JUST_BEFORE_S), default=None)
        if finding in signs and distance is not None:
            chance = len(signs) * max(distance, 1.0) / span
            if chance <= _MOST_CHANCE:
                confidence = max(finding.confidence, round(_SURE * (1 - chance), 2))
                evidence = {**finding.evidence, "alone": finding.confidence, "seconds_before": round(distance, 1)}
                finding = replace(finding, confidence=confidence, evidence=evidence)
        kept.append(finding)
    return kept


def recorded_in(findings: Sequence[Finding], times: Sequence[str | None]) -> tuple[float, float]:
    """Return the time that was recorded, as far as findings and `times` (ISO 8601) of the inputs show it."""
    known = [seconds_of(time) for time in times if time]
    known += [seconds_of(time) for finding in findings for time in (finding.start, finding.end)]
    return (min(known), max(known)) if known else (0.0, 0.0)


def events_of(findings: Sequence[Finding]) -> list[Event]:
    """Return the events in order of time; none if no finding has enough confidence."""
    faint = [finding for finding in findings if finding.confidence < CONFIDENT]
    events: list[Event] = []
    for group in _groups(findings):
        limit = _first_latest(group)
        first = sorted((f for f in group if f.onset[0] <= limit), key=lambda f: (kind_of(f), f.onset[1], -f.confidence))
        later = [finding for finding in group if finding not in first]
        start = min(seconds_of(finding.start) for finding in first)
        end = max(seconds_of(finding.end) for finding in group)
        ends = [seconds_of(finding.end) for finding in group if finding.state == "over"]
        events.append(
            Event(
                first=first,
                later=later,
                at_end=[f for f in faint if kind_of(f) == Kind.TRIGGER and _ended_with(ends, _start(f))],
                faint=[f for f in faint if kind_of(f) != Kind.EFFECT and 0 <= start - _start(f) <= _JUST_BEFORE_S],
                start=start,
                end=end,
                state=_state(group),
            )
        )
    return events


def main_event(events: Sequence[Event], alert: Alert) -> Event | None:
    """Return the event that is nearest to the alert; of equally near ones the one with most confidence in all."""

    def distance(event: Event) -> tuple[float, float]:
        away = 0.0 if alert.start is None else max(event.start - alert.start, alert.start - event.end, 0.0)
        return away, -sum(finding.confidence for finding in event.all)

    return min(events, key=distance, default=None)


def told(events: Sequence[Event], main: Event | None, findings: Sequence[Finding]) -> list[dict[str, Any]]:
    """Return the events as JSON, the main one first; findings are given by their place in `findings`."""
    places = {id(finding): place for place, finding in enumerate(findings)}

    def of(some: Sequence[Finding]) -> list[int]:
        return [places[id(finding)] for finding in some]

    ordered = sorted(events, key=lambda event: event is not main)
    return [
        {
            "start": iso(event.start),
            "end": iso(event.end),
            "state": event.state,
            "is_cause": is_cause(event.cause),
            "first": of(event.first),
            "later": of(event.later),
            "at_end": of(event.at_end),
            "faint": of(event.faint),
        }
        for event in ordered
    ]


def is_cause(finding: Finding) -> bool:
    """Return whether it can be called a likely cause: what users feel has one elsewhere."""
    return kind_of(finding) != Kind.EFFECT


def links(event: Event) -> list[Link]:
    """Return, for each later finding that shares words with one of the first, the link to the one with most of them."""
    linked: list[Link] = []
    for later in event.later:
        shared = [(sorted(words_of(first) & words_of(later)), first) for first in event.first]
        words, first = max(shared, key=lambda pair: len(pair[0]))
        if words:
            linked.append(Link(first, later, words))
    return linked


def words_of(finding: Finding) -> set[str]:
    """Return the words in a finding's subject that tell what it is about."""
    return {word for word in _WORD.findall(finding.subject.lower()) if word not in _COMMON_WORDS}


def _start(finding: Finding) -> float:
    return seconds_of(finding.start)


def _first_latest(group: Sequence[Finding]) -> float:
    """Return by when the first change of a group had begun for sure."""
    return min(finding.onset[1] for finding in group)


def _state(group: Sequence[Finding]) -> State:
    """Return whether an event is over. A single line has no end, so it decides nothing."""
    states = {f.state for f in group if f.state != "unknown" or seconds_of(f.end) > seconds_of(f.start)}
    if "ongoing" in states:
        return "ongoing"
    return "over" if states == {"over"} else "unknown"


def _ended_with(ends: Sequence[float], time: float) -> bool:
    """Return whether a third of the changes, and at least two, ended just at a time."""
    return sum(abs(end - time) <= _AT_END_S for end in ends) >= max(2, len(ends) / 3)


def _groups(findings: Sequence[Finding]) -> list[list[Finding]]:
    """Return the confident findings in order of time, split where no change began for a while.

    What begins again while it still goes on, such as a latency that rises once more, is no event of its own.
    """
    ordered = sorted((f for f in findings if f.confidence >= CONFIDENT), key=_start)
    if not ordered:
        return []
    whole = _start(ordered[-1]) - _start(ordered[0])
    gap = min(max(whole * _GAP_SHARE, _GAP_LEAST_S), _GAP_MOST_S)
    groups: list[list[Finding]] = []
    until = float("-inf")
    for finding in ordered:
        if finding.onset[0] > until + gap:
            groups.append([])
        groups[-1].append(finding)
        until = max(until, finding.onset[1])
    kept = groups[:1]
    for group in groups[1:]:
        before = next((each for each in reversed(kept) if _again(group, each)), None)
        if before is None:
            kept.append(group)
        else:
            before.extend(group)
    return kept


def _again(group: Sequence[Finding], before: Sequence[Finding]) -> bool:
    """Return whether all that changed in `group` had changed in an event that was not over yet."""
    known = {finding.subject for finding in before}
    lasts = max(seconds_of(finding.end) for finding in before) >= min(_start(finding) for finding in group)
    return lasts and all(finding.subject in known for finding in group)
