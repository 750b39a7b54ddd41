"""What a finding counts: one object, of which its words, figure, row of a table and chart are projections."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from log_analyst.detectors.comparing import Candidate
from log_analyst.detectors.histories import Histories
from triage.findings import FindingType, State

# Buckets without a line after the last one, so that a change may be called over; and their ratio to its longest pause.
_QUIET, _TIMES_QUIETER = 2, 2.0


class Matched:
    """The lines of a finding: those of one template, of the routes that share a status, or of a whole log.

    A new template's finding has all of its lines, a rare one's those in the window, others' those of their stretch.
    `counts` are all lines of its templates, by bucket of `grid`. Those from bucket `begin` to `end` (exclusive) are the
    finding's, and so are `later` ones after the last bucket: `count` is their number; about `expected` are usual.
    `before` came before the window and `in_window` in it. Of whole logs there are no `rows`. The finding lasts from
    `start` to `last` (seconds since the epoch). `early` and `late` are how many seconds before and after `start` the
    change may have begun. `source` ends at `log_end`, `quiet_s` seconds after the finding's last line.
    """

    def __init__(self, kind: FindingType, group: Sequence[Candidate], histories: Histories) -> None:
        grid = histories.grid
        rows = [c.row for c in group if not c.row.whole]
        self.kind, self.grid, self.rows = kind, grid, rows
        self.counts = [sum(each) for each in zip(*(c.row.series for c in group), strict=True)]
        self.begin, self.end = min(c.begin for c in group), max(c.stop for c in group)
        if kind == "new_template":
            self.end = grid.size - next(at for at, count in enumerate(reversed(self.counts)) if count)
        self.later = sum(row.later for row in rows) if kind == "new_template" else 0
        self.count = sum(self.counts[self.begin : self.end]) + self.later
        self.before = sum(self.counts[: histories.begin]) + sum(row.older for row in rows)
        self.in_window = sum(self.counts[histories.begin : histories.end])
        self.start, self.last = grid.start(self.begin), grid.start(self.end)
        self.early, self.late = (grid.width if kind == "gone" or not rows else 0.0), grid.width
        if rows and kind != "gone":
            final = max(row.last for row in rows if row.last is not None)
            self.start = max(self.start, min(row.first for row in rows if row.first is not None))
            self.last = max(self.start, final if self.later else min(self.last, final))
            is_whole = self.in_window == sum(len(row.times) for row in rows)
            if kind == "new_template" or (kind == "rare" and is_whole):
                self.late = 0.0 if self.start % 1 else 1.0  # the times of many logs are whole seconds
            elif kind == "trend":
                self.late = grid.size * grid.width / 4
        self.log_end = histories.log_end(rows)
        if kind == "gone" and not any(self.counts[self.end :]):
            self.end, self.last = grid.size, max(self.last, self.log_end)
        # Each candidate says it for its own stretch.
        self.expected = sum(c.expected * (self.end - self.begin) / (c.stop - c.begin) for c in group)
        self.quiet_s = max(self.log_end - self.last, 0.0)
        self.source = "the recording" if self.log_end >= histories.log_end() - grid.width else "its log"

    @property
    def state(self) -> State:
        """Whether it is over, goes on to the end of its logs, or cannot be known."""
        if self.kind == "gone":
            return "over" if any(self.counts[self.end :]) else "ongoing"
        if self.kind in ("burst", "trend"):
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
