"""The counts of a timeline around a window: what the tests in `changes` compare."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from math import ceil
from operator import sub
from statistics import median
from typing import NamedTuple

from log_analyst.detectors.timeline import Stream, Timeline
from log_analyst.detectors.window import Window
from log_analyst.readers import levels
from log_analyst.readers.mining import Template

# How many frequent ordinary templates tell, by their median, how much traffic there is; and the fewest that can.
_GUIDES, _FEWEST_GUIDES = 11, 3


class History(NamedTuple):
    """The counts of a template or a log in each bucket.

    `before` are those before the window; `elsewhere` are the same and, if the window is derived, those after it;
    `window` are those in it, from bucket `begin` on, of which the first `covered` come before the end of its log.
    `traffic` is, for each bucket of the window, the number of other ordinary lines in relation to the time before.
    """

    begin: int
    before: list[int]
    elsewhere: list[int]
    window: list[int]
    covered: int
    traffic: list[float]

    @property
    def usual(self) -> float:
        """The mean of `before`: lines per bucket."""
        return sum(self.before) / len(self.before) if self.before else 0.0


class Histories:
    """The counts of a timeline, which must have a grid. The window are its buckets from `begin` to `end` (exclusive).

    Without a window these are all, so nothing is before. Methods that take templates are about the logs that have them,
    or without templates about all logs.
    """

    def __init__(self, timeline: Timeline, window: Window | None) -> None:
        assert timeline.grid is not None
        self.timeline = timeline
        self.grid = timeline.grid
        self.begin, self.end = 0, self.grid.size
        if window is not None:
            begin = round((window.start - self.grid.origin) / self.grid.width)
            self.begin = min(max(begin, 0), self.grid.size - 1)
            end = ceil((window.end - self.grid.origin) / self.grid.width)
            self.end = min(max(end, self.begin + 1), self.grid.size)
        self.lines_before = sum(timeline.totals[: self.begin]) + sum(row.older for row in timeline.rows)
        self._derived = window is not None and window.derived

    def share(self, rows: Sequence[Template] = ()) -> float:
        """Return the window's share of the time that the logs cover up to its end, 0 to 1."""
        inside = (self.end - self.begin) * self.grid.width
        start = self.grid.start(self.begin)
        return inside / (inside + max(start - min((log.first for log in self._logs(rows)), default=start), 0.0))

    def log_end(self, rows: Sequence[Template] = ()) -> float:
        """Return when the last line of the logs was written."""
        return max((log.last for log in self._logs(rows)), default=self.grid.start(self.begin))

    def before(self, row: Template) -> int:
        """Return the number of the row's lines before the window."""
        return row.older + sum(row.series[: self.begin])

    def inside(self, row: Template) -> list[int]:
        """Return the number of the row's lines in each bucket of the window."""
        return row.series[self.begin : self.end]

    def of_row(self, row: Template) -> History:
        """Return the row's history from the start of its logs on."""
        first = min((log.first for log in self._logs([row])), default=self.grid.start(self.begin))
        return self._history(row.series, first, self.log_end([row]), self._traffic_beside(row))

    def of_log(self, log: Stream) -> History:
        """Return a log's history. It should have lines as long as any log has."""
        return self._history(log.series, log.first, self.log_end(), self._flat)

    @cached_property
    def ordinary(self) -> list[int]:
        """The number of all lines below WARNING in each bucket, without templates that are new in the window."""
        series = self.timeline.ordinary
        for row in self.timeline.rows:
            if row.level < levels.WARNING and not self.before(row):
                series = list(map(sub, series, row.series))
        return series

    def of_ordinary(self) -> History:
        """Return the history of `ordinary`."""
        return self._history(self.ordinary, self.grid.origin, self.grid.start(self.end), self._flat)

    def _history(self, series: list[int], first: float, last: float, traffic: list[float]) -> History:
        before = series[max(self.grid.bucket(first), 0) : self.begin]
        after = series[self.end :] if self._derived else []
        covered = min(max(self.grid.bucket(last), self.begin), self.end) - self.begin
        return History(self.begin, before, before + after, series[self.begin : self.end], covered, traffic)

    def _logs(self, rows: Sequence[Template]) -> list[Stream]:
        """Return the logs that have a row. Logs without times are not in the timeline."""
        streams = self.timeline.streams
        return [streams[at] for row in rows for at in row.streams if at in streams] or list(streams.values())

    @property
    def _flat(self) -> list[float]:
        return [1.0] * (self.end - self.begin)

    @cached_property
    def _guides(self) -> dict[int, list[float]]:
        """The most frequent ordinary templates: their ratio to their usual counts in each bucket of the window."""
        rows = [row for row in self.timeline.rows if row.level < levels.WARNING and not row.coarse]
        rows.sort(key=lambda row: -sum(row.series[: self.begin]))
        guides = {}
        for row in rows[:_GUIDES]:
            usual = sum(row.series[: self.begin]) / max(self.begin, 1)
            if usual >= 1:
                nearby = (row.series[max(at - 1, 0) : at + 2] for at in range(self.begin, self.end))
                guides[id(row)] = [sum(near) / len(near) / usual for near in nearby]
        return guides

    def _traffic_beside(self, row: Template) -> list[float]:
        """Return the median of the other guides in each bucket of the window."""
        others = [ratios for guide, ratios in self._guides.items() if guide != id(row)]
        return [median(ratios) for ratios in zip(*others, strict=True)] if len(others) >= _FEWEST_GUIDES else self._flat
