"""What a finding counts: one struct, of which its words, figure, row of a table and chart are projections."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import msgspec

from log_analyst.detectors.comparing import Candidate
from log_analyst.detectors.histories import Histories
from log_analyst.grid import Grid
from log_analyst.readers.mining import Template
from triage.findings import FindingType, State

# Buckets without a line after the last one, so that a change may be called over; and their ratio to its longest pause.
_QUIET, _TIMES_QUIETER = 2, 2.0


class Matched(msgspec.Struct, frozen=True, kw_only=True):
    """The lines of a finding: those of one template, of the routes that share a status, or of a whole log.

    `counts` are all of its lines, by bucket of `grid`. Those from bucket `begin` to `end` (exclusive) are the
    finding's, and so are `later` ones after the last bucket: `count` is their number; about `expected` are usual.
    `before` came before the window and `in_window` in it. The finding lasts from `start` to `last` (seconds since the
    epoch). `early` and `late` are how many seconds before and after `start` the change may have begun. The logs with
    these lines end at `log_end`, and all logs at `recording_end`.
    """

    grid: Grid
    counts: list[int]
    begin: int
    end: int
    later: int
    expected: float
    before: int
    in_window: int
    start: float
    last: float
    early: float
    late: float
    log_end: float
    recording_end: float

    @property
    def count(self) -> int:
        """The number of the finding's lines."""
        return sum(self.counts[self.begin : self.end]) + self.later

    @property
    def quiet_s(self) -> float:
        """How long the logs go on after the finding's last line, in seconds."""
        return max(self.log_end - self.last, 0.0)

    @property
    def source(self) -> str:
        """What ends at `log_end`."""
        return "the recording" if self.log_end >= self.recording_end - self.grid.width else "its log"

    def state(self, kind: str) -> State:
        """Return whether a finding of type `kind` is over, goes on to the end of its logs, or cannot be known."""
        if kind == "gone":
            return "over" if any(self.counts[self.end :]) else "ongoing"
        if kind == "burst":
            left = self.grid.bucket(self.log_end) + 1 - self.end
            return "over" if left >= _QUIET else "ongoing" if left <= 0 else "unknown"
        if self.count == 1:
            return "unknown"  # a single line has no end
        quiet = self.quiet_s / self.grid.width
        pauses = (len(list(run)) for count, run in groupby(self.counts[self.begin : self.end]) if not count)
        longest = max(pauses, default=0)
        if quiet <= max(1, longest):
            return "ongoing"
        return "over" if quiet > max(_QUIET, _TIMES_QUIETER * longest) else "unknown"


def matched(kind: FindingType, group: Sequence[Candidate], histories: Histories) -> Matched:
    """Return what a finding of type `kind` counts of the candidates in `group`.

    A new template's finding has all of its lines, a rare one's those in the window, others' those of their stretch.
    """
    grid, rows = histories.grid, rows_of(group)
    counts = [sum(each) for each in zip(*(c.counts for c in group), strict=True)]
    begin, end = min(c.begin for c in group), max(c.stop for c in group)
    if kind == "new_template":
        end = grid.size - next(at for at, count in enumerate(reversed(counts)) if count)
    later = sum(row.later for row in rows) if kind == "new_template" else 0
    in_window = sum(counts[histories.begin : histories.end])
    start, last = grid.start(begin), grid.start(end)
    early, late = (grid.width if kind == "gone" or not rows else 0.0), grid.width
    if rows and kind != "gone":
        final = max(row.last for row in rows if row.last is not None)
        start = max(start, min(row.first for row in rows if row.first is not None))
        last = max(start, final if later else min(last, final))
        if kind == "new_template" or (kind == "rare" and in_window == sum(len(row.times) for row in rows)):
            late = resolution(start)
    log_end = histories.log_end(rows)
    if kind == "gone" and not any(counts[end:]):
        end, last = grid.size, max(last, log_end)
    return Matched(
        grid=grid,
        counts=counts,
        begin=begin,
        end=end,
        later=later,
        # Each candidate says it for its own stretch.
        expected=sum(c.expected * (end - begin) / (c.stop - c.begin) for c in group),
        before=sum(counts[: histories.begin]) + sum(row.older for row in rows),
        in_window=in_window,
        start=start,
        last=last,
        early=early,
        late=late,
        log_end=log_end,
        recording_end=histories.log_end(),
    )


def rows_of(group: Sequence[Candidate]) -> list[Template]:
    """Return the templates of candidates; none for whole logs."""
    return [c.row for c in group if c.row is not None]


def resolution(first: float) -> float:
    """Return how much later than written a line may be, in seconds: the times of many logs are whole seconds."""
    return 0.0 if first % 1 else 1.0
