"""Newcomers: hosts that write into a log, and callers of a server, that the log did not have before.

They are counted like templates, and the same test tells whether they are new. Most are no news: pods come and go, and a
public server always has new callers. So one stands out only if the log had others in its first quarter, if it writes a
tenth of the lines as long as it is there, and if it is one of few. Newcomers that replace as many others are no news.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from log_analyst.detectors.timeline import Stream
from log_analyst.grid import Grid
from log_analyst.readers.mining import Template

_FEWEST = 20  # lines of a newcomer, and of those before it
_KNOWN = 0.25  # share of the log's time in which the others are known
_GONE = 0.05  # share of the log's time at its end in which those that have left are not seen
_SHARE = 0.1
_FEW = 3  # newcomers of one log; more are how it goes


def newcomers(origins: Iterable[Template], streams: Mapping[int, Stream], grid: Grid | None) -> list[Template]:
    """Return the hosts and callers that stand out, counted over the grid. Each of `origins` is of one log."""
    if grid is None:
        return []
    groups: dict[tuple[int, str], list[Template]] = defaultdict(list)
    for origin in origins:
        for number in origin.streams & streams.keys():
            groups[number, origin.body.partition(" ")[0]].append(origin)
    found = []
    for (number, _), group in groups.items():
        log = streams[number]
        known_at = log.first + _KNOWN * (log.last - log.first)
        known = [origin for origin in group if origin.first is not None and origin.first <= known_at]
        others = [origin for origin in group if (origin.first or 0.0) > known_at and origin.count >= _FEWEST]
        standing = [origin for origin in others if _stands_out(origin, log, grid)]
        if not 0 < len(standing) <= _FEW or sum(origin.count for origin in known) < _FEWEST:
            continue
        left_by = log.last - _GONE * (log.last - log.first)
        left = [origin for origin in known if origin.count >= _FEWEST and (origin.last or 0.0) < left_by]
        if sum(_stands_out(origin, log, grid) for origin in left) < len(standing):
            found += standing
    by_name: dict[str, Template] = {}
    for origin in found:
        if by_name.setdefault(origin.body, origin) is not origin:  # it writes into several logs
            by_name[origin.body].absorb(origin)
            by_name[origin.body].count_over(grid)
    return list(by_name.values())


def _stands_out(origin: Template, log: Stream, grid: Grid) -> bool:
    origin.count_over(grid)
    filled = [bucket for bucket, count in enumerate(origin.series) if count]
    lines = sum(log.series[filled[0] : filled[-1] + 1]) if filled else 0
    return sum(origin.series) > _SHARE * lines
