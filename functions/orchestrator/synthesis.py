"""What the findings of all specialists say together: the incident, its order in time, cause and symptoms.

The reasoning is plain and told as such. Findings that begin near each other are one incident. What began
first may be the cause; what began later cannot be. Words that two findings share (a host, a path, `upstream`)
tie them together across logs and metrics.
"""

from __future__ import annotations

import re
from datetime import datetime

import msgspec

from triage.alert import Alert
from triage.findings import Finding

# A pause that parts two incidents: this share of all the time the findings span, within bounds. A finding that
# goes on holds its incident together for twice as long, but not for ever.
_GAP_SHARE, _GAP_LEAST_S, _GAP_MOST_S = 0.1, 30.0, 600.0
# What begins this soon after the first sign began with it, as far as samples and buckets can tell.
_TOGETHER_S = 5.0
# How long before the first sign a faint one may be what led to it.
_JUST_BEFORE_S = 30.0
# What is missing shows that something happened, seldom what: it is a sign only where there is no other.
_SILENCE = ("gone", "flat_line")
# What is less sure than this is told, but carries no conclusion.
_SURE = 0.5
_WORD = re.compile(r"[a-z][a-z]{2,}")
# Words that tie nothing to anything.
_IDLE = frozenset(
    """
    about above again and are below between during for from had has not than that the then this was were while with
    after before burst count drift error errors first flat gone info last level line lines log logs max mean metric
    min new per percent rare second seconds shift spike template time times total value warn warning window
    bytes dur get hex http ids num path post routes str uuid
    """.split()  # noqa: SIM905
)


class Incident(msgspec.Struct, frozen=True, kw_only=True):
    """Findings that belong together, in order of their start. Times are seconds since the epoch.

    `faint` are signs that are not sure by themselves but came just before: a job that starts is one line.
    """

    start: float
    end: float
    first: list[Finding]
    rest: list[Finding]
    faint: list[Finding]

    @property
    def later(self) -> list[Finding]:
        """What began after the first signs. (What fell silent a little earlier was counted in coarser buckets.)"""
        return [finding for finding in self.rest if seconds(finding.start) > self.start]

    @property
    def all(self) -> list[Finding]:
        return sorted([*self.first, *self.rest], key=lambda finding: seconds(finding.start))


class Tie(msgspec.Struct, frozen=True):
    """Two findings that share words: the earlier one may have led to the later one."""

    earlier: Finding
    later: Finding
    words: list[str]


def seconds(moment: str) -> float:
    """An ISO 8601 time of a finding as seconds since the epoch."""
    return datetime.fromisoformat(moment).timestamp()


def incident_of(findings: list[Finding], alert: Alert) -> Incident | None:
    """The incident the alert is about: of all, the one nearest to it, the weightiest among equals.

    None when there is no finding to be sure of.
    """
    groups = _groups([finding for finding in findings if finding.confidence >= _SURE])
    if not groups:
        return None
    chosen = min(groups, key=lambda group: (_distance(group, alert), -sum(f.confidence for f in group)))
    signs = [finding for finding in chosen if finding.type not in _SILENCE] or chosen
    start = seconds(signs[0].start)
    end = max(seconds(finding.end) for finding in chosen)
    first = [finding for finding in signs if seconds(finding.start) <= start + _TOGETHER_S]
    faint = [
        finding
        for finding in findings
        if finding.confidence < _SURE
        and finding.type not in _SILENCE
        and start - _JUST_BEFORE_S <= seconds(finding.start) <= start
    ]
    return Incident(start=start, end=end, first=first, rest=[f for f in chosen if f not in first], faint=faint)


def ties(incident: Incident) -> list[Tie]:
    """For each later finding, the first sign it shares the most words with."""
    found: list[Tie] = []
    for later in incident.later:
        shared = [(sorted(words_of(first) & words_of(later)), first) for first in incident.first]
        words, first = max(shared, key=lambda pair: len(pair[0]))
        if words:
            found.append(Tie(first, later, words))
    return found


def words_of(finding: Finding) -> set[str]:
    """The words a finding is about."""
    return {word for word in _WORD.findall(finding.subject.lower()) if word not in _IDLE}


def _groups(findings: list[Finding]) -> list[list[Finding]]:
    """The findings in order of their start, parted where for long none begins and none goes on."""
    ordered = sorted(findings, key=lambda finding: seconds(finding.start))
    if not ordered:
        return []
    whole = seconds(ordered[-1].start) - seconds(ordered[0].start)
    gap = min(max(whole * _GAP_SHARE, _GAP_LEAST_S), _GAP_MOST_S)
    groups: list[list[Finding]] = []
    until = 0.0
    for finding in ordered:
        start, end = seconds(finding.start), seconds(finding.end)
        if not groups or start > until:
            groups.append([])
            until = start
        groups[-1].append(finding)
        until = max(until, start + gap, min(end, start + 2 * gap) + gap)
    return groups


def _distance(group: list[Finding], alert: Alert) -> float:
    """How far, in seconds, the alert fired from the group; 0 inside it, and without an alert's time."""
    if alert.start is None:
        return 0.0
    start, end = seconds(group[0].start), max(seconds(finding.end) for finding in group)
    return max(start - alert.start, alert.start - end, 0.0)
