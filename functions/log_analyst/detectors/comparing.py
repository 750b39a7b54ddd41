"""Compares the window with the time before it: from the timeline to candidates for findings."""

from __future__ import annotations

from collections.abc import Iterator

from log_analyst.detectors import changes
from log_analyst.detectors.candidate import Candidate
from log_analyst.detectors.changes import RateChange
from log_analyst.detectors.histories import Histories
from log_analyst.detectors.timeline import Timeline
from log_analyst.readers import levels
from log_analyst.readers.mining import Template
from triage.findings import FindingType

# Fewer lines before the window than this cannot show that something is rare.
_ENOUGH_TO_BE_RARE = 100
# Logs of at least so many entries are quiet if no more than so many of them are errors.
_ENOUGH_TO_BE_QUIET, _MOST_LONE_ERRORS = 500, 3


def compare(timeline: Timeline, histories: Histories) -> list[Candidate]:
    """Return what changed in the window of `histories`: nothing in logs that go on as before."""
    return _without_echoes(
        [*_firsts(timeline, histories), *_shifts(timeline, histories), *_whole_logs(timeline, histories)]
    )


def lone_errors(timeline: Timeline) -> list[Template]:
    """Return the few errors of logs that have no others: rates cannot show them."""
    rows = [row for row in timeline.rows if row.level >= levels.ERROR and not row.coarse]
    if timeline.entries < _ENOUGH_TO_BE_QUIET or sum(row.count for row in rows) > _MOST_LONE_ERRORS:
        return []
    return [row for row in rows if row.first is not None and row.last is not None]


def _firsts(timeline: Timeline, histories: Histories) -> Iterator[Candidate]:
    """Yield the templates that are new or rare."""
    rare: list[Candidate] = []
    once_before = 0
    share = histories.share
    for row in (*timeline.rows, *timeline.newcomers):
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
    change = changes.burst(levels.INFO, histories.ordinary)
    if change is not None:
        cells = histories.ordinary_cells
        yield _candidate("burst", None, "all ordinary lines", levels.INFO, change, histories, cells)
    for stream, history, covered in histories.logs():
        change = changes.gone(history, covered=covered)
        if change is not None:
            yield _candidate(
                "gone", None, f"all lines of {stream.name}", levels.WARNING, change, histories, stream.series
            )


def _candidate(
    kind: FindingType,
    row: Template | None,
    name: str,
    level: int,
    change: RateChange,
    histories: Histories,
    cells: list[int] | None = None,
) -> Candidate:
    start, end = histories.times(change.begin, change.end)
    if row is not None and kind == "burst" and row.first is not None and row.last is not None:
        start, end = max(start, row.first), max(min(end, row.last), start)
    first = histories.window[0]
    buckets = first + change.begin, first + change.end
    return Candidate(
        kind, row, name, level, start, end, change.count, change.expected, change.confidence, *buckets, cells or []
    )


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
