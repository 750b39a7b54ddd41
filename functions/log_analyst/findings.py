"""From candidates to findings: what each counts, and its words. Every number in them is one of `Matched`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from math import floor
from typing import Any

from log_analyst.detectors.comparing import Candidate
from log_analyst.detectors.histories import Histories
from log_analyst.detectors.trends import Trend
from log_analyst.detectors.window import Window
from log_analyst.grid import Grid
from log_analyst.matched import Matched, matched, resolution, rows_of
from log_analyst.readers import levels
from log_analyst.readers.mining import Template
from tailrace.errors import shorten
from triage.findings import Finding, FindingType, LineCounts, State, in_order
from triage.times import iso
from triage.wording import counted, duration

MOST_FINDINGS = 40
_LONGEST_SUBJECT = 200
# More findings than this of one type and one HTTP status become one: "502 on 14 routes".
_MOST_ROUTES = 3
_LISTED_ROUTES = 20

# Returns the name of the log with the first line of a row, and that line.
Example = Callable[[Template], tuple[str, str]]


def findings_of(
    candidates: Iterable[Candidate], window: Window, histories: Histories, example: Example
) -> list[Finding]:
    """Return the findings in order of time: at most 40, the most important."""
    findings = [_change(*each, window, histories, example) for each in _groups(candidates, histories)]
    return in_order(sorted(findings, key=rank)[:MOST_FINDINGS])


def rank(finding: Finding) -> tuple[bool, float, str]:
    """Return the sort key for what to read first: errors, then the highest confidence, then the earliest."""
    level = levels.level_of(finding.evidence.get("level"))
    serious = level >= levels.ERROR and finding.type != "gone"
    return (not serious, -finding.confidence, finding.start)


def lone_error(row: Template, example: Example) -> Finding:
    """Return the finding of an error of logs that have hardly any other. The row's lines have times."""
    often = "Occurs only once, at" if row.count == 1 else f"Occurs only {row.count} times, first at"
    evidence = {**_evidence([row], example), "count": row.count}
    return Finding(
        type="rare",
        subject=row.text[:_LONGEST_SUBJECT],
        start=evidence["first"],
        end=evidence["last"],
        magnitude=float(row.count),
        unit=_noun(row.count),
        confidence=0.4,
        summary=f"{often} {_clock(min(row.times))}, in logs with hardly any other error.",
        late_s=resolution(min(row.times)),
        evidence=evidence,
    )


def trend(found: Trend, grid: Grid, example: Example) -> Finding:
    """Return the finding of a rate that rises or falls steadily over the whole recording."""
    row, quarter = found.row, grid.size * grid.width / 4
    direction = "Rises" if found.after > found.before else "Falls"
    rates = f"{found.before:,} in the first {duration(quarter)}, {found.after:,} in the last"
    evidence = {**_evidence([row], example), "count": row.count, "lines": _lines(grid, row.series, 0, grid.size)}
    return Finding(
        type="trend",
        subject=row.text[:_LONGEST_SUBJECT],
        start=evidence["first"],
        end=evidence["last"],
        magnitude=round(found.after / max(found.before, 1), 2),
        unit="times the first rate",
        confidence=0.6,
        summary=f"{counted(row.count, 'line')}. {direction} steadily: {rates}.",
        late_s=quarter,
        evidence=evidence,
        state="ongoing",
    )


def _groups(
    candidates: Iterable[Candidate], histories: Histories
) -> Iterator[tuple[FindingType, str, list[Candidate]]]:
    """Yield each finding's type, subject and candidates: one, or those of many routes that changed alike."""
    by_status: dict[tuple[FindingType, str], list[Candidate]] = defaultdict(list)
    for candidate in candidates:
        row = candidate.row
        if row is None or not row.access:
            yield candidate.type, candidate.name, [candidate]
            continue
        # A route's few lines are as new as its many, if it had none before.
        is_new = candidate.type == "rare" and not histories.before(row)
        by_status["new_template" if is_new else candidate.type, row.text.rpartition(" ")[2]].append(candidate)
    for (kind, status), group in by_status.items():
        if len(group) <= _MOST_ROUTES:
            yield from ((candidate.type, candidate.name, [candidate]) for candidate in group)
        else:
            yield kind, f"{status} on {len(group)} routes", group


