"""Level shifts: the level jumps and stays, or comes back after a while.

Method: a scan with two adjacent windows of many lengths (MOSUM: Hušková 1990; Eichinger & Kirch 2018), made robust by
bounded deviations (Huber 1964), judged by the series' own jumps, one change after the other (binary segmentation: Scott
& Knott 1974; matching pursuit: Mallat & Zhang 1993).

1. Values become deviations from the median in scales of their side, at most BOUND of them, so that no single sample and
   no long tail moves a window's mean.
2. For windows of 3, 6, 12 … samples, the jump at a sample is the mean after it less the mean before it. Its scale is
   the median of all jumps of that length, or of those in the neighbourhood. What is correlated, or wanders, has large
   jumps anyway. No theory of independent noise is needed, which real metrics are not.
3. The largest jump of all lengths is a candidate: located by a cumulative sum about the middle level, followed until
   the level is back, and taken off. Then the next one is looked for, so that a large incident hides no small one.
4. Only those count that are clearly larger than the largest jump that remains when all candidates are taken off. A
   series whose jumps are of one kind (a heap that is collected, a queue with bursts) has no candidate that stands out,
   and one with four changes of one size changes by itself.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import accumulate, pairwise
from math import copysign, log2
from operator import sub

import msgspec

from metric_analyst.detectors.active import activity
from metric_analyst.detectors.change import Change, Signal
from metric_analyst.detectors.robust import TO_SIGMA, mad_sigma, median, noise_floor

METHOD = "robust moving sums over windows of many lengths, against the series' own jumps"
SHORTEST = 4  # samples; fewer are a spike
BOUND = 8.0
THRESHOLD = 5.2
MANY_WINDOWS = 40  # windows of one length that give a good scale
FEW_WINDOWS = 7.0  # by how much a window of the whole length raises the threshold, at most
GAP = 1.23
MOST = 4
BLOCK = 24  # windows in a neighbourhood
ORDINARY = 9  # the ninth largest jump is no incident: two have no more, with both ends in two places
ORDINARY_SIGMAS = 3.3
SHORT, FEW = 6 * 3600.0, 200  # seconds in which the time of day does not change the noise, and samples
SMALL_BESIDE, STRONG_BESIDE = 0.3, 2.0
DAYS_DIFFER, FEW_DAYS = 1.2, 1.2
TWO_DAYS = 2.7
EDGE = 5  # samples beside a jump
USUAL = 0.9  # share of the samples before a change that are at the level to which it goes back
BACK = 0.4  # share of a jump within which a level is the one before
STAIRS = 1.3
FEW_SAMPLES = 80  # a walk of more has two levels by chance
CAUTION, SUDDEN = 8.0, 5.0  # by how much few samples raise the thresholds; the rise in usual ones
QUIET, QUIET_OF_FEW = 0.6, 0.8  # share of the usual noise below which a jump's quieter side counts


class _Jump(msgspec.Struct):
    strength: float
    split: int
    width: int


def level_shifts(signal: Signal) -> list[Change]:
    """Return the shifts in order of time, at most four. A signal has at least 12 samples."""
    rest = signal.rest
    # Over days a series may rest at night.
    if signal.span <= SHORT and (active := activity(signal.raw)) is not None:
        return [_change(signal, signal.raw, *active)]
    # No two days are alike, and few days give a poor estimate of their rhythm.
    caution = DAYS_DIFFER + FEW_DAYS * signal.period / signal.span if signal.period else 1.0
    quiet = 0.0 if signal.span >= SHORT else QUIET_OF_FEW if len(rest) < FEW else QUIET
    candidates: list[Change] = []
    while True:
        scaled, least = bounded(rest)
        jump = _largest(scaled, least, quiet)
        jump.strength /= caution
        if jump.strength < 1 or len(candidates) == MOST:
            break
        first, end = _extent(scaled, jump, strongest=not candidates)
        candidates.append(_change(signal, rest, first, end, jump.strength))
        rest = _taken_off(rest, first, end, jump.width)
    strengths = [change.strength for change in candidates] + [jump.strength]
    kept = max((k for k in range(1, len(candidates) + 1) if min(strengths[:k]) >= GAP * strengths[k]), default=0)
    sizes = [abs(change.magnitude) for change in candidates[:kept]]
    if kept == MOST and min(sizes) > max(sizes) / 2:
        return []  # a series that changes so often does so by itself
    changes: list[Change] = []
    for change in candidates[:kept] or _of_few(signal):
        part = any(_part_of(change, other, signal.step) for other in changes)
        begins_inside = change.start >= signal.times[SHORTEST]
        if begins_inside and change.samples >= SHORTEST and _is_recorded(signal, change) and not part:
            changes.append(msgspec.structs.replace(change, strength=min(change.strength, 10.0)))
    return sorted(changes, key=lambda c: c.start)


def _is_recorded(signal: Signal, change: Change) -> bool:
    """Return whether the recorded values jump, too: with two days, a jump on one leaves its trace on the other."""
    if not signal.period or signal.span >= TWO_DAYS * signal.period:
        return True
    first = bisect_left(signal.times, change.start)
    raw, rest = (
        median(values[first : first + EDGE]) - median(values[max(0, first - EDGE) : first])
        for values in (signal.raw, signal.rest)
    )
    return raw * rest > 0 and abs(raw) >= abs(rest) / 2


def _part_of(change: Change, larger: Change, step: float) -> bool:
    """Return whether a change is a step of a larger one, or the trace that it leaves beside it."""
    margin = SHORTEST * step
    if larger.returned:
        margin += (larger.end - larger.start) / 4
    small = abs(change.magnitude) < SMALL_BESIDE * abs(larger.magnitude)
    touches = change.start <= larger.end + margin and larger.start - margin <= change.end
    within = larger.returned or change.start <= larger.start + margin
    return (touches and (within or small)) or (small and change.strength < STRONG_BESIDE)


def _of_few(signal: Signal) -> list[Change]:
    """Return the change of a recording that is too short for windows: how far apart its levels are, in their noise.

    The levels must also be told by nearly all samples, and be reached by a rise larger than the usual ones: a random
    walk of few samples has two levels by chance.
    """
    values, n = signal.rest, len(signal.rest)
    if n > FEW_SAMPLES:
        return []
    scaled, _ = bounded(values)
    first, end = _extent(scaled, _Jump(0.0, locate(scaled, n // 2, n), max(3, n // 6)))
    inside, outside = values[first:end], values[:first] + values[end:]
    if not first or min(len(inside), len(outside)) < SHORTEST:
        return []
    level, other = median(inside), median(outside)
    strays = sum(abs(v - level) > abs(v - other) for v in inside) + sum(
        abs(v - level) < abs(v - other) for v in outside
    )
    noise, noises = mad_sigma(inside, level), mad_sigma(outside, other)
    caution = 1 + CAUTION / n
    needed = caution * max(min(2 * (noise + noises), 8 * min(noise, noises)), noise + noises)
    rise = max(abs(values[j] - values[i]) for i in (first - 1, first - 2) for j in (first, min(first + 1, n - 1)))
    steps = list(map(abs, map(sub, values[1:], values)))
    ordinary = caution * SUDDEN * TO_SIGMA * min(median(steps[: first - 1]), median(steps[first:]))
    strength = min(abs(level - other) / needed if needed else 10.0, rise / ordinary if ordinary else 10.0)
    return [_change(signal, values, first, end, strength)] if strength >= 1 and strays <= n // 12 else []


def bounded(values: Sequence[float]) -> tuple[list[float], float]:
    """Return the deviations from the median in scales of their side, between ±BOUND, and their least noise.

    The sides have scales of their own, because most metrics have a tail. A side without deviations has the other's.
    """
    ordered = sorted(values)
    middle = median(ordered)
    away, ordered = ([value - middle for value in each] for each in (values, ordered))
    both = TO_SIGMA * median(list(map(abs, ordered)))
    above = TO_SIGMA * median(ordered[bisect_right(ordered, 0.0) :])
    below = -TO_SIGMA * median(ordered[: bisect_left(ordered, 0.0)])
    up = min(max(above, both / 2), 2 * both) if both else noise_floor(values) or above or below  # mostly at one value
    down = min(max(below, both / 2), 2 * both) if both else up
    if not up:
        return away, 0.0
    highest, lowest = BOUND * up, -BOUND * down
    scaled = [a / (up if a > 0 else down) if lowest < a < highest else copysign(BOUND, a) for a in away]
    return scaled, noise_floor(scaled) or noise_floor(values) / max(up, down)


def _largest(scaled: Sequence[float], least: float, quiet: float) -> _Jump:
    """Return the strongest jump of all window lengths. No sample is taken to have less noise than `least`.

    Also as its quieter side sees it, if that has less than a share `quiet` of the series' noise.
    """
    n = len(scaled)
    sums = [0.0, *accumulate(scaled)]
    best = _Jump(0.0, 0, 0)
    width = 3
    known: list[float] = []  # the scales of lengths with many windows; the longest of them is `widest`
    widest = width
    while 4 * width <= n:
        stride = max(1, width // 8)
        windows = list(map(sub, sums[width::stride], sums[::stride]))
        sizes = list(map(abs, map(sub, windows[width // stride :], windows)))
        floor = least * (3 * width) ** 0.5
        usual = max(TO_SIGMA * median(sizes), floor)
        if not usual and any(sizes):  # without noise, any jump is one
            return _Jump(10.0, sizes.index(max(sizes)) * stride + width, width)
        few = doubt = 1 + FEW_WINDOWS * width / n
        if MANY_WINDOWS * width <= n:
            widest = width
            known = [*known, usual] if usual else []
        elif len(known) > 1 and usual:  # short windows tell the scale of long ones
            last = known[-3:]
            growth = max(2**0.5, (last[-1] / last[0]) ** (1 / (len(last) - 1)))
            doubt = min(few, max(1.0, last[-1] * growth ** log2(width / widest) / usual))
        needed = THRESHOLD * doubt
        if quiet or max(sizes) > best.strength * needed * usual:
            strength, place = _strongest(sizes, usual, width // stride, floor, quiet, few / doubt)
            if strength / needed > best.strength:
                best = _Jump(strength / needed, place * stride + width, width)
        width *= 2
    return best


def _strongest(
    sizes: Sequence[float], usual: float, width: int, floor: float, quiet: float, doubt: float
) -> tuple[float, int]:
    """Return the largest jump in scales, and its place. A window is `width` jumps long.

    The scale of one side is that of so few windows that it counts `doubt` times.
    """
    n, size = len(sizes), 2 * width
    highest = [max(sizes[at : at + size]) for at in range(0, n, size)]
    whole = usual
    if len(highest) >= 4 * ORDINARY:
        whole = max(whole, sorted(highest)[-ORDINARY] / ORDINARY_SIGMAS)
    best, where, near = 0.0, 0, BLOCK // 2 * width
    for k in sorted(range(len(highest)), key=highest.__getitem__, reverse=True):
        if highest[k] <= best * whole:
            break
        scale = max(whole, TO_SIGMA * median(sizes[max(0, k * size - near) : k * size + size + near]))
        if highest[k] > best * scale:
            best, where = highest[k] / scale, sizes.index(highest[k], k * size)
    if quiet and best:  # what breaks gets noisy, but the noise after the break does not make the break more likely
        enough = max(3 * width, 8, n // 4)
        sides = sizes[: max(0, where - size + 1)], sizes[where + size :]
        scales = [doubt * TO_SIGMA * median(side) for side in sides if len(side) >= enough]
        scale = max(min(filter(None, scales), default=whole), floor)
        if scale < quiet * whole:
            best = max(best, sizes[where] / scale)
    return best, where


def _extent(scaled: Sequence[float], jump: _Jump, *, strongest: bool = False) -> tuple[int, int]:
    """Return the first sample of the new level, and the first one that is back, or the series' length.

    The jump may be where a change ends. So the stretch that scores highest about the middle level is looked for on both
    sides of it; the shorter one is the change, unless both reach an end. The strongest one is told from its rise to its
    fall, also if its fall is nearer to the end.
    """
    n, width = len(scaled), jump.width
    split = locate(scaled, locate(scaled, jump.split, width), max(6, width // 4))
    before = median(scaled[max(0, split - width) : split])
    after = median(scaled[split : split + width])
    middle, sign = (before + after) / 2, 1.0 if after > before else -1.0
    end = split + _longest_run([sign * (v - middle) for v in scaled[split:]])
    first = split - _longest_run([sign * (middle - v) for v in scaled[split - 1 :: -1]] if split else [])
    size = abs(after - before)
    first = first if first >= SHORTEST else 0
    if first and abs(median(scaled[max(0, 2 * first - split) : first]) - after) > BACK * size:
        first = 0  # it does not come from the level that it goes to
    if end < n and abs(median(scaled[end : 2 * end - split]) - before) > BACK * size:
        end = n
    # It came at once from the level that it goes back to, and that it has nearly always had.
    at_once = abs(median(scaled[first : first + SHORTEST]) - before) <= BACK * size
    others = sum(abs(v - after) < abs(v - before) for v in scaled[:first])
    whole = strongest and end == n and 2 * first >= n - split and at_once and others >= USUAL * first
    if first and (whole or split - first < end - split):
        return first, split
    if end == n and abs(median(scaled[split:]) - before) < size / 2:
        end = min(n, split + width)  # it does not stay
    return split, max(end, split + 1)


def _longest_run(scores: Sequence[float]) -> int:
    """Return after how many scores their sum is highest."""
    sums = list(accumulate(scores))
    return sums.index(max(sums)) + 1 if sums else 0


def locate(values: Sequence[float], split: int, width: int) -> int:
    """Return where the cumulative sum about the mean turns, within one window of `split`."""
    low, high = max(0, split - width), min(len(values), split + width)
    sums = list(accumulate(values[low:high]))
    slope = sums[-1] / len(sums)
    away = [abs(total - slope * (i + 1)) for i, total in enumerate(sums[:-1])]
    return low + away.index(max(away)) + 1 if away else split


def _taken_off(values: list[float], first: int, end: int, width: int) -> list[float]:
    """Return the values without the change: at the level beside it if it has an end, otherwise lowered to it.

    A change may take its time, so the samples around its start are at that level in any case.
    """
    beside = median(values[max(0, first - max(12, end - first)) : first])
    if end < len(values):
        margin = max(2, (end - first) // 50)
        low, high = max(0, first - margin), min(len(values), end + margin)
        return [*values[:low], *([beside] * (high - low)), *values[high:]]
    level = median(values[first:])
    noise = mad_sigma(values[first:], level)
    # What breaks gets noisy: its noise says nothing about another change.
    share = min(1.0, mad_sigma(values[:first]) / noise) if noise else 1.0
    margin = min(width, len(values) // 20 + 2)
    low, high = max(0, first - margin), min(len(values), first + margin)
    lowered = (beside + share * (value - level) for value in values[high:])
    return [*values[:low], *([beside] * (high - low)), *lowered]


def _change(signal: Signal, rest: list[float], first: int, end: int, strength: float) -> Change:
    """Return the change from sample `first` to `end` in `rest`, from which larger ones were taken off."""
    before = median(rest[max(0, first - max(end - first, 12)) : first])
    after = _level(rest[first:end], before)
    before, after = signal.recorded(before, first, end), signal.recorded(after, first, end)
    if first and signal.period and signal.span < TWO_DAYS * signal.period:
        # With two days the rhythm takes half of a jump on one of them. Only the recorded values have all of it.
        jump = median(signal.raw[max(0, first - 12) : first]), median(signal.raw[first : first + 12])
        before, after = max((before, after), jump, key=lambda levels: abs(levels[1] - levels[0]))
    return Change(
        type="level_shift",
        start=signal.times[first],
        end=signal.times[end - 1],
        before=before,
        after=after,
        strength=strength,
        samples=end - first,
        state="over" if end < len(rest) else "unknown",
        method=METHOD,
    )


def _level(values: Sequence[float], before: float) -> float:
    """Return the level of a change: of its most extreme quarter, if that is clearly farther away than the whole."""
    whole, n = median(values), len(values)
    quarters = [median(values[n * k // 4 : n * (k + 1) // 4]) for k in range(4)] if n >= 4 * SHORTEST else [whole]
    farthest = max(quarters, key=lambda v: abs(v - before))
    noise = mad_sigma([b - a for a, b in pairwise(values)], 0.0)
    clearly = abs(farthest - before) > STAIRS * abs(whole - before) and abs(farthest - whole) > 2 * noise
    return farthest if clearly else whole
