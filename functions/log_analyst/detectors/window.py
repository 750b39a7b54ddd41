"""The window: the stretch of time that is compared with the time before it.

If the alert names its start, the window is the alert's, but starts earlier, because an alert fires some time after
its cause: by a fifth of the time that the logs cover before it, at most ten minutes. Without an end it reaches to the
last line.

Without an alert (or if no line is in its window, or too few are before it) the window is the stretch that differs most
from the rest of the logs. All stretches are scored that start after the first eighth of the logs and last at most three
quarters of them. The score is Kulldorff's scan statistic: how much likelier a template's counts are with a rate of
their own inside the stretch than with one rate for the whole log (Poisson, with the counts' own variance).

- A template adds to the score only if it is at least 2.5 times as frequent inside as outside, both per second and per
  line of the other templates, so that the rise and fall of a day is no incident. Below WARNING 1.7 times
  are enough in a stretch of at most half the time before it, but both must also be unlikely, and the lines must be in
  two buckets at least: lines that are written together may simply be seldom.
- It adds only what exceeds the highest score that chance would give among all stretches and templates.
- Errors weigh more.
- A pause of a template or of a log adds to the score if it is much longer than its other pauses. So do all ordinary
  lines together if there are suddenly 2.4 times as many.

If nothing has a score, there is no window and the logs are quiet.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from math import ceil, log

from log_analyst.detectors.timeline import Timeline
from log_analyst.readers import levels
from log_analyst.readers.mining import Template
from triage.alert import Alert

# How much earlier than the alert the window starts: a share of the time before it, and seconds at most.
_EARLIER_SHARE, _EARLIER_MOST_S = 0.2, 600.0
_ENOUGH_BEFORE = 20  # lines
_STRETCHES = 60  # buckets of the scan
MOST_LOGS = 12  # with more logs than these, a single log that falls silent is not noticed
_MARGIN = 4.0  # of log-likelihood above the best score that chance gives; passed by chance in one of fifty logs
_TIMES_MORE, _TIMES_MORE_BRIEFLY = 2.5, 1.7
# The least dispersion where silence is judged: a heartbeat is more regular than chance, so fewer missing lines tell.
REGULAR = 0.25
_WEIGHTS = (0.5, 0.7, 0.7, 1.5, 2.0, 2.0)  # by level


@dataclass(frozen=True)
class Window:
    """Times are in seconds since the epoch. `derived` is whether it was found in the logs, not named by an alert."""

    start: float
    end: float
    derived: bool


def from_alert(alert: Alert, times: Sequence[float]) -> tuple[Window | None, str]:
    """Return the window that `alert` names for lines at `times` (in order, seconds since the epoch), and a note.

    The window is None if the alert has no start or cannot be used. Only in the second case the note says why.
    """
    if alert.start is None or not times:
        return None, ""
    start, end = alert.start, alert.end
    if end is None or end <= start:
        end = max(times[-1], start + 1.0)
    start -= min(_EARLIER_MOST_S, _EARLIER_SHARE * max(start - times[0], 0.0))
    before = bisect_left(times, start)
    if before == bisect_right(times, end):
        return None, "No line is from the alert's window, so the window was chosen from the logs."
    if before < _ENOUGH_BEFORE:
        return None, (
            "There are too few lines from before the alert's window to compare it with, "
            "so the window was chosen from the logs."
        )
    return Window(start, end, derived=False), ""


def derived(timeline: Timeline) -> Window | None:
    """Return the stretch that differs most from the rest of the logs; None if they are quiet or too few."""
    grid = timeline.grid
    if grid is None or grid.size < 8 or timeline.entries < 30:
        return None
    step = ceil(grid.size / _STRETCHES)
    size = ceil(grid.size / step)
    totals = _sums(timeline.totals, step)
    rows = [row for row in (*timeline.rows, *timeline.newcomers) if not row.coarse and row.count >= 3]
    chance = log(size * size / 4 * max(len(rows), 1)) + _MARGIN
    scored: list[Iterator[tuple[int, int, float]]] = []
    for row in rows:
        series = _sums(row.series, step)
        filled = _sums([min(count, 1) for count in row.series], step)
        scored += [_frequent(row, series, filled, totals, chance), _silent(series, totals, chance)]
    scored.append(_surges(_sums(timeline.ordinary, step), chance))
    for stream in timeline.streams.values():
        if not stream.errors_only and len(timeline.streams) <= MOST_LOGS:
            series = _sums(stream.series, step)
            others = [a - b for a, b in zip(totals, series, strict=True)] if len(timeline.streams) > 1 else None
            scored.append(_silent(series, others, chance))
    scores: dict[tuple[int, int], float] = defaultdict(float)
    for begin, end, score in chain.from_iterable(scored):
        scores[begin, end] += score
    if not scores:
        return None
    # Of equal scores the shortest stretch. One bucket is added in front: the change may have begun within it.
    begin, end = max(scores, key=lambda stretch: (scores[stretch], stretch[0] - stretch[1]))
    begin = max(begin - 1, 1)
    return Window(grid.start(begin * step), grid.start(min(end * step, grid.size)), derived=True)


def _frequent(
    row: Template, series: list[int], filled: list[int], totals: list[int], chance: float
) -> Iterator[tuple[int, int, float]]:
    """Yield the stretches with many lines of a row, and the score of each.

    `filled` are the timeline's buckets with lines, by bucket.
    """
    size, count = len(series), sum(series)
    volume = sum(totals) - count + 1
    spread = dispersion(series)
    weight = _WEIGHTS[row.level]
    for begin in range(max(1, size // 8), size):
        if not series[begin]:
            continue  # a stretch starts with a line
        inside = buckets = 0
        others = 1  # like `volume`, one more than there are, so that both have a ratio
        for end in range(begin + 1, min(size, begin + size * 3 // 4) + 1):
            inside += series[end - 1]
            others += totals[end - 1] - series[end - 1]
            buckets += filled[end - 1]
            if buckets < 2 and row.level < levels.WARNING:
                continue
            is_brief = row.level < levels.WARNING and 2 * (end - begin) <= begin
            outside = (count - inside) * (_TIMES_MORE_BRIEFLY if is_brief else _TIMES_MORE)
            if not series[end - 1] or inside * (size - end + begin) < outside * (end - begin):
                continue
            if inside * (volume - others + 1) < outside * others:
                continue
            by_time = _gain(inside, count, (end - begin) / size)
            by_share = _gain(inside, count, others / volume)
            gain = (by_time if row.level >= levels.WARNING else min(by_time, by_share)) / spread - chance
            if gain > 0:
                yield begin, end, weight * gain


def _surges(series: list[int], chance: float) -> Iterator[tuple[int, int, float]]:
    """Yield the stretches with a sudden surge of all ordinary lines: too abrupt for the rhythm of a day."""
    size, count = len(series), sum(series)
    spread = dispersion(series)
    for begin in range(max(3, size // 8), size - 1):
        before, after = sum(series[begin - 3 : begin]) / 3, sum(series[begin : begin + 2]) / 2
        if after < 2.4 * before or after < 10:
            continue
        inside = 0
        for end in range(begin + 1, min(size, begin + size // 2) + 1):
            inside += series[end - 1]
            gain = _gain(inside, count, (end - begin) / size) / spread - chance
            if gain > 0 and inside * size > 1.8 * count * (end - begin):
                yield begin, end, gain


def _silent(series: list[int], totals: list[int] | None, chance: float) -> Iterator[tuple[int, int, float]]:
    """Yield the longest pause of a series, if no other comes near and (with `totals`) other lines go on."""
    size, count = len(series), sum(series)
    pauses = sorted(pause_lengths(series), reverse=True)
    if not pauses or pauses[0][0] < 2 * (pauses[1][0] if len(pauses) > 1 else 0) + 1:
        return
    length, begin = pauses[0]
    end = begin + length
    if begin < max(1, size // 8) or length > size // 2 or (end == size and totals is None):
        return
    gain = _gain(0, count, length / size)
    if totals is not None:
        lines = sum(totals[begin:end])
        gain = min(gain, _gain(0, count, lines / max(sum(totals), 1)) if lines < sum(totals) else 0.0)
    gain = gain / dispersion(series, REGULAR) - chance
    if gain > 0:
        yield begin, end, gain


def pause_lengths(series: list[int]) -> list[tuple[int, int]]:
    """Return the runs of empty buckets after the first line, each as (length, first bucket)."""
    filled = [at for at, count in enumerate(series) if count]
    return [(end - at - 1, at + 1) for at, end in pairwise([*filled, len(series)]) if end > at + 1]


def _gain(inside: int, count: int, share: float) -> float:
    """Return the log-likelihood ratio for a rate of its own: `inside` of `count` lines are in `share` of the log."""
    outside = count - inside
    gain = inside * log(inside / (count * share)) if inside else 0.0
    if outside and share < 1:
        gain += outside * log(outside / (count * (1 - share)))
    return gain


def dispersion(series: list[int], least: float = 1.0) -> float:
    """Return how many times more the counts vary than by chance (Poisson), at least `least`.

    It is half the mean square of the steps from bucket to bucket, divided by the mean. The largest eighth of the steps
    is left out, because the start and the end of an incident are not how the log usually varies.
    """
    steps = sorted((b - a) ** 2 for a, b in pairwise(series))
    mean = sum(series) / max(len(series), 1)
    steps = steps[: len(steps) - len(steps) // 8]
    if not steps or not mean:
        return max(least, 1.0)
    # Without the largest eighth, steps by chance have 0.58 of their mean square.
    return max(least, sum(steps) / len(steps) / 2 / 0.58 / mean)


def _sums(series: list[int], step: int) -> list[int]:
    return [sum(series[at : at + step]) for at in range(0, len(series), step)]
