"""The timeline: how often each template occurs in each bucket of time.

It is part of the graph's state, so it is small, and made of dataclasses (tailrace/agent/checkpoints/state_types.py).
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from math import ceil, floor

from log_analyst.readers import levels
from log_analyst.readers.mining import Template

BUCKETS = 240
_BEFORE, _AFTER = 200, 40  # most buckets before and after a window that is short for its log
_IN_WINDOW = 8  # least buckets of a window, unless it is shorter than as many seconds
# In seconds.
_WIDTHS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400)
# Most templates and most counts of a timeline, because it is checkpointed.
_ROWS, _CELLS = 400, 24_000
_SERIOUS = 250  # most warnings and errors that take a row before the other templates do
_ERRORS_ONLY = 0.9  # share of warnings and errors from which a log counts as an error log


@dataclass(frozen=True, slots=True)
class Grid:
    """`size` buckets of `width` seconds each; the first starts at `origin` (seconds since the epoch)."""

    origin: float
    width: float
    size: int

    def start(self, bucket: int) -> float:
        """Return when `bucket` starts, in seconds since the epoch."""
        return self.origin + bucket * self.width


@dataclass(slots=True)
class Row:
    """A template and its counts.

    `id`, `level`, `text`, `access`, `coarse`, `variant` and `count` are those of its `Template`. Its first line is in
    the `source` of this number, from `line_start` to `line_end`. `streams` are the numbers of at most 20 logs with it.
    `first` and `last` are the times of its lines in seconds since the epoch, None if no line has a time. `cells` is
    bucket, count, bucket, count … without zeros; `older` and `later` count its lines before and after the grid.
    """

    id: str
    level: int
    text: str
    access: bool
    coarse: bool
    variant: bool
    source: int
    line_start: int
    line_end: int
    streams: list[int]
    count: int
    first: float | None
    last: float | None
    older: int
    later: int
    cells: list[int]


@dataclass(slots=True)
class Stream:
    """A log, its rotated parts together.

    It was written from `first` to `last` (seconds since the epoch); `cells` are its lines in each bucket, as in a
    `Row`. An error log (`errors_only`) is silent when all is well, so it counts as written while any log is.
    """

    name: str
    first: float
    last: float
    errors_only: bool
    cells: list[int]


@dataclass(slots=True)
class Timeline:
    """The counts that are compared.

    Of `entries` in all, `untimed` have no time; `grid` is None if none has one. `omitted` templates have no row.
    `totals` and `ordinary` count, for each bucket, all lines and those below WARNING, with those of omitted templates.
    `streams` has each log by its number.
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
    """Return the times of all lines in order, without the few that a wrong clock put far away from the others."""
    times = sorted(chain.from_iterable(template.times for template in templates))
    if len(times) < 10:
        return times
    # At either end one line in a thousand, at least one, may be dropped.
    edge = max(1, len(times) // 1000)
    low, high = times[edge], times[-1 - edge]
    reach = 20 * max(high - low, 60.0)
    if times[-1] - times[0] <= reach:
        return times
    return [time for time in times if low - reach <= time <= high + reach]


def grid_for(times: list[float], window: tuple[float, float] | None) -> Grid:
    """Return a grid over `times` (in order, at least one); one of its buckets starts where `window` does."""
    first, last = times[0], times[-1]
    if window is None:
        width = _wide_enough((last - first) / BUCKETS)
        origin = floor(first / width) * width
        return Grid(origin, width, floor((last - origin) / width) + 1)
    start = window[0]
    end = max(min(window[1], last + 1.0), start + 1.0)  # there is nothing to miss after the last line
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
    """Return the timeline of `templates`, which are in order of importance: the last get no row if there are too many.

    `streams` has, by its number, each log's name, the times of its lines, and how many are warnings or worse.
    """
    rows: list[Row] = []
    totals = [0] * (grid.size if grid else 0)
    ordinary = [0] * len(totals)
    cells = omitted = 0
    serious = [template for template in templates if template.level >= levels.WARNING]
    others = [template for template in templates if template.level < levels.WARNING]
    # Errors come first, but thousands of them must not push out the ordinary lines that may have stopped.
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
    source, line_start, line_end = template.at
    return Row(
        id=template.id,
        level=template.level,
        text=template.text[:400],
        access=template.access,
        coarse=template.coarse,
        variant=template.variant,
        source=source,
        line_start=line_start,
        line_end=line_end,
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
    """Return the counts of all `size` buckets from the cells of a row or a stream."""
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
