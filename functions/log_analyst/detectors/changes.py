"""The tests: is a template new, rare, bursting or gone in the window, against the time before it?

Each is a plain statement about counts that has to hold with room to spare, because nobody reads an analyst
who cries wolf:

- new: never before the window, and often enough in it that so late a first appearance is no accident;
- rare: once or a few times in the window, where never or hardly ever before; only of what is serious or
  tells of a start, a stop or a change;
- burst: a stretch in which it was several times as frequent as before, more than the ordinary lines'
  increase explains, and more than any stretch as long before;
- gone: a stretch in which nearly none of the lines came that were to be expected, longer than any pause
  before, while the log itself goes on (what stops being said is only asked of lines below WARNING).
"""

from __future__ import annotations

from collections.abc import Callable
from math import exp, sqrt
from typing import NamedTuple

import msgspec

from log_analyst.detectors.window import dispersion, pause_lengths
from log_analyst.readers import levels

_LIKELY_NEW = {levels.CRITICAL: 0.15, levels.ERROR: 0.15, levels.WARNING: 0.05}  # the others: 0.01
_SURE_NEW = (0.45, 0.55, 0.6, 0.8, 0.9, 0.95)


class History(NamedTuple):
    """A series of counts: `before` the window (only buckets in which the log was written), `elsewhere` (those
    and, when the window was derived, those after it) and in the `window`; `traffic` is, for each bucket of
    the window, how many times as many ordinary lines there were as before."""

    before: list[int]
    elsewhere: list[int]
    window: list[int]
    traffic: list[float]

    @property
    def usual(self) -> float:
        """Lines per bucket before the window."""
        return sum(self.before) / len(self.before) if self.before else 0.0


class RateChange(msgspec.Struct, frozen=True):
    """A stretch of the window, `begin` to `end` (exclusive) in its buckets, with the lines in it and those expected."""

    begin: int
    end: int
    count: int
    expected: float
    confidence: float


def new(level: int, count: int, buckets: int, share: float) -> float | None:
    """The confidence that a template seen only in the window, `count` times in `buckets` buckets, is new; or None.

    `share` is the window's share of the time in which it could have been seen.
    """
    if level < levels.WARNING and (count < 5 or buckets < 2):
        return None  # what is printed in one go may simply be printed seldom
    if level == levels.WARNING and count < 3:
        return None
    if count < 2:
        return None
    accident = share ** min(count, 3 * buckets)
    if accident > _LIKELY_NEW.get(level, 0.01):
        return None
    return _SURE_NEW[level] * (1 - accident) * (1 - 0.4 * exp(-count / 5))


def rare(level: int, count: int, buckets: int, before: int, share: float, *, lifecycle: bool) -> float | None:
    """The confidence that a template's few lines in the window mean something; or None."""
    if level < levels.WARNING and not lifecycle:
        return None
    few = count <= 3 or (lifecycle and count <= 12 and buckets <= 2)
    if not few or share > 0.5 or before > 2 or before * share / (1 - share) > 0.1 * count:
        return None
    return (0.3, 0.35, 0.35, 0.4, 0.55, 0.65)[level] * (1 - share / 2)


def unusually_many(found: int, once_before: int, share: float) -> bool:
    """Whether `found` first-time lines are more than the log's own rate of first-time lines lets one expect.

    That rate is estimated from the templates seen just once before (Good and Turing).
    """
    expected = once_before * share / (1 - share)
    return found > expected + sqrt(expected)


def burst(level: int, history: History) -> RateChange | None:
    """The stretch of the window in which there were most lines too many."""
    usual = history.usual
    floor = max(usual, 0.5 / max(len(history.window), 1))
    expected = [floor * max(1.0, ratio) for ratio in history.traffic]
    stretch = _stretch(lambda at: history.window[at] - 2 * expected[at], len(expected))
    if stretch is None:
        return None
    begin, end = stretch
    count, usually = sum(history.window[begin:end]), sum(expected[begin:end])
    serious = level >= levels.WARNING
    if count < (6 if serious else 10) or count < (2.5 if serious else 3.0) * usually:
        return None
    sigmas = (count - usually) / sqrt(dispersion(history.before) * usually + 1)
    if sigmas < 6 or not _unprecedented(history, begin, end):
        return None
    sure = (0.6, 0.7, 0.75, 0.85, 0.9, 0.95)[level]
    return RateChange(begin, end, count, usually, sure * (1 - exp(-sigmas / 6)))


def gone(history: History, *, covered: int) -> RateChange | None:
    """The stretch of the window in which most expected lines are missing; the log covers `covered` buckets of it."""
    usual = history.usual
    if sum(history.before) < 20 or sum(1 for count in history.before if count) < 5:
        return None
    expected = [usual * min(1.0, ratio) for ratio in history.traffic[:covered]]
    stretch = _stretch(lambda at: 0.2 * expected[at] - history.window[at], len(expected))
    if stretch is None:
        return None
    begin, end = stretch
    count, usually = sum(history.window[begin:end]), sum(expected[begin:end])
    missing = usually / dispersion(history.before)
    if missing < 10 or count > 0.05 * usually:
        return None
    span = min(end - begin, max(1, len(history.before) // 2))
    fewest = min(_moving(history.elsewhere, span), default=0)
    if (
        end - begin < 2 * max((length for length, _ in pause_lengths(history.elsewhere)), default=0) + 1
        or fewest < 0.3 * usual * span
    ):
        return None
    return RateChange(begin, end, count, usually, 0.85 * (1 - exp(-missing / 12)))


def is_abrupt(history: History, begin: int) -> bool:
    """Whether the counts at `begin` of the window jump: a time of day rises more slowly."""
    counts = history.before[-12:] + history.window
    at = len(counts) - len(history.window) + begin
    before, after = counts[max(at - 3, 0) : at], counts[at : at + 3]
    return bool(before) and sum(after) / len(after) >= 2.5 * max(sum(before) / len(before), 1.0)


def _unprecedented(history: History, begin: int, end: int) -> bool:
    """Whether no stretch as long elsewhere came near: a job that runs every hour is no news."""
    span = min(end - begin, max(1, len(history.elsewhere) // 2))
    most = max(_moving(history.window[begin:end], span), default=0)
    return most > 1.5 * max(_moving(history.elsewhere, span), default=0)


def _moving(series: list[int], span: int) -> list[int]:
    if len(series) < span:
        return []
    total = sum(series[:span])
    sums = [total]
    for at in range(span, len(series)):
        total += series[at] - series[at - span]
        sums.append(total)
    return sums


def _stretch(gain: Callable[[int], float], size: int) -> tuple[int, int] | None:
    """The stretch with the greatest sum of gains (Kadane), or None when no gain is positive."""
    best, best_stretch = 0.0, None
    total, begin = 0.0, 0
    for at in range(size):
        if total <= 0:
            total, begin = 0.0, at
        total += gain(at)
        if total > best:
            best, best_stretch = total, (begin, at + 1)
    return best_stretch
