"""From candidates to findings: what each counts, and its words. Every number in them is one of `Matched`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from math import floor
from typing import Any

import msgspec

from log_analyst.detectors.candidate import Candidate
from log_analyst.detectors.histories import Histories
from log_analyst.detectors.trends import Trend
from log_analyst.detectors.window import Window
from log_analyst.grid import Grid
from log_analyst.matched import Matched, of_logs, of_rows
from log_analyst.readers import levels
from log_analyst.readers.mining import Template
from tailrace.errors import shorten
from triage.findings import Finding, LineCounts, State, in_order
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
    findings = [_finding(group, window, histories, example) for group in _groups(candidates, histories)]
    return in_order(sorted(findings, key=rank)[:MOST_FINDINGS])


def rank(finding: Finding) -> tuple[bool, float, str]:
    """Return the sort key for what to read first: errors, then the highest confidence, then the earliest."""
    level = levels.level_of(finding.evidence.get("level"))
    serious = level >= levels.ERROR and finding.type != "gone"
    return (not serious, -finding.confidence, finding.start)


def lone_error(row: Template, example: Example) -> Finding:
    """Return the finding of an error of logs that have hardly any other. The row's lines have times."""
    assert row.first is not None
    assert row.last is not None
    often = "Occurs only once, at" if row.count == 1 else f"Occurs only {row.count} times, first at"
    return Finding(
        type="rare",
        subject=row.text[:_LONGEST_SUBJECT],
        start=iso(row.first),
        end=iso(row.last),
        magnitude=float(row.count),
        unit=_noun(row.count),
        confidence=0.4,
        summary=f"{often} {_clock(row.first)}, in logs with hardly any other error.",
        late_s=_resolution(row.first),
        evidence=_all_of(row, example),
    )


def trend(found: Trend, grid: Grid, example: Example) -> Finding:
    """Return the finding of a rate that rises or falls steadily over the whole recording."""
    row, quarter = found.row, grid.size * grid.width / 4
    assert row.first is not None
    assert row.last is not None
    direction = "Rises" if found.after > found.before else "Falls"
    rates = f"{found.before:,} in the first {duration(quarter)}, {found.after:,} in the last"
    lines = LineCounts(start=iso(grid.origin), step_s=grid.width, counts=row.series, begin=0, end=grid.size)
    return Finding(
        type="trend",
        subject=row.text[:_LONGEST_SUBJECT],
        start=iso(row.first),
        end=iso(row.last),
        magnitude=round(found.after / max(found.before, 1), 2),
        unit="times the first rate",
        confidence=0.6,
        summary=f"{counted(row.count, 'line')}. {direction} steadily: {rates}.",
        late_s=quarter,
        evidence={**_all_of(row, example), "lines": msgspec.to_builtins(lines)},
        state="ongoing",
    )


def _all_of(row: Template, example: Example) -> dict[str, Any]:
    """Return the evidence of a finding about all lines of a template."""
    log, line = example(row)
    return {
        "level": levels.NAMES[row.level],
        "template": row.id,
        "count": row.count,
        "first": iso(row.first or 0.0),
        "last": iso(row.last or 0.0),
        "log": log,
        "example": line,
    }


def _groups(candidates: Iterable[Candidate], histories: Histories) -> Iterator[list[Candidate]]:
    """Yield the candidates of each finding: one, or those of many routes that changed alike with one HTTP status."""
    by_status: dict[tuple[str, str], list[Candidate]] = defaultdict(list)
    for candidate in candidates:
        row = candidate.row
        if row is None or not row.access:
            yield [candidate]
            continue
        # A route's few lines are as new as its many, if it had none before.
        is_new = candidate.type == "rare" and not histories.before(row)
        by_status["new_template" if is_new else candidate.type, row.text.rpartition(" ")[2]].append(candidate)
    for (kind, status), group in by_status.items():
        if len(group) <= _MOST_ROUTES:
            yield from ([candidate] for candidate in group)
            continue
        name = f"{status} on {len(group)} routes"
        yield [msgspec.structs.replace(candidate, type=kind, name=name) for candidate in group]


