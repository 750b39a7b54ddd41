"""The histories that `changes` tests: the counts of each template and each log before the window and in it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import ceil
from statistics import median

from log_analyst.detectors.changes import History
from log_analyst.detectors.timeline import Stream, Timeline
from log_analyst.detectors.window import MOST_LOGS, Window
from log_analyst.readers import levels
from log_analyst.readers.mining import Template

# How many frequent ordinary templates tell, by their median, how much traffic there is; and the fewest that can.
_GUIDES, _FEWEST_GUIDES = 10, 3


class Histories:
    """The counts of a timeline around a window. The timeline must have a grid."""

    def __init__(self, timeline: Timeline, window: Window) -> None:
        assert timeline.grid is not None
        self.grid = timeline.grid
        self._timeline = timeline
        self._derived = window.derived
        size = self.grid.size
        begin = round((window.start - self.grid.origin) / self.grid.width)
        end = ceil((window.end - self.grid.origin) / self.grid.width)
        self._begin = min(max(begin, 0), size - 1)
        self._end = min(max(end, self._begin + 1), size)
        self._start = self.grid.start(self._begin)
        self._guides = self._choose_guides()
        self._traffic: list[float] | None = None
        self.lines_before = sum(timeline.totals[: self._begin]) + sum(row.older for row in timeline.rows)

    @property
    def share(self) -> float:
        """The window's share of the time that the logs cover up to its end, 0 to 1."""
        return self._share_since(min(stream.first for stream in self._timeline.streams.values()))

    def share_of(self, row: Template) -> float:
        """Return the same share for the logs that have `row`."""
        return self._share_since(min((log.first for log in self._logs_of(row)), default=self._start))

    @property
    def window(self) -> tuple[int, int]:
        """The buckets of the window: the first, and the one after the last."""
        return self._begin, self._end

    def log_end(self, rows: Iterable[Template] = ()) -> float:
        """Return when the last line was written of the logs that have one of `rows`, or of all logs without rows."""
        logs = [log for row in rows for log in self._logs_of(row)] or self._timeline.streams.values()
        return max((log.last for log in logs), default=self._start)

    def before(self, row: Template) -> int:
        """Return the number of the row's lines before the window."""
        return row.older + sum(row.series[: self._begin])

    def inside(self, row: Template) -> list[int]:
        """Return the number of the row's lines in each bucket of the window."""
        return row.series[self._begin : self._end]

    def seen(self, row: Template) -> tuple[float, float]:
        """Return when the row first and last occurs in the window, as exactly as the timeline knows."""
        buckets = [at for at in range(self._begin, self._end) if row.series[at]]
        first, last = row.first or 0.0, row.last or 0.0
        start = max(first, self.grid.start(buckets[0]))
        return start, max(start, min(last, self.grid.start(buckets[-1] + 1)))

    def times(self, begin: int, end: int) -> tuple[float, float]:
        """Return the start and the end of the window's buckets from `begin` to `end` (exclusive)."""
        return self.grid.start(self._begin + begin), self.grid.start(self._begin + end)

    def of(self, row: Template) -> History:
        """Return the row's history from the start of its logs on."""
        begin = self.grid.bucket(min((log.first for log in self._logs_of(row)), default=self._start))
        return self._history(row.series, max(begin, 0), self._traffic_beside(row))

    @property
    def ordinary_cells(self) -> list[int]:
        """The number of all lines below WARNING in each bucket, without templates that are new in the window."""
        series = list(self._timeline.ordinary)
        for row in self._timeline.rows:
            if row.level < levels.WARNING and not self.before(row):
                series = [a - b for a, b in zip(series, row.series, strict=True)]
        return series

    @property
    def ordinary(self) -> History:
        """The history of `ordinary_cells`."""
        return self._history(self.ordinary_cells, 0, [1.0] * (self._end - self._begin))

    def logs(self) -> Iterator[tuple[Stream, History, int]]:
        """Yield each log, its history, and how many buckets of the window it should have lines in.

        Error logs are left out, because their silence is good news; so are all logs if there are more than 12.
        """
        streams = list(self._timeline.streams.values())
        if len(streams) > MOST_LOGS:
            return
        last = self.grid.bucket(max(stream.last for stream in streams))
        flat = [1.0] * (self._end - self._begin)
        for stream in streams:
            if stream.errors_only:
                continue
            history = self._history(stream.series, max(self.grid.bucket(stream.first), 0), flat)
            yield stream, history, min(max(last - self._begin, 0), len(flat))

    def covered(self, row: Template) -> int:
        """Return how many buckets of the window come before the last line of the logs that have `row`."""
        last = max((log.last for log in self._logs_of(row)), default=self._start)
        return min(max(self.grid.bucket(last) - self._begin, 0), self._end - self._begin)

    def _logs_of(self, row: Template) -> list[Stream]:
        """Return the logs that have the row. Logs without times are not in the timeline."""
        return [self._timeline.streams[at] for at in row.streams if at in self._timeline.streams]

    def _history(self, series: list[int], begin: int, traffic: list[float]) -> History:
        before = series[begin : self._begin]
        after = series[self._end :] if self._derived else []
        return History(before, before + after, series[self._begin : self._end], traffic)

    def _choose_guides(self) -> dict[str, list[float]]:
        """Return, for the most frequent ordinary templates, the smoothed ratio to the usual count in each bucket."""
        length = max(self._begin, 1)
        rows = [row for row in self._timeline.rows if row.level < levels.WARNING and not row.coarse]
        counts = {row.id: sum(row.series[: self._begin]) for row in rows}
        rows.sort(key=lambda row: -counts[row.id])
        guides = {}
        for row in rows[: _GUIDES + 1]:
            usual = counts[row.id] / length
            if usual >= 1:
                guides[row.id] = [
                    sum(near) / len(near) / usual
                    for at in range(self._begin, self._end)
                    if (near := row.series[max(at - 1, 0) : at + 2])
                ]
        return guides

    def _traffic_beside(self, row: Template) -> list[float]:
        """Return the traffic without `row`: the median ratio of the other guides in each bucket of the window."""
        if row.id not in self._guides:
            if self._traffic is None:
                self._traffic = self._median(list(self._guides.values()))
            return self._traffic
        return self._median([ratios for name, ratios in self._guides.items() if name != row.id])

    def _median(self, guides: list[list[float]]) -> list[float]:
        if len(guides) < _FEWEST_GUIDES:
            return [1.0] * (self._end - self._begin)
        return [median(ratios) for ratios in zip(*guides, strict=True)]

    def _share_since(self, first: float) -> float:
        inside = (self._end - self._begin) * self.grid.width
        return inside / (inside + max(self._start - first, 0.0))
