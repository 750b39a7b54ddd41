"""The timeline: how often each template and each log occurs in each bucket of time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain

import msgspec

from log_analyst.grid import Grid
from log_analyst.readers import levels
from log_analyst.readers.mining import Template

_ROWS = 400  # most templates that are compared
_SERIOUS = 250  # most warnings and errors that take a row before the other templates do
_ERRORS_ONLY = 0.9  # share of warnings and errors from which a log counts as an error log


class Stream(msgspec.Struct, frozen=True):
    """A log, its rotated parts together.

    It was written from `first` to `last` (seconds since the epoch); `series` are its lines in each bucket. An error log
    (`errors_only`) is silent when all is well, so it counts as written while any log is.
    """

    name: str
    first: float
    last: float
    errors_only: bool
    series: list[int]


class Timeline(msgspec.Struct, frozen=True):
    """The counts that are compared.

    Of `entries` in all, `untimed` have no time; `grid` is None if none has one. The templates in `rows` are counted in
    its buckets; `omitted` others are not. `totals` and `ordinary` count, for each bucket, all lines and those below
    WARNING, with those of omitted templates. `streams` has each log by its number. `newcomers` are hosts and callers
    that stand out; their lines are counted in `rows` too.
    """

    entries: int
    untimed: int
    grid: Grid | None
    rows: list[Template]
    omitted: int
    streams: dict[int, Stream]
    totals: list[int]
    ordinary: list[int]
    newcomers: list[Template] = []


def timeline_of(
    templates: list[Template],
    grid: Grid | None,
    streams: Mapping[int, tuple[str, Sequence[float], int]],
    *,
    entries: int,
) -> Timeline:
    """Return the timeline of `templates`, which are in order of importance: the last get no row if there are too many.

    `streams` has, by its number, each log's name, the times of its lines (at least one), and how many are warnings or
    worse.
    """
    serious = [template for template in templates if template.level >= levels.WARNING]
    others = [template for template in templates if template.level < levels.WARNING]
    # Errors come first, but thousands of them must not push out the ordinary lines that may have stopped.
    rows = (serious[:_SERIOUS] + others + serious[_SERIOUS:])[:_ROWS]
    for row in rows:
        row.count_over(grid)
    untimed = entries - sum(len(template.times) for template in templates)
    totals, ordinary = (
        grid.counts(chain.from_iterable(template.times for template in templates if template.level < level))[0]
        if grid
        else []
        for level in (levels.CRITICAL + 1, levels.WARNING)
    )
    return Timeline(entries, untimed, grid, rows, len(templates) - len(rows), _streams(streams, grid), totals, ordinary)


def _streams(logs: Mapping[int, tuple[str, Sequence[float], int]], grid: Grid | None) -> dict[int, Stream]:
    spans = {number: (min(times), max(times)) for number, (_, times, _) in logs.items()}
    streams = {}
    for number, (name, times, serious) in logs.items():
        errors_only = serious >= _ERRORS_ONLY * len(times)
        firsts, lasts = zip(*(spans.values() if errors_only else [spans[number]]), strict=True)
        streams[number] = Stream(name, min(firsts), max(lasts), errors_only, grid.counts(times)[0] if grid else [])
    return streams
