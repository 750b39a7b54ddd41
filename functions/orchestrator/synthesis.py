"""Puts the findings of all specialists together: the incident, its order in time, cause and symptoms.

The reasoning is simple, and the report says so. Findings that start near each other are one incident. What started
first may be the cause; what started later cannot be. Words that two findings share (a host, a path, `upstream`) link
them across logs and metrics.
"""

from __future__ import annotations

import re

import msgspec

from triage.alert import Alert
from triage.findings import Finding
from triage.times import seconds_of

# The pause between two incidents: this share of the time from the first to the last start, within limits. A finding
# that lasts holds its incident together for up to twice as long.
_GAP_SHARE, _GAP_LEAST_S, _GAP_MOST_S = 0.1, 30.0, 600.0
# Samples and buckets are this coarse: what starts so soon after the first sign may have started with it.
_TOGETHER_S = 5.0
# How long before the first sign a faint sign may be its cause.
_JUST_BEFORE_S = 30.0
# What is missing shows that something happened, but seldom what, so it is the first sign only if there is no other.
_SILENCE = ("gone", "flat_line")
# Findings with less confidence are reported, but nothing is concluded from them.
_CONFIDENT = 0.5
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


class Incident(msgspec.Struct, frozen=True, kw_only=True):
    """Findings that belong together, from `start` to `end` (seconds since the epoch).

    `first` are those that started first, `rest` the others, both in order of their start. `faint` are findings with
    little confidence from just before: a job that starts writes a single line.
    """

    start: float
    end: float
    first: list[Finding]
    rest: list[Finding]
    faint: list[Finding]

    @property
    def later(self) -> list[Finding]:
        """The findings that started after the first signs. Silence may start before them, in a coarser bucket."""
        return [finding for finding in self.rest if seconds_of(finding.start) > self.start]

    @property
    def all(self) -> list[Finding]:
        """All findings but the faint ones, in order of their start."""
        return sorted([*self.first, *self.rest], key=lambda finding: seconds_of(finding.start))


class Link(msgspec.Struct, frozen=True):
    """Two findings that share words: the earlier one may be the cause of the later one."""

    earlier: Finding
    later: Finding
    words: list[str]


def incident_of(findings: list[Finding], alert: Alert) -> Incident | None:
    """Return the incident that is nearest to the alert; of equally near ones the one with most confidence in all.

    None if no finding has enough confidence.
    """
    groups = _groups([finding for finding in findings if finding.confidence >= _CONFIDENT])
    if not groups:
        return None
    chosen = min(groups, key=lambda group: (_distance(group, alert), -sum(f.confidence for f in group)))
    signs = [finding for finding in chosen if finding.type not in _SILENCE] or chosen
    start = seconds_of(signs[0].start)
    end = max(seconds_of(finding.end) for finding in chosen)
    first = [finding for finding in signs if seconds_of(finding.start) <= start + _TOGETHER_S]
    faint = [
        finding
        for finding in findings
        if finding.confidence < _CONFIDENT
        and finding.type not in _SILENCE
        and start - _JUST_BEFORE_S <= seconds_of(finding.start) <= start
    ]
    return Incident(start=start, end=end, first=first, rest=[f for f in chosen if f not in first], faint=faint)


def links(incident: Incident) -> list[Link]:
    """Return, for each later finding that shares words with a first sign, the link to the one with most of them."""
    linked: list[Link] = []
    for later in incident.later:
        shared = [(sorted(words_of(first) & words_of(later)), first) for first in incident.first]
        words, first = max(shared, key=lambda pair: len(pair[0]))
        if words:
            linked.append(Link(first, later, words))
    return linked


def words_of(finding: Finding) -> set[str]:
    """Return the words in a finding's subject that tell what it is about."""
    return {word for word in _WORD.findall(finding.subject.lower()) if word not in _COMMON_WORDS}


def _groups(findings: list[Finding]) -> list[list[Finding]]:
    """Return the findings in order of their start, split where none starts and none goes on for a while."""
    ordered = sorted(findings, key=lambda finding: seconds_of(finding.start))
    if not ordered:
        return []
    whole = seconds_of(ordered[-1].start) - seconds_of(ordered[0].start)
    gap = min(max(whole * _GAP_SHARE, _GAP_LEAST_S), _GAP_MOST_S)
    groups: list[list[Finding]] = []
    until = 0.0
    for finding in ordered:
        start, end = seconds_of(finding.start), seconds_of(finding.end)
        if not groups or start > until:
            groups.append([])
            until = start
        groups[-1].append(finding)
        until = max(until, start + gap, min(end, start + 2 * gap) + gap)
    return groups


def _distance(group: list[Finding], alert: Alert) -> float:
    """Return how many seconds before or after the group the alert fired: 0 within it, and if its time is unknown."""
    if alert.start is None:
        return 0.0
    start, end = seconds_of(group[0].start), max(seconds_of(finding.end) for finding in group)
    return max(start - alert.start, alert.start - end, 0.0)
