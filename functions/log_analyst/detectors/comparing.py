"""Comparing the window with the time before it: from the timeline to findings."""

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
from triage.findings import Finding, FindingType, in_order, iso

MOST = 40
_SUBJECT = 200
# More findings of one type and HTTP status than this are told as one: "502 on 14 routes".
_ROUTES = 3
_LISTED_ROUTES = 20
_ENOUGH_TO_BE_RARE = 100
# A log of so many lines is called quiet when no more than so many of them are errors.
_ENOUGH_TO_BE_QUIET, _LONELY = 500, 3

Example = Callable[[Row], tuple[str, str]]


class Candidate(msgspec.Struct, frozen=True):
    """A change of `row` (of a whole log when it is None, `name` then says which) before it is put into words."""

    type: FindingType
    row: Row | None
    name: str
    level: int
    start: float
    end: float
    count: int
    expected: float
    confidence: float


def compare(table: Timeline, window: Window, example: Example) -> list[Finding]:
    """What changed in `window`, sorted by start; the MOST serious and surest when there is more.

    `example` gives, for a row, the name of the log its first line is in, and that line. A log that goes on as
    before gives no finding.
    """
    if table.grid is None:
        return []
    histories = Histories(table, window)
    candidates = [*_firsts(table, histories), *_shifts(table, histories), *_whole_logs(table, histories)]
    findings = list(_findings(_without_echoes(candidates), window, histories, example))
    findings.sort(key=rank)
    return in_order(findings[:MOST])


def quiet_errors(table: Timeline, example: Example) -> list[Finding]:
    """The few errors of a log without any others, which no comparison of rates can find: each is rare."""
    rows = [row for row in table.rows if row.level >= levels.ERROR and not row.coarse]
    timed = [row for row in rows if row.first is not None and row.last is not None]
    if table.entries < _ENOUGH_TO_BE_QUIET or not timed or sum(row.count for row in rows) > _LONELY:
        return []
    return in_order([_lonely(row, row.first, row.last, example) for row in timed if row.first and row.last])


def _lonely(row: Row, first: float, last: float, example: Example) -> Finding:
    log, line = example(row)
    often = "The only time" if row.count == 1 else f"{row.count} times"
    return Finding(
        type="rare",
        subject=row.text[:_SUBJECT],
        start=iso(first),
        end=iso(last),
        magnitude=float(row.count),
        unit=_noun(row.count),
        confidence=0.4,
        summary=f"{often}, at {iso(floor(first))}, in logs that have hardly any other error.",
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
    """Sorts findings by what to read first: errors, then the surest, then the earliest."""
    level = levels.level_of(finding.evidence.get("level"))
    serious = level >= levels.ERROR and finding.type != "gone"
    return (not serious, -finding.confidence, finding.start)


def _firsts(table: Timeline, histories: Histories) -> Iterator[Candidate]:
    """What is new, and what is rare."""
    seldom: list[Candidate] = []
    once_before = 0
    share = histories.share
    for row in table.rows:
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
        sure = changes.new(row.level, count, buckets, row_share) if not before else None
        if sure is not None:
            yield Candidate("new_template", row, row.text, row.level, row.first, row.last, row.count, 0.0, sure)
            continue
        if row.variant:
            continue  # Now and then there is another word in a line that is well known.
        sure = changes.rare(row.level, count, buckets, before, row_share, lifecycle=lifecycle)
        if sure is not None:
            start, end = histories.seen(row)
            seldom.append(Candidate("rare", row, row.text, row.level, start, end, count, float(before), sure))
    if histories.lines_before >= _ENOUGH_TO_BE_RARE and changes.unusually_many(len(seldom), once_before, share):
        yield from seldom


def _shifts(table: Timeline, histories: Histories) -> Iterator[Candidate]:
    """What bursts, and what is gone."""
    for row in table.rows:
        if row.coarse or not histories.before(row):
            continue
        history = histories.of(row)
        change = changes.burst(row.level, history)
        if change is not None:
            yield _candidate("burst", row, row.text, row.level, change, histories)
        # Warnings and errors that stop are good news.
        change = changes.gone(history, covered=histories.covered(row)) if row.level < levels.WARNING else None
        if change is not None:
            yield _candidate("gone", row, row.text, row.level, change, histories)


def _whole_logs(table: Timeline, histories: Histories) -> Iterator[Candidate]:
    """A surge of all ordinary lines, and a log that fell silent."""
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
    """Without what another candidate explains.

    A silent log explains its templates' silence, a surge of all lines each ordinary template's, and one
    template's burst the surge that is hardly more than it.
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
        if len(group) <= _ROUTES:
            for candidate in group:
                yield _finding(candidate, window, histories, example)
        else:
            yield _folded(status, group, window, histories, example)


def _folded(status: str, group: list[Candidate], window: Window, histories: Histories, example: Example) -> Finding:
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
        {"template": c.row.id, "text": c.row.text[:_SUBJECT], "count": c.count} for c in group[:_LISTED_ROUTES] if c.row
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
        subject=c.name if len(c.name) <= _SUBJECT else c.name[: _SUBJECT - 1] + "…",
        start=iso(c.start),
        end=iso(c.end),
        magnitude=magnitude,
        unit=unit,
        confidence=round(min(max(c.confidence, 0.0), 1.0), 2),
        summary=summary,
        evidence=evidence,
    )


def _words(c: Candidate, grid: Grid) -> tuple[float, str, str]:
    lines = f"{c.count:,} {_noun(c.count)}"
    span = f"from {iso(floor(c.start))} to {iso(floor(c.end))}"
    if c.type == "new_template":
        return float(c.count), _noun(c.count), f"Never seen before {iso(floor(c.start))}; {lines} since."
    if c.type == "rare":
        when = f"at {iso(floor(c.start))}" if c.count == 1 else span
        often = "once" if c.count == 1 else f"{c.count} times"
        before = "hardly ever" if c.expected else "never"
        return float(c.count), _noun(c.count), f"Seen {often}, {when}, and {before} before."
    if c.type == "burst":
        ratio = c.count / max(c.expected, 0.5)
        about = f"{c.expected:,.0f}" if c.expected >= 1 else "hardly any"
        return round(ratio, 1), "times the usual rate", f"{lines} {span}, where {about} were to be expected."
    expected = round(c.expected)
    left = "None" if not c.count else f"Only {lines}"
    words = f"{left} {span}, where about {expected:,} were to be expected."
    return float(expected - c.count), f"{_noun(expected - c.count)} missing", words


def _noun(count: float) -> str:
    return "line" if count == 1 else "lines"