def _change(
    kind: FindingType, name: str, group: Sequence[Candidate], window: Window, histories: Histories, example: Example
) -> Finding:
    found = matched(kind, group, histories)
    state, count = found.state(kind), found.count
    begin, end, later = found.begin, found.end, bool(found.later)
    # The group's example is one of its most frequent route.
    rows = {row.id: (sum(row.series[begin:end]) + row.later * later, row) for row in rows_of(group)}
    frequent = sorted(rows.values(), key=lambda pair: -pair[0])
    evidence: dict[str, Any] = {
        **_evidence([row for _, row in frequent], example),
        "level": levels.NAMES[max(c.level for c in group)],
        "count": count,
        "window": {"start": iso(window.start), "end": iso(window.end), "derived": window.derived},
        "before": found.before,
        "in_window": found.in_window,
        "lines": _lines(found.grid, found.counts, begin, end, found.later),
    }
    if len(frequent) > 1:
        evidence["routes"] = [
            {"template": row.id, "text": row.text[:_LONGEST_SUBJECT], "count": lines}
            for lines, row in frequent[:_LISTED_ROUTES]
        ]
    magnitude, unit = float(count), _noun(count)
    if kind == "burst":
        evidence["expected"] = round(found.expected, 1)
        magnitude, unit = round(count / max(found.expected, 0.5), 1), "times the usual rate"
    elif kind == "gone":
        evidence["expected"] = round(found.expected)
        missing = max(round(found.expected) - count, 0)
        magnitude, unit = float(missing), f"{_noun(missing)} missing"
    return Finding(
        type=kind,
        subject=shorten(name, _LONGEST_SUBJECT),
        start=iso(found.start),
        end=iso(found.last),
        magnitude=magnitude,
        unit=unit,
        confidence=round(min(max(0.0, *(c.confidence for c in group)), 1.0), 2),
        summary=_words(kind, found, state, is_all=not rows),
        evidence=evidence,
        state=state,
        early_s=found.early,
        late_s=found.late,
    )


def _evidence(rows: Sequence[Template], example: Example) -> dict[str, Any]:
    """Return what a finding's evidence says of its templates, of which the first has the example; {} without any."""
    if not rows:
        return {}
    log, line = example(rows[0])
    return {
        "level": levels.NAMES[rows[0].level],
        "template": rows[0].id,
        "first": iso(min(min(row.times) for row in rows)),
        "last": iso(max(max(row.times) for row in rows)),
        "log": log,
        "example": line,
    }


def _lines(grid: Grid, counts: list[int], begin: int, end: int, later: int = 0) -> dict[str, Any]:
    return asdict(
        LineCounts(start=iso(grid.origin), step_s=grid.width, counts=counts, begin=begin, end=end, later=later)
    )


def _words(kind: str, found: Matched, state: State, *, is_all: bool) -> str:
    """Return a finding's summary. Other agents' reports rely on it: it is in sentences."""
    lines = counted(found.count, "line")
    start, last = _clock(found.start), _clock(found.last)
    span = f"from {start} to {last}"
    if kind == "gone":
        came = f"Only {lines}" if found.count else "No lines"
        then = "then they came again" if state == "over" else f"and none came until {found.source} ends"
        return f"{came} {span}, about {round(found.expected):,} were expected; {then}."
    if kind == "burst":
        expected = found.expected
        are = f"about {expected:,.0f} {'is' if round(expected) == 1 else 'are'}" if expected >= 1 else "hardly any are"
        what = f"{lines} below WARNING, without new ones," if is_all else lines
        return f"{what} {span}; {are} usual in that time.{_end(found, state)}"
    if found.count == 1:
        return f"Seen once, at {start}, and {_times_before(found.before)}."
    if kind == "rare":
        return f"Seen {found.count} times {span}, and {_times_before(found.before)}.{_end(found, state)}"
    return f"First seen at {start}, last at {last}: {lines}.{_end(found, state)}"


def _times_before(before: int) -> str:
    if not before:
        return "never before"
    return f"{'once' if before == 1 else f'{before} times'} before the window"


def _end(found: Matched, state: State) -> str:
    """Return a sentence about the end, as far as the logs show it."""
    if found.count == 1:
        return ""
    quiet = duration(max(found.quiet_s, 0.1))
    if state == "over":
        return f" Over: {found.source} goes on for {quiet} after it."
    if state == "ongoing":
        return f" It goes on to the end of {found.source}."
    return f" {found.source.capitalize()} ends {quiet} later, too soon to tell whether it is over."


def _clock(seconds: float) -> str:
    return iso(floor(seconds))


def _noun(count: float) -> str:
    return "line" if count == 1 else "lines"
