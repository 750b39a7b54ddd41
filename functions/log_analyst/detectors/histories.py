"""The histories that the tests of `changes` are put to: each template's counts before and in the window."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil, floor
from statistics import median

from log_analyst.detectors.changes import History
from log_analyst.detectors.timeline import Row, Stream, Timeline, series_of
from log_analyst.detectors.window import MOST_LOGS, Window
from log_analyst.readers import levels

# The ordinary templates whose median tells how much traffic there is, and how few are too few for that.
_GUIDES, _FEWEST_GUIDES = 10, 3
# A stretch in which nothing at all was written is no part of "before" from this share of the timeline on.
_PAUSE = 0.1


class Histories:
    """What there was before `window` and in it. `table` must have a grid, made for `window` or before it."""

    def __init__(self, table: Timeline, window: Window) -> None:
        assert table.grid is not None
        self.grid = table.grid
        self._table = table
        self._derived = window.derived
        size = self.grid.size
        begin = round((window.start - self.grid.origin) / self.grid.width)
        end = ceil((window.end - self.grid.origin) / self.grid.width)
        self._begin = min(max(begin, 0), size - 1)
        self._end = min(max(end, self._begin + 1), size)
        self._start = self.grid.start(self._begin)
        self._active = _active(table.totals)
        self._series = {row.id: series_of(row.cells, size) for row in table.rows}
        self._guides = self._choose_guides()
        self._traffic: list[float] | None = None
        self.lines_before = sum(table.totals[: self._begin]) + sum(row.older for row in table.rows)

    @property
    def share(self) -> float:
        """The window's share of the time up to its end."""
        return self._share_since(min(stream.first for stream in self._table.streams.values()))

    def share_of(self, row: Row) -> float:
        """The same, of the time in which the logs that have `row` were written."""
        return self._share_since(min((log.first for log in self._logs_of(row)), default=self._start))

    def before(self, row: Row) -> int:
        """The row's lines before the window."""
        return row.older + sum(self._series[row.id][: self._begin])

    def inside(self, row: Row) -> list[int]:
        """The row's lines in each bucket of the window."""
        return self._series[row.id][self._begin : self._end]

    def seen(self, row: Row) -> tuple[float, float]:
        """When the row was first and last seen in the window: as exactly as the timeline knows."""
        buckets = [at for at in range(self._begin, self._end) if self._series[row.id][at]]
        first, last = row.first or 0.0, row.last or 0.0
        start = max(first, self.grid.start(buckets[0]))
        return start, max(start, min(last, self.grid.start(buckets[-1] + 1)))

    def times(self, begin: int, end: int) -> tuple[float, float]:
        """When the window's buckets from `begin` to `end` (exclusive) start and end."""
        return self.grid.start(self._begin + begin), self.grid.start(self._begin + end)

    def of(self, row: Row) -> History:
        """The row's history, from when its logs begin."""
        begin = self._bucket(min((log.first for log in self._logs_of(row)), default=self._start))
        return self._history(self._series[row.id], max(begin, 0), self._traffic_beside(row))

    @property
    def ordinary(self) -> History:
        """All lines below WARNING, without templates that are new in the window."""
        series = list(self._table.ordinary)
        for row in self._table.rows:
            if row.level < levels.WARNING and not self.before(row):
                series = [a - b for a, b in zip(series, self._series[row.id], strict=True)]
        return self._history(series, 0, [1.0] * (self._end - self._begin))

    def logs(self) -> Iterator[tuple[Stream, History, int]]:
        """Each log's history, and how many buckets of the window there is something to expect of it."""
        streams = list(self._table.streams.values())
        if len(streams) > MOST_LOGS:
            return
        last = self._bucket(max(stream.last for stream in streams))
        flat = [1.0] * (self._end - self._begin)
        for stream in streams:
            if stream.errors_only:
                continue  # its silence is good news
            history = self._history(series_of(stream.cells, self.grid.size), max(self._bucket(stream.first), 0), flat)
            yield stream, history, min(max(last - self._begin, 0), len(flat))

    def covered(self, row: Row) -> int:
        """How many buckets of the window lie before the last line of the logs that have `row`."""
        last = max((log.last for log in self._logs_of(row)), default=self._start)
        return min(max(self._bucket(last) - self._begin, 0), self._end - self._begin)

    def _logs_of(self, row: Row) -> list[Stream]:
        """The logs that have the row's lines: those of which no line has a time are in no timeline."""
        return [self._table.streams[at] for at in row.streams if at in self._table.streams]

    def _history(self, series: list[int], begin: int, traffic: list[float]) -> History:
        before = [series[at] for at in range(begin, self._begin) if self._active[at]]
        after = range(self._end, self.grid.size) if self._derived else ()
        elsewhere = before + [series[at] for at in after if self._active[at]]
        return History(before, elsewhere, series[self._begin : self._end], traffic)

    def _choose_guides(self) -> dict[str, list[float]]:
        """The most frequent ordinary templates, with their smoothed ratio to their usual count in each bucket."""
        length = max(sum(self._active[: self._begin]), 1)
        rows = [row for row in self._table.rows if row.level < levels.WARNING and not row.coarse]
        counts = {row.id: sum(self._series[row.id][: self._begin]) for row in rows}
        rows.sort(key=lambda row: -counts[row.id])
        guides = {}
        for row in rows[: _GUIDES + 1]:
            usual = counts[row.id] / length
            if usual >= 1:
                guides[row.id] = [
                    sum(near) / len(near) / usual
                    for at in range(self._begin, self._end)
                    if (near := self._series[row.id][max(at - 1, 0) : at + 2])
                ]
        return guides

    def _traffic_beside(self, row: Row) -> list[float]:
        """How many times as many lines as usual the other ordinary templates have, by their median."""
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

    def _bucket(self, time: float) -> int:
        return floor((time - self.grid.origin) / self.grid.width)


def _active(totals: list[int]) -> list[bool]:
    """Whether something was written around each bucket: long pauses of everything are no time to compare with."""
    longest = max(5, ceil(_PAUSE * len(totals)))
    active = [True] * len(totals)
    run = 0
    for at, count in enumerate([*totals, 1]):
        if count:
            if run >= longest:
                active[at - run : at] = [False] * run
            run = 0
        else:
            run += 1
    return active
