"""What a finding counts: one struct, of which its words, figure, row of a table and chart are projections."""

from __future__ import annotations

from collections.abc import Sequence
from math import floor
from typing import Any

import msgspec

from log_analyst.detectors.candidate import Candidate
from log_analyst.detectors.histories import Histories
from log_analyst.readers.mining import Template
from triage.findings import LineCounts, State
from triage.times import iso

# Buckets without a line after the last one, so that a change may be called over; and their ratio to its longest pause.
_QUIET, _TIMES_QUIETER = 2, 2.0


class Matched(msgspec.Struct, frozen=True, kw_only=True):
    """The lines of a finding: those of one template, of the routes that share a status, or of a whole log.

    `counts` are all of its lines, by bucket of the timeline. Those from bucket `begin` to `end` (exclusive) are the
    finding's, and so are `later` ones after the last bucket: `count` is their number. `before` came before the window
    and `in_window` in it. The finding lasts from `start` to `last` (seconds since the epoch). `early` and `late` are
    how many seconds before and after `start` the change may have begun. The logs with these lines end at
    `log_end`, and all logs at `recording_end`.
    """

    counts: list[int]
    begin: int
    end: int
    later: int
    count: int
    before: int
    in_window: int
    start: float
    last: float
    early: float
    late: float
    log_end: float
    recording_end: float
    origin: float
    width: float

    @property
    def lines(self) -> dict[str, Any]:
        """The counts as a finding's evidence."""
        shown = LineCounts(
            start=iso(self.origin),
            step_s=self.width,
            counts=self.counts,
            begin=self.begin,
            end=self.end,
            later=self.later,
        )
        fields: dict[str, Any] = msgspec.to_builtins(shown)
        return fields

    @property
    def longest_pause(self) -> int:
        """The most buckets without a line within the finding."""
        longest = run = 0
        for count in self.counts[self.begin : self.end]:
            run = 0 if count else run + 1
            longest = max(longest, run)
        return longest

    @property
    def quiet_s(self) -> float:
        """How long the logs go on after the finding's last line, in seconds."""
        return max(self.log_end - self.last, 0.0)

    @property
    def source(self) -> str:
        """What ends at `log_end`."""
        return "the recording" if self.log_end >= self.recording_end - self.width else "its log"

    def state(self, kind: str) -> State:
        """Return whether a finding of type `kind` is over, goes on to the end of its logs, or cannot be known."""
        if kind == "gone":
            return "over" if any(self.counts[self.end :]) else "ongoing"
        if kind == "burst":
            left = floor((self.log_end - self.origin) / self.width) + 1 - self.end
            return "over" if left >= _QUIET else "ongoing" if left <= 0 else "unknown"
        if self.count == 1:
            return "unknown"  # a single line has no end
        quiet = self.quiet_s / self.width
        if quiet <= max(1, self.longest_pause):
            return "ongoing"
        return "over" if quiet > max(_QUIET, _TIMES_QUIETER * self.longest_pause) else "unknown"


def of_rows(kind: str, rows: Sequence[Template], group: Sequence[Candidate], histories: Histories) -> Matched:
    """Return what a finding of type `kind` counts of `rows`, each of which has a candidate in `group`.

    A new template's finding has all of its lines, a rare one's those in the window, others' those of their stretch.
    """
    grid = histories.grid
    counts = [sum(each) for each in zip(*(row.series for row in rows), strict=True)]
    inside = sum(sum(histories.inside(row)) for row in rows)
    later = sum(row.later for row in rows) if kind == "new_template" else 0
    start, last = min(c.start for c in group), max(c.end for c in group)
    if kind == "new_template":
        begin, end = _filled(counts, 0, grid.size)
    elif kind == "rare":
        begin, end = _filled(counts, *histories.window)
    else:
        begin, end = min(c.begin for c in group), max(c.stop for c in group)
    early, late = (grid.width if kind == "gone" else 0.0), grid.width
    if kind == "new_template" or (kind == "rare" and inside == sum(len(row.times) for row in rows)):
        start = min(row.first for row in rows if row.first is not None)
        last = max(row.last for row in rows if row.last is not None)
        early, late = 0.0, 0.0 if start % 1 else 1.0  # the times of many logs are whole seconds
    return Matched(
        counts=counts,
        begin=begin,
        end=end,
        later=later,
        count=sum(counts[begin:end]) + later,
        before=sum(histories.before(row) for row in rows),
        in_window=inside,
        start=start,
        last=last,
        early=early,
        late=late,
        log_end=histories.log_end(rows),
        recording_end=histories.log_end(),
        origin=grid.origin,
        width=grid.width,
    )


def of_logs(candidate: Candidate, histories: Histories) -> Matched:
    """Return what a finding about whole logs counts."""
    grid, cells = histories.grid, candidate.cells
    first, stop = histories.window
    return Matched(
        counts=cells,
        begin=candidate.begin,
        end=candidate.stop,
        later=0,
        count=sum(cells[candidate.begin : candidate.stop]),
        before=sum(cells[:first]),
        in_window=sum(cells[first:stop]),
        start=candidate.start,
        last=candidate.end,
        early=grid.width,
        late=grid.width,
        log_end=histories.log_end(),
        recording_end=histories.log_end(),
        origin=grid.origin,
        width=grid.width,
    )


def _filled(counts: list[int], begin: int, end: int) -> tuple[int, int]:
    """Return the stretch from the first bucket with a line to the last one."""
    filled = [at for at in range(begin, end) if counts[at]]
    return (filled[0], filled[-1] + 1) if filled else (begin, begin)
