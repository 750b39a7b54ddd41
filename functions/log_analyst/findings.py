"""From candidates to findings: what each counts, and its words. Every number in them is one of `Matched`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from math import floor
from typing import Any

from log_analyst.detectors.comparing import Candidate
from log_analyst.detectors.histories import Histories
from log_analyst.detectors.window import Window
from log_analyst.matched import Matched
from log_analyst.readers import levels
from log_analyst.readers.mining import Template
from tailrace.errors import shorten
from triage.findings import Finding, FindingType, LineCounts, in_order
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
    candidates: Iterable[Candidate], window: Window | None, histories: Histories, example: Example
) -> list[Finding]:
    """Return the findings in order of time: at most 40, the most important. The histories are those of the window."""
    findings = [_change(*each, window, histories, example) for each in _groups(candidates, histories)]
    return in_order(sorted(findings, key=rank)[:MOST_FINDINGS])


def rank(finding: Finding) -> tuple[bool, float, str]:
    """Return the sort key for what to read first: errors, then the highest confidence, then the earliest."""
    level = levels.level_of(finding.evidence.get("level"))
    serious = level >= levels.ERROR and finding.type != "gone"
    return (not serious, -finding.confidence, finding.start)


def _groups(
    candidates: Iterable[Candidate], histories: Histories
) -> Iterator[tuple[FindingType, str, list[Candidate]]]:
    """Yield each finding's type, subject and candidates: one, or those of many routes that changed alike."""
    by_status: dict[tuple[FindingType, str], list[Candidate]] = defaultdict(list)
    for candidate in candidates:
        row = candidate.row
        if not row.access:
            yield candidate.type, row.text, [candidate]
            continue
        # A route's few lines are as new as its many, if it had none before.
        is_new = candidate.type == "rare" and not histories.before(row)
        by_status["new_template" if is_new else candidate.type, row.text.rpartition(" ")[2]].append(candidate)
    for (kind, status), group in by_status.items():
        if len(group) <= _MOST_ROUTES:
            yield from ((candidate.type, candidate.row.text, [candidate]) for candidate in group)
        else:
            yield kind, f"{status} on {len(group)} routes", group


def _change(
    kind: FindingType,
    name: str,
    group: Sequence[Candidate],
    window: Window | None,
    histories: Histories,
    example: Example,
) -> Finding:
    found = Matched(kind, group, histories)
    count, begin, end = found.count, found.begin, found.end
    # The group's example is one of its most frequent route.
    rows = {row.id: (sum(row.series[begin:end]) + row.later * bool(found.later), row) for row in found.rows}
    frequent = sorted(rows.values(), key=lambda pair: -pair[0])
    over_time = LineCounts(
        start=iso(found.grid.origin),
        step_s=found.grid.width,
        counts=found.counts,
        begin=begin,
        end=end,
        later=found.later,
    )
    evidence: dict[str, Any] = {
        "level": levels.NAMES[max(c.row.level for c in group)],
        "count": count,
        "before": found.before,
        "in_window": found.in_window,
        "lines": asdict(over_time),
    }
    if frequent:
        top = frequent[0][1]
        evidence["template"] = top.id
        evidence["first"] = iso(min(min(row.times) for row in found.rows))
        evidence["last"] = iso(max(max(row.times) for row in found.rows))
        evidence["log"], evidence["example"] = example(top)
    if window is not None:
        evidence["window"] = {"start": iso(window.start), "end": iso(window.end), "derived": window.derived}
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
    elif kind == "trend":
        first, last = _quarters(found)
        magnitude, unit = round(last / max(first, 1), 2), "times the first rate"
    return Finding(
        type=kind,
        subject=shorten(name, _LONGEST_SUBJECT),
        start=iso(found.start),
        end=iso(found.last),
        magnitude=magnitude,
        unit=unit,
        confidence=round(min(max(0.0, *(c.confidence for c in group)), 1.0), 2),
        summary=_words(found, is_compared=window is not None),
        evidence=evidence,
        state=found.state,
        early_s=found.early,
        late_s=found.late,
    )


def _words(found: Matched, *, is_compared: bool) -> str:
    """Return a finding's summary. Other agents' reports rely on it: it is in sentences."""
    kind, lines = found.kind, counted(found.count, "line")
    start, last = _clock(found.start), _clock(found.last)
    span = f"from {start} to {last}"
    if kind == "trend":
        before, after = _quarters(found)
        direction, quarter = "Rises" if after > before else "Falls", duration(found.late)
        return f"{lines}. {direction} steadily: {before:,} in the first {quarter}, {after:,} in the last."
    if kind == "gone":
        came = f"Only {lines}" if found.count else "No lines"
        then = "then they came again" if found.state == "over" else f"and none came until {found.source} ends"
        return f"{came} {span}, about {round(found.expected):,} were expected; {then}."
    if kind == "burst":
        expected = found.expected
        are = f"about {expected:,.0f} {'is' if round(expected) == 1 else 'are'}" if expected >= 1 else "hardly any are"
        what = lines if found.rows else f"{lines} below WARNING, without new ones,"
        return f"{what} {span}; {are} usual in that time.{_end(found)}"
    seldom = f"and {_times_before(found.before)}" if is_compared else "in logs with hardly any other error"
    if found.count == 1:
        return f"Seen once, at {start}, {seldom}."
    if kind == "rare":
        return f"Seen {found.count} times {span}, {seldom}.{_end(found)}"
    return f"First seen at {start}, last at {last}: {lines}.{_end(found)}"


def _quarters(found: Matched) -> tuple[int, int]:
    """Return the lines in the first and in the last quarter of the recording."""
    size = len(found.counts)
    return sum(found.counts[: size // 4]), sum(found.counts[size * 3 // 4 :])


def _times_before(before: int) -> str:
    if not before:
        return "never before"
    return f"{'once' if before == 1 else f'{before} times'} before the window"


def _end(found: Matched) -> str:
    """Return a sentence about the end, as far as the logs show it."""
    if found.count == 1:
        return ""
    quiet = duration(max(found.quiet_s, 0.1))
    if found.state == "over":
        return f" Over: {found.source} goes on for {quiet} after it."
    if found.state == "ongoing":
        return f" It goes on to the end of {found.source}."
    return f" {found.source.capitalize()} ends {quiet} later, too soon to tell whether it is over."


def _clock(seconds: float) -> str:
    return iso(floor(seconds))


def _noun(count: float) -> str:
    return "line" if count == 1 else "lines"
