"""The tests: compared with the time before the window, is a template new, rare, bursting or gone in it?

Each test is a condition on counts. It needs a clear margin, because false alarms make an analyst useless.
"""

from __future__ import annotations

from itertools import accumulate
from math import exp, sqrt
from typing import NamedTuple

from log_analyst.detectors.histories import History
from log_analyst.detectors.window import REGULAR, dispersion, pause_lengths
from log_analyst.readers import levels

# The most probable chance that still counts as new, by level; 0.01 for the others.
_MOST_CHANCE = {levels.CRITICAL: 0.15, levels.ERROR: 0.15, levels.WARNING: 0.05}
# The confidence in a clear case, by level.
_CONFIDENCE_NEW = (0.45, 0.55, 0.6, 0.8, 0.9, 0.95)
_CONFIDENCE_RARE = (0.3, 0.35, 0.35, 0.4, 0.55, 0.65)
_CONFIDENCE_BURST = (0.6, 0.7, 0.75, 0.85, 0.9, 0.95)


class Stretch(NamedTuple):
    """Buckets from `begin` to `end` (exclusive) with too many or too few lines: `expected` are usual."""

    begin: int
    end: int
    expected: float
    confidence: float


def new(level: int, count: int, buckets: int, share: float) -> float | None:
    """Return the confidence that a template is new: that its late start is no chance. None if it may be.

    It has `count` lines in `buckets` buckets of the window and none before. `share` is the window's share of the time
    that its logs cover up to the window's end.
    """
    if level < levels.WARNING and (count < 5 or buckets < 2):
        return None  # lines that are written together may simply be seldom
    if level == levels.WARNING and count < 3:
        return None
    if count < 2:
        return None
    chance = share ** min(count, 3 * buckets)
    if chance > _MOST_CHANCE.get(level, 0.01):
        return None
    return _CONFIDENCE_NEW[level] * (1 - chance) * (1 - 0.4 * exp(-count / 5))


def rare(level: int, count: int, buckets: int, before: int, share: float, *, lifecycle: bool) -> float | None:
    """Return the confidence that a template's few lines in the window matter; None if it is frequent, or not tested.

    Of its lines `count` are in `buckets` buckets of the window and `before` before it; `share` is as for `new`. Below
    WARNING only those are tested that tell of a start, a stop or a change (`lifecycle`).
    """
    if level < levels.WARNING and not lifecycle:
        return None
    few = count <= 3 or (lifecycle and count <= 12 and buckets <= 2)
    if not few or share > 0.5 or before > 2 or before * share / (1 - share) > 0.1 * count:
        return None
    return _CONFIDENCE_RARE[level] * (1 - share / 2)


def unusually_many(count: int, once_before: int, share: float) -> bool:
    """Return whether `count` rare templates are more than the usual rate of first occurrences explains.

    The Good–Turing estimator gives that rate, from the number of templates that occur just once before the window.
    """
    expected = once_before * share / (1 - share)
    return count > expected + sqrt(expected)


def burst(level: int, history: History, *, least: float = 1.7) -> Stretch | None:
    """Return the stretch of the window with the largest excess of lines; None if there is no burst.

    A burst is at least `least` times as frequent as usual, and no stretch of its length had as many lines before. What
    is usual for a template follows the other lines, so a day's rise and fall is none of its bursts; what is usual for
    all lines does not, so they need a larger `least`.
    """
    usual = history.usual
    floor = max(usual, 0.5 / max(len(history.window), 1))
    expected = [floor * max(1.0, ratio) for ratio in history.traffic]
    begin, end = _stretch(
        [count - (least - 0.3) * usually for count, usually in zip(history.window, expected, strict=True)]
    )
    count, usually = sum(history.window[begin:end]), sum(expected[begin:end])
    if 2 * (end - begin) > len(history.before):
        least = 3.0  # hardly known what is usual: a rate may have risen slowly
    if count < (6 if level >= levels.WARNING else 10) or count < least * usually:
        return None
    sigmas = (count - usually) / sqrt(dispersion(history.before) * usually + 1)
    if sigmas < 6 or not _unprecedented(history, begin, end):
        return None
    confidence = _CONFIDENCE_BURST[level] * (1 - exp(-sigmas / 6))
    return Stretch(history.begin + begin, history.begin + end, usually, confidence)


def gone(history: History) -> Stretch | None:
    """Return the stretch of the window with the most missing lines, before the log ends; None if none are gone.

    It is longer than any pause before.
    """
    usual = history.usual
    if sum(history.before) < 20 or sum(1 for count in history.before if count) < 5:
        return None
    expected = [usual * min(1.0, ratio) for ratio in history.traffic[: history.covered]]
    begin, end = _stretch([0.2 * usually - count for count, usually in zip(history.window, expected, strict=False)])
    count, usually = sum(history.window[begin:end]), sum(expected[begin:end])
    missing = usually / dispersion(history.before, REGULAR)
    if missing < 10 or count > 0.05 * usually:
        return None
    span = min(end - begin, max(1, len(history.before) // 2))
    fewest = min(_moving(history.elsewhere, span), default=0)
    if (
        end - begin < 2 * max((length for length, _ in pause_lengths(history.elsewhere)), default=0) + 1
        or fewest < 0.3 * usual * span
    ):
        return None
    return Stretch(history.begin + begin, history.begin + end, usually, 0.85 * (1 - exp(-missing / 12)))


def _unprecedented(history: History, begin: int, end: int) -> bool:
    """Return whether no stretch of the same length elsewhere comes near: a job that runs every hour is usual."""
    span = min(end - begin, max(1, len(history.elsewhere) // 2))
    most = max(_moving(history.window[begin:end], span), default=0)
    return most > 1.35 * max(_moving(history.elsewhere, span), default=0)


def _moving(series: list[int], span: int) -> list[int]:
    """Return the sums of `span` neighbours."""
    sums = list(accumulate(series, initial=0))
    return [end - begin for begin, end in zip(sums, sums[span:], strict=False)]


def _stretch(gains: list[float]) -> tuple[int, int]:
    """Return the stretch with the largest sum of gains (Kadane), an empty one if no gain is positive."""
    best, best_stretch = 0.0, (0, 0)
    total, begin = 0.0, 0
    for at, gain in enumerate(gains):
        if total <= 0:
            total, begin = 0.0, at
        total += gain
        if total > best:
            best, best_stretch = total, (begin, at + 1)
    return best_stretch