def _finding(group: Sequence[Candidate], window: Window, histories: Histories, example: Example) -> Finding:
    kind, rows = group[0].type, [c.row for c in group if c.row is not None]
    matched = of_rows(kind, rows, group, histories) if rows else of_logs(group[0], histories)
    state = matched.state(kind)
    if kind == "gone" and state == "ongoing":
        matched = msgspec.structs.replace(matched, end=len(matched.counts), last=max(matched.last, matched.log_end))
    expected = _expected(group, matched)
    evidence: dict[str, Any] = {
        "level": levels.NAMES[max(c.level for c in group)],
        "count": matched.count,
        "window": {"start": iso(window.start), "end": iso(window.end), "derived": window.derived},
        "before": matched.before,
        "in_window": matched.in_window,
        "lines": matched.lines,
    }
    if rows:
        # The group's example is one of its most frequent route.
        counts = {row.id: _count(row, matched) for row in rows}
        row = max(rows, key=lambda each: counts[each.id])
        log, line = example(row)
        firsts, lasts = [r.first for r in rows if r.first is not None], [r.last for r in rows if r.last is not None]
        evidence |= {
            "template": row.id,
            "first": iso(min(firsts)) if firsts else None,
            "last": iso(max(lasts)) if lasts else None,
            "log": log,
            "example": line,
        }
        if len(rows) > 1:
            routes = sorted(rows, key=lambda each: -counts[each.id])[:_LISTED_ROUTES]
            evidence["routes"] = [
                {"template": each.id, "text": each.text[:_LONGEST_SUBJECT], "count": counts[each.id]} for each in routes
            ]
    if kind in ("burst", "gone"):
        evidence["expected"] = round(expected) if kind == "gone" else round(expected, 1)
    magnitude, unit = _size(kind, matched, expected)
    return Finding(
        type=kind,
        subject=shorten(group[0].name, _LONGEST_SUBJECT),
        start=iso(matched.start),
        end=iso(matched.last),
        magnitude=magnitude,
        unit=unit,
        confidence=round(min(max(0.0, *(c.confidence for c in group)), 1.0), 2),
        summary=_words(kind, matched, state, expected, is_all=group[0].row is None),
        evidence=evidence,
        state=state,
        early_s=matched.early,
        late_s=matched.late,
    )


def _count(row: Template, matched: Matched) -> int:
    """Return how many lines of the finding are this row's."""
    later = row.later if matched.later else 0
    return sum(row.series[matched.begin : matched.end]) + later


def _expected(group: Sequence[Candidate], matched: Matched) -> float:
    """Return how many lines were expected in the finding's buckets; each candidate says it for its own stretch."""
    length = matched.end - matched.begin
    return sum(c.expected * length / (c.stop - c.begin) for c in group if c.stop > c.begin)


def _size(kind: str, matched: Matched, expected: float) -> tuple[float, str]:
    if kind == "burst":
        return round(matched.count / max(expected, 0.5), 1), "times the usual rate"
    if kind == "gone":
        missing = max(round(expected) - matched.count, 0)
        return float(missing), f"{_noun(missing)} missing"
    return float(matched.count), _noun(matched.count)


def _words(kind: str, matched: Matched, state: State, expected: float, *, is_all: bool) -> str:
    """Return a finding's summary. Other agents' reports rely on it: it is in sentences."""
    lines = counted(matched.count, "line")
    start, last = _clock(matched.start), _clock(matched.last)
    span = f"from {start} to {last}"
    if kind == "gone":
        came = f"Only {lines}" if matched.count else "No lines"
        then = "then they came again" if state == "over" else f"and none came until {matched.source} ends"
        return f"{came} {span}, about {round(expected):,} were expected; {then}."
    if kind == "burst":
        usual = (
            f"about {expected:,.0f} {'is' if round(expected) == 1 else 'are'}" if expected >= 1 else "hardly any are"
        )
        what = f"{lines} below WARNING, without new ones," if is_all else lines
        return f"{what} {span}; {usual} usual in that time.{_end(matched, state)}"
    if matched.count == 1:
        return f"Seen once, at {start}, and {_times_before(matched.before)}."
    if kind == "rare":
        return f"Seen {matched.count} times {span}, and {_times_before(matched.before)}.{_end(matched, state)}"
    return f"First seen at {start}, last at {last}: {lines}.{_end(matched, state)}"


def _times_before(before: int) -> str:
    if not before:
        return "never before"
    return f"{'once' if before == 1 else f'{before} times'} before the window"


def _end(matched: Matched, state: State) -> str:
    """Return a sentence about the end, as far as the logs show it."""
    if matched.count == 1:
        return ""
    quiet = duration(max(matched.quiet_s, 0.1))
    if state == "over":
        return f" Over: {matched.source} goes on for {quiet} after it."
    if state == "ongoing":
        return f" It goes on to the end of {matched.source}."
    return f" {matched.source.capitalize()} ends {quiet} later, too soon to tell whether it is over."


def _clock(seconds: float) -> str:
    return iso(floor(seconds))


def _resolution(first: float) -> float:
    """Return how much later than written a line may be, in seconds: the times of many logs are whole seconds."""
    return 0.0 if first % 1 else 1.0


def _noun(count: float) -> str:
    return "line" if count == 1 else "lines"
