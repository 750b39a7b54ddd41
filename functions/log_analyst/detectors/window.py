"""The window: the time that is compared with the time before it.

With an alert that names its start, the window is the alert's, opened a little early, because an alert
fires some time after what it is about: a fifth of the time before it, at most ten minutes. Without an end
it reaches to the last line.

Without an alert (or when its window holds no line, or nothing was written before it) the window is the
stretch of time that differs most from the rest of the log. Each template is asked, for every stretch of at
most three quarters of the log that begins after its first eighth, how much likelier its counts are with a
rate of their own inside the stretch than with one rate for the whole log (Kulldorff's scan statistic,
Poisson, with the variance that the counts show). A template has a say only if it is at least two and a half
times as frequent inside as outside, both by time and by its share of all lines, so that a day's rise and
fall is no incident, and only by what exceeds the likeliest accident among all stretches and templates.
Errors weigh more. A template, or a log, that makes a pause like no other of its own has a say in the same
way, and so have all ordinary lines together when they suddenly become three times as many. When nothing has
a say there is no window, and the log is quiet.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from itertools import pairwise
from math import ceil, log

import msgspec

from log_analyst.detectors.timeline import Row, Timeline, series_of
from triage.alert import Alert

_EARLIEST_SHARE = 0.2
_EARLIEST = 600.0
_ENOUGH_BEFORE = 20  # lines
_STRETCHES = 60
MOST_LOGS = 12  # more than these are not watched for silence one by one
_MARGIN = 4.0  # of log-likelihood, past the likeliest accident: one in fifty logs
_TIMES_MORE = 2.5
_WEIGHTS = (0.5, 1.0, 1.0, 1.5, 2.0, 2.0)  # by level


class Window(msgspec.Struct, frozen=True):
    """Times are in seconds since the epoch. `derived` when no alert says when it was."""

    start: float
    end: float
    derived: bool


def from_alert(alert: Alert, times: list[float]) -> tuple[Window | None, str]:
    """The window that `alert` names, for lines at `times` (in order); or None, and a note where that is a pity."""
    if alert.start is None or not times:
        return None, ""
    start, end = alert.start, alert.end
    if end is None or end <= start:
        end = max(times[-1], start + 1.0)
    start -= min(_EARLIEST, _EARLIEST_SHARE * max(start - times[0], 0.0))
    before = bisect_left(times, start)
    if before == bisect_right(times, end):
        return None, "No line is from the alert's window, so the window was looked for in the logs themselves."
    if before < _ENOUGH_BEFORE:
        return None, (
            "Too few lines are from before the alert's window to compare it with, "
            "so the window was looked for in the logs themselves."
        )
    return Window(start, end, derived=False), ""


def derived(table: Timeline) -> Window | None:
    """The stretch of time that differs most from the rest of the logs, or None when they are quiet."""
    grid = table.grid
    if grid is None or grid.size < 8 or table.entries < 30:
        return None
    step = ceil(grid.size / _STRETCHES)
    size = ceil(grid.size / step)
    totals = _sums(table.totals, step)
    rows = [row for row in table.rows if not row.coarse and row.count >= 3]
    if not rows:
        return None
    accident = log(size * size / 4 * len(rows)) + _MARGIN
    scores: dict[tuple[int, int], float] = {}
    for row in rows:
        series = _sums(series_of(row.cells, grid.size), step)
        _score(row, series, totals, accident, scores)
        _score_silence(series, totals, accident, scores)
    _score_surge(_sums(table.ordinary, step), accident, scores)
    for stream in table.streams.values():
        if not stream.errors_only and len(table.streams) <= MOST_LOGS:
            series = _sums(series_of(stream.cells, grid.size), step)
            others = [a - b for a, b in zip(totals, series, strict=True)] if len(table.streams) > 1 else None
            _score_silence(series, others, accident, scores)
    if not scores:
        return None
    # Of equally good stretches the shortest; a bucket more at the front, for what began inside it.
    begin, end = max(scores, key=lambda stretch: (scores[stretch], stretch[0] - stretch[1]))
    begin = max(begin - 1, 1)
    return Window(grid.start(begin * step), grid.start(min(end * step, grid.size)), derived=True)


def _score(
    row: Row, series: list[int], totals: list[int], accident: float, scores: dict[tuple[int, int], float]
) -> None:
    size, count, volume = len(series), sum(series), sum(totals)
    spread = dispersion(series)
    weight = _WEIGHTS[row.level]
    for begin in range(max(1, size // 8), size):
        if not series[begin]:
            continue  # a stretch begins with a line
        inside = lines = 0
        for end in range(begin + 1, min(size, begin + size * 3 // 4) + 1):
            inside += series[end - 1]
            lines += totals[end - 1]
            outside = (count - inside) * _TIMES_MORE
            if not series[end - 1] or inside * (size - end + begin) < outside * (end - begin):
                continue
            if inside * (volume - lines) < outside * lines:
                continue
            by_time = _gain(inside, count, (end - begin) / size)
            by_share = _gain(inside, count, lines / volume)
            gain = min(by_time, by_share) / spread - accident
            if gain > 0:
                scores[begin, end] = scores.get((begin, end), 0.0) + weight * gain


def _score_surge(series: list[int], accident: float, scores: dict[tuple[int, int], float]) -> None:
    """Ordinary lines that become three times as many from one moment on: too abrupt for a time of day."""
    size, count = len(series), sum(series)
    spread = dispersion(series)
    for begin in range(max(3, size // 8), size - 1):
        before, after = sum(series[begin - 3 : begin]) / 3, sum(series[begin : begin + 2]) / 2
        if after < 3 * before or after < 10:
            continue
        inside = 0
        for end in range(begin + 1, min(size, begin + size // 2) + 1):
            inside += series[end - 1]
            gain = _gain(inside, count, (end - begin) / size) / spread - accident
            if gain > 0 and inside * size > 2 * count * (end - begin):
                scores[begin, end] = scores.get((begin, end), 0.0) + gain


def _score_silence(
    series: list[int], totals: list[int] | None, accident: float, scores: dict[tuple[int, int], float]
) -> None:
    """The longest pause of a series that has no other like it, while (with `totals`) other lines go on."""
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
    gain = gain / dispersion(series) - accident
    if gain > 0:
        scores[begin, end] = scores.get((begin, end), 0.0) + gain


def pause_lengths(series: list[int]) -> list[tuple[int, int]]:
    """The runs of empty buckets after the first line: how long, and from where."""
    pauses = []
    begin: int | None = None
    for at, count in enumerate([*series, 1]):
        if count:
            if begin is not None and at > begin:
                pauses.append((at - begin, begin))
            begin = at + 1
    return pauses


def _gain(inside: int, count: int, share: float) -> float:
    """How much likelier `inside` of `count` lines are in `share` of the log at their own rate than at the log's."""
    outside = count - inside
    gain = inside * log(inside / (count * share)) if inside else 0.0
    if outside and share < 1:
        gain += outside * log(outside / (count * (1 - share)))
    return gain


def dispersion(series: list[int]) -> float:
    """How many times more the counts vary than accident would have it (at least 1), an incident aside.

    It is half the mean square of the steps from bucket to bucket over the mean, without the largest eighth
    of the steps: where something begins and ends is no part of how the log ordinarily varies.
    """
    steps = sorted((b - a) ** 2 for a, b in pairwise(series))
    mean = sum(series) / max(len(series), 1)
    steps = steps[: len(steps) - len(steps) // 8]
    if not steps or not mean:
        return 1.0
    # Leaving out the largest eighth of what accident does takes about two fifths of the mean square away.
    return max(1.0, sum(steps) / len(steps) / 2 / 0.58 / mean)


def _sums(series: list[int], step: int) -> list[int]:
    return [sum(series[at : at + step]) for at in range(0, len(series), step)]
