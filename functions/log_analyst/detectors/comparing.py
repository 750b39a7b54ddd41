"""Compares the window with the time before it: from the timeline to findings."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from math import floor
from typing import Any

import msgspec

from log_analyst.detectors import changes
from log_analyst.detectors.changes import RateChange
from log_analyst.detectors.histories import Histories
from log_analyst.detectors.timeline import Grid, Row, Timeline
from log_analyst.detectors.window import Window
from log_analyst.readers import levels
from tailrace.errors import shorten
from triage.findings import Finding, FindingType, in_order
from triage.times import iso
from triage.wording import counted

MOST_FINDINGS = 40
_LONGEST_SUBJECT = 200
# More findings than this of one type and one HTTP status become one: "502 on 14 routes".
_MOST_ROUTES = 3
_LISTED_ROUTES = 20
# Fewer lines before the window than this cannot show that something is rare.
_ENOUGH_TO_BE_RARE = 100
# Logs of at least so many entries are quiet if no more than so many of them are errors.
_ENOUGH_TO_BE_QUIET, _MOST_LONE_ERRORS = 500, 3

# Returns the name of the log with the first line of a row, and that line.
Example = Callable[[Row], tuple[str, str]]


class Candidate(msgspec.Struct, frozen=True):
    """A change that is not in words yet: of the template `row`, or if it is None, of the whole logs named `name`.

    `start` and `end` are seconds since the epoch, `count` is how many lines came, and `confidence` is from 0 to 1.
    `expected` is how many lines were expected; for a new or rare template it is how many came before the window.
    """

    type: FindingType
    row: Row | None
    name: str
    level: int
    start: float
    end: float
    count: int
    expected: float
    confidence: float


def compare(timeline: Timeline, window: Window, example: Example) -> list[Finding]:
    """Return what changed in `window`, in order of time: at most 40 findings, the most important.

    Logs that go on as before give no finding.
    """
    if timeline.grid is None:
        return []
    histories = Histories(timeline, window)
    candidates = [*_firsts(timeline, histories), *_shifts(timeline, histories), *_whole_logs(timeline, histories)]
    findings = list(_findings(_without_echoes(candidates), window, histories, example))
    findings.sort(key=rank)
    return in_order(findings[:MOST_FINDINGS])


def quiet_errors(timeline: Timeline, example: Example) -> list[Finding]:
    """Return the few errors of logs that have no others, as rare findings: rates cannot show them."""
    rows = [row for row in timeline.rows if row.level >= levels.ERROR and not row.coarse]
    timed = [row for row in rows if row.first is not None and row.last is not None]
    if timeline.entries < _ENOUGH_TO_BE_QUIET or not timed or sum(row.count for row in rows) > _MOST_LONE_ERRORS:
        return []
    return in_order([_lone_error(row, row.first, row.last, example) for row in timed if row.first and row.last])


def _lone_error(row: Row, first: float, last: float, example: Example) -> Finding:
    log, line = example(row)
    often = "Occurs only once" if row.count == 1 else f"Occurs only {row.count} times, first"
    return Finding(
        type="rare",
        subject=row.text[:_LONGEST_SUBJECT],
        start=iso(first),
        end=iso(last),
        magnitude=float(row.count),
        unit=_noun(row.count),
        confidence=0.4,
        summary=f"{often} at {iso(floor(first))}, in logs with hardly any other error.",
        evidence={
            "level": levels.NAMES[row.level],
            "template": row.id,
            "count": row.count,
            "first": iso(first),
            "last": iso(last),
            "log": log,
            "example": line,
        },
    )


def rank(finding: Finding) -> tuple[bool, float, str]:
    """Return the sort key for what to read first: errors, then the highest confidence, then the earliest."""
    level = levels.level_of(finding.evidence.get("level"))
    serious = level >= levels.ERROR and finding.type != "gone"
    return (not serious, -finding.confidence, finding.start)


def _firsts(timeline: Timeline, histories: Histories) -> Iterator[Candidate]:
    """Yield the templates that are new or rare."""
    rare: list[Candidate] = []
    once_before = 0
    share = histories.share
    for row in timeline.rows:
        if row.coarse or row.first is None or row.last is None:
            continue
        before = histories.before(row)
        inside = histories.inside(row)
        lifecycle = levels.is_lifecycle(row.text)
        if before == 1 and (row.level >= levels.WARNING or lifecycle):
            once_before += 1
        count = sum(inside)
        if not count:
            continue
        buckets = sum(1 for cell in inside if cell)
        row_share = histories.share_of(row)
        confidence = changes.new(row.level, count, buckets, row_share) if not before else None
        if confidence is not None:
            yield Candidate("new_template", row, row.text, row.level, row.first, row.last, row.count, 0.0, confidence)
            continue
        if row.variant:
            continue  # A well-known line may have another word now and then.
        confidence = changes.rare(row.level, count, buckets, before, row_share, lifecycle=lifecycle)
        if confidence is not None:
            start, end = histories.seen(row)
            rare.append(Candidate("rare", row, row.text, row.level, start, end, count, float(before), confidence))
    if histories.lines_before >= _ENOUGH_TO_BE_RARE and changes.unusually_many(len(rare), once_before, share):
        yield from rare


def _shifts(timeline: Timeline, histories: Histories) -> Iterator[Candidate]:
    """Yield the templates that burst or are gone."""
    for row in timeline.rows:
        if row.coarse or not histories.before(row):
            continue
        history = histories.of(row)
        change = changes.burst(row.level, history)
        if change is not None:
            yield _candidate("burst", row, row.text, row.level, change, histories)
        # It is good news if warnings and errors stop.
        change = changes.gone(history, covered=histories.covered(row)) if row.level < levels.WARNING else None
        if change is not None:
            yield _candidate("gone", row, row.text, row.level, change, histories)


def _whole_logs(timeline: Timeline, histories: Histories) -> Iterator[Candidate]:
    """Yield a burst of all ordinary lines, and the logs that fell silent."""
    ordinary = histories.ordinary
    change = changes.burst(levels.INFO, ordinary)
    if change is not None and changes.is_abrupt(ordinary, change.begin):
        yield _candidate("burst", None, "all ordinary lines", levels.INFO, change, histories)
    for stream, history, covered in histories.logs():
        change = changes.gone(history, covered=covered)
        if change is not None:
            yield _candidate("gone", None, f"all lines of {stream.name}", levels.WARNING, change, histories)


def _candidate(
    kind: FindingType, row: Row | None, name: str, level: int, change: RateChange, histories: Histories
) -> Candidate:
    start, end = histories.times(change.begin, change.end)
    if row is not None and kind == "burst" and row.first is not None and row.last is not None:
        start, end = max(start, row.first), max(min(end, row.last), start)
    return Candidate(kind, row, name, level, start, end, change.count, change.expected, change.confidence)


def _without_echoes(candidates: list[Candidate]) -> list[Candidate]:
    """Return the candidates that no other one explains.

    A silent log explains that its templates are gone. A burst of all ordinary lines explains the burst of each ordinary
    template, unless one template's burst is most of it.
    """
    silent = [c for c in candidates if c.row is None and c.type == "gone"]
    extra = max((c.count - c.expected for c in candidates if c.row and c.type == "burst"), default=0.0)
    surge = next((c for c in candidates if c.row is None and c.type == "burst"), None)
    if surge is not None and extra > 0.6 * (surge.count - surge.expected):
        surge = None
    kept = []
    for candidate in candidates:
        overlaps = any(c.start <= candidate.end and candidate.start <= c.end for c in silent)
        if candidate.row is not None and candidate.type == "gone" and overlaps:
            continue
        if candidate.type == "burst" and candidate.level < levels.WARNING and candidate is not surge:
            if candidate.row is None:
                continue
            if surge is not None and candidate.count * surge.expected < 2 * surge.count * candidate.expected:
                continue
        kept.append(candidate)
    return kept


def _findings(candidates: list[Candidate], window: Window, histories: Histories, example: Example) -> Iterator[Finding]:
    by_status: dict[tuple[str, str], list[Candidate]] = defaultdict(list)
    for candidate in candidates:
        row = candidate.row
        if row is not None and row.access:
            kind = "new_template" if candidate.type == "rare" else candidate.type
            by_status[kind, row.text.rpartition(" ")[2]].append(candidate)
        else:
            yield _finding(candidate, window, histories, example)
    for (_, status), group in by_status.items():
        if len(group) <= _MOST_ROUTES:
            for candidate in group:
                yield _finding(candidate, window, histories, example)
        else:
            yield _on_many_routes(status, group, window, histories, example)


def _on_many_routes(
    status: str, group: list[Candidate], window: Window, histories: Histories, example: Example
) -> Finding:
    group = sorted(group, key=lambda c: -max(c.count, c.expected))
    whole = msgspec.structs.replace(
        group[0],
        name=f"{status} on {len(group)} routes",
        start=min(c.start for c in group),
        end=max(c.end for c in group),
        count=sum(c.count for c in group),
        expected=sum(c.expected for c in group),
        confidence=max(c.confidence for c in group),
    )
    finding = _finding(whole, window, histories, example)
    finding.evidence["routes"] = [
        {"template": c.row.id, "text": c.row.text[:_LONGEST_SUBJECT], "count": c.count}
        for c in group[:_LISTED_ROUTES]
        if c.row
    ]
    return finding


def _finding(candidate: Candidate, window: Window, histories: Histories, example: Example) -> Finding:
    c = candidate
    evidence: dict[str, Any] = {
        "level": levels.NAMES[c.level],
        "count": c.count,
        "window": {"start": iso(window.start), "end": iso(window.end), "derived": window.derived},
    }
    if c.row is not None:
        log, line = example(c.row)
        evidence |= {
            "template": c.row.id,
            "in_all": c.row.count,
            "before": histories.before(c.row),
            "in_window": sum(histories.inside(c.row)),
            "first": iso(c.row.first) if c.row.first is not None else None,
            "last": iso(c.row.last) if c.row.last is not None else None,
            "log": log,
            "example": line,
        }
    if c.type in ("burst", "gone"):
        evidence["expected"] = round(c.expected) if c.type == "gone" else round(c.expected, 1)
    magnitude, unit, summary = _words(c, histories.grid)
    return Finding(
        type=c.type,
        subject=shorten(c.name, _LONGEST_SUBJECT),
        start=iso(c.start),
        end=iso(c.end),
        magnitude=magnitude,
        unit=unit,
        confidence=round(min(max(c.confidence, 0.0), 1.0), 2),
        summary=summary,
        evidence=evidence,
    )


def _words(c: Candidate, grid: Grid) -> tuple[float, str, str]:
    """Return a finding's magnitude, unit and summary. Other agents' reports rely on the summary: it is a sentence."""
    lines = counted(c.count, "line")
    start = iso(floor(c.start))
    span = f"from {start} to {iso(floor(c.end))}"
    if c.type == "new_template":
        return float(c.count), _noun(c.count), f"First seen at {start}; {lines} since then."
    if c.type == "rare":
        often = f"once, at {start}" if c.count == 1 else f"{c.count} times {span}"
        before = "hardly ever" if c.expected else "never"
        return float(c.count), _noun(c.count), f"Seen {often}, and {before} before."
    if c.type == "burst":
        ratio = c.count / max(c.expected, 0.5)
        expected = f"about {c.expected:,.0f}" if c.expected >= 1 else "hardly any"
        return round(ratio, 1), "times the usual rate", f"{lines} {span}; {expected} were expected."
    missing = round(c.expected) - c.count
    came = f"Only {lines}" if c.count else "No lines"
    return float(missing), f"{_noun(missing)} missing", f"{came} {span}; about {round(c.expected):,} were expected."


def _noun(count: float) -> str:
    return "line" if count == 1 else "lines"
