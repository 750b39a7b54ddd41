"""The timeline: how often each template was seen in each bucket of time, small enough to be a graph's state."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain
from math import ceil, floor

import msgspec

from log_analyst.readers import levels
from log_analyst.readers.mining import Template

BUCKETS = 240
_BEFORE, _AFTER = 200, 40  # buckets around a window that is short for its log
_IN_WINDOW = 8  # a window has at least so many buckets, where seconds allow it
_WIDTHS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400)
# The table is checkpointed with the graph's state: it holds so many templates and so many cells.
_ROWS, _CELLS = 400, 24_000
_SERIOUS = 250
_ERRORS_ONLY = 0.9  # of its lines are warnings or worse: an error log


class Grid(msgspec.Struct, frozen=True):
    """`size` buckets of `width` seconds from `origin` (seconds since the epoch) on."""

    origin: float
    width: float
    size: int

    def start(self, bucket: int) -> float:
        """When `bucket` starts, in seconds since the epoch."""
        return self.origin + bucket * self.width


class Row(msgspec.Struct):
    """A template's place in the timeline. `cells` is bucket, count, bucket, count …; zeros are left out.

    `older` and `later` are its lines before and after the grid, `first` and `last` None without any time.
    """

    id: str
    level: int
    text: str
    access: bool
    coarse: bool
    variant: bool
    at: tuple[int, int, int]
    streams: list[int]
    count: int
    first: float | None
    last: float | None
    older: int
    later: int
    cells: list[int]


class Stream(msgspec.Struct):
    """A log (its rotated parts together), when it was written, and its lines in each bucket, as a row's.

    An error log says nothing when all is well: it counts as written for as long as any other log.
    """

    name: str
    first: float
    last: float
    errors_only: bool
    cells: list[int]


class Timeline(msgspec.Struct):
    """Everything the comparison needs. `grid` is None when no line has a time.

    `omitted` templates had no room; `ordinary` counts the lines below WARNING in each bucket, theirs too.
    """

    entries: int
    untimed: int
    grid: Grid | None
    rows: list[Row]
    omitted: int
    streams: dict[int, Stream]
    totals: list[int]
    ordinary: list[int]


def all_times(templates: list[Template]) -> list[float]:
    """The times of all lines in order, without the few that a broken clock put far away from the others."""
    times = sorted(chain.from_iterable(template.times for template in templates))
    if len(times) < 10:
        return times
    # At most one line in a thousand (but always one) at either end may be discarded.
    edge = max(1, len(times) // 1000)
    low, high = times[edge], times[-1 - edge]
    reach = 20 * max(high - low, 60.0)
    if times[-1] - times[0] <= reach:
        return times
    return [time for time in times if low - reach <= time <= high + reach]


def grid_for(times: list[float], window: tuple[float, float] | None) -> Grid:
    """A grid over `times` (in order, at least one), with a bucket that starts where the window does."""
    first, last = times[0], times[-1]
    if window is None:
        width = _wide_enough((last - first) / BUCKETS)
        origin = floor(first / width) * width
        return Grid(origin, width, floor((last - origin) / width) + 1)
    start = window[0]
    end = max(min(window[1], last + 1.0), start + 1.0)  # what comes after the last line is not missing
    width = _wide_enough((max(last, end) - min(first, start)) / BUCKETS)
    width = min(width, _fine_enough((end - start) / _IN_WINDOW))
    before = min(max(ceil((start - first) / width), 0), max(_BEFORE, BUCKETS - _buckets(start, end, width)))
    after = min(max(ceil((last - end) / width), 0), _AFTER)
    return Grid(start - before * width, width, before + _buckets(start, end, width) + after)


def timeline_of(
    templates: list[Template],
    grid: Grid | None,
    streams: Mapping[int, tuple[str, Sequence[float], int]],
    *,
    entries: int,
) -> Timeline:
    """The timeline of `templates`, the most serious and most frequent first when there is no room for all.

    `streams` has each log's name, the times of its lines and how many of them are warnings or worse.
    """
    rows: list[Row] = []
    totals = [0] * (grid.size if grid else 0)
    ordinary = [0] * len(totals)
    cells = omitted = 0
    serious = [template for template in templates if template.level >= levels.WARNING]
    others = [template for template in templates if template.level < levels.WARNING]
    # Errors come first, but thousands of them may not crowd out what used to be said before them.
    for template in serious[:_SERIOUS] + others + serious[_SERIOUS:]:
        counts, older, later = _counts(template.times, grid)
        for bucket, count in counts.items():
            totals[bucket] += count
            if template.level < levels.WARNING:
                ordinary[bucket] += count
        if len(rows) >= _ROWS or cells + len(counts) > _CELLS:
            omitted += 1
            continue
        cells += len(counts)
        rows.append(_row(template, counts, older, later))
    untimed = entries - sum(len(template.times) for template in templates)
    return Timeline(entries, untimed, grid, rows, omitted, _streams(streams, grid), totals, ordinary)


def _row(template: Template, counts: Counter[int], older: int, later: int) -> Row:
    times = template.times
    return Row(
        id=template.id,
        level=template.level,
        text=template.text[:400],
        access=template.access,
        coarse=template.coarse,
        variant=template.variant,
        at=template.at,
        streams=sorted(template.streams)[:20],
        count=template.count,
        first=min(times) if times else None,
        last=max(times) if times else None,
        older=older,
        later=later,
        cells=list(chain.from_iterable(sorted(counts.items()))),
    )


def _streams(logs: Mapping[int, tuple[str, Sequence[float], int]], grid: Grid | None) -> dict[int, Stream]:
    spans = {number: (min(times), max(times)) for number, (_, times, _) in logs.items() if times}
    whole = (
        min((first for first, _ in spans.values()), default=0.0),
        max((last for _, last in spans.values()), default=0.0),
    )
    streams = {}
    for number, (name, times, serious) in logs.items():
        if times:
            errors_only = serious >= _ERRORS_ONLY * len(times)
            first, last = whole if errors_only else spans[number]
            cells = list(chain.from_iterable(sorted(_counts(times, grid)[0].items())))
            streams[number] = Stream(name, first, last, errors_only, cells)
    return streams


def _counts(times: Sequence[float], grid: Grid | None) -> tuple[Counter[int], int, int]:
    if grid is None:
        return Counter(), 0, 0
    origin, width, size = grid.origin, grid.width, grid.size
    counts = Counter([floor((time - origin) / width) for time in times])
    older = sum(counts.pop(bucket) for bucket in list(counts) if bucket < 0)
    later = sum(counts.pop(bucket) for bucket in list(counts) if bucket >= size)
    return counts, older, later


def series_of(cells: list[int], size: int) -> list[int]:
    """The counts of all `size` buckets from a row's or a stream's cells."""
    series = [0] * size
    for bucket, count in zip(cells[::2], cells[1::2], strict=True):
        series[bucket] = count
    return series


def _buckets(start: float, end: float, width: float) -> int:
    return max(1, ceil((end - start) / width))


def _wide_enough(seconds: float) -> float:
    at = bisect_left(_WIDTHS, seconds)
    return float(_WIDTHS[at]) if at < len(_WIDTHS) else ceil(seconds / 86_400) * 86_400.0


def _fine_enough(seconds: float) -> float:
    return float(max((width for width in _WIDTHS if width <= seconds), default=1))
