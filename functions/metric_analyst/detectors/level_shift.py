"""Level shifts: the median jumps and stays.

Method: adjacent running medians of several widths (a robust two-window CUSUM; compare binary segmentation, Scott &
Knott 1974). Jumps are judged by the series' own jumps, confirmed by the Mann–Whitney effect size, located by CUSUM
about the middle level, and pruned backwards.

1. For windows of 3 to 64 samples, the jump at a sample is the median after it less the median before it.
2. Its scale is the MAD of all jumps of that width in the series or, if that is larger, in the neighbourhood. A series
   that wanders needs a larger jump than a quiet one. Thresholds for independent noise give false alarms on real
   metrics, which are correlated.
3. Both the values and the values without the rhythm must jump. Otherwise it is the rhythm itself, or the trace that an
   unusual day leaves on the others. On the flank of the rhythm a jump must exceed a share of the flank, because no two
   mornings are equally early or steep.
4. The jump must separate before from after (Cliff's delta ≥ 0.8, and twice the noise), and last.
5. Under 60 samples are too few for that. Then the values must fall into two groups (Otsu 1979), and the groups into two
   or three unbroken stretches.
6. A rise and the fall back are one shift with an end. More than three similar shifts are usual for the series.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import log10

from metric_analyst.detectors.change import Change, Signal
from metric_analyst.detectors.jumps import beyond_rhythm, jumps, quieter_side, step
from metric_analyst.detectors.robust import cliffs_delta, local_scales, mad_sigma, median, noise_floor
from metric_analyst.detectors.two_levels import two_levels

METHOD = "adjacent running medians over 3–64 samples, Cliff's delta, CUSUM location"
FEWEST = 12
WIDTHS = (3, 5, 8, 16, 32, 64)
THRESHOLD = 5.5
SHORT_OF_JUMPS = 6.0  # by how much a wide window in a short series raises the threshold
MANY_CHANCES = 0.15  # by how much ten times as many windows raise it
DELTA = 0.8
ABRUPT = 0.6
NOISES = 2.0
MISFIT, MISFIT_OF_TWO = 0.5, 1.2  # share of the rhythm's own rise, with three periods or more and with two
BLOCK_WIDTHS = 16  # windows in a neighbourhood
SHORT = 6 * 3600.0  # seconds in which the time of day does not change the noise
NEAR = 12  # samples
BESIDE = 48  # most samples on each side that a split must separate
SHORTEST = 4  # samples; fewer are a spike
BACK = 0.35  # share of the jump within which a level counts as back
MOST_ALIKE = 3
SMALL_BESIDE = 0.3


def level_shifts(signal: Signal) -> list[Change]:
    """Return the shifts in order of time; none for fewer than 12 samples."""
    n = len(signal.rest)
    if n < FEWEST or min(signal.raw) == max(signal.raw):
        return []
    splits = _prune(signal.rest, _candidates(signal))
    changes = _excursions(signal, splits)
    if len(changes) > MOST_ALIKE:
        sizes = sorted((abs(c.magnitude) for c in changes), reverse=True)
        if sizes[MOST_ALIKE] > sizes[0] / 2:
            return []
        changes = [c for c in changes if abs(c.magnitude) > 2 * sizes[MOST_ALIKE]]
    # A large change disturbs the estimates around it, so a small one beside it needs more strength.
    largest = max((abs(c.magnitude) for c in changes), default=0.0)
    return [c for c in changes if abs(c.magnitude) >= SMALL_BESIDE * largest or c.strength >= 1.5]


def _candidates(signal: Signal) -> list[tuple[int, float]]:
    """Return (first sample of the new level, strength). Narrow windows come first, because they locate best."""
    n = len(signal.rest)
    floor = max(noise_floor(signal.raw), noise_floor(signal.rest) if signal.period else 0.0)
    # The jumps of white noise with these steps. Real jumps can be larger, but hardly smaller.
    white = mad_sigma([b - a for a, b in pairwise(signal.rest)], 0.0)
    cycles = (signal.times[-1] - signal.times[0]) / (signal.period or 1.0)
    misfit = MISFIT if cycles >= 3 else MISFIT_OF_TWO
    shifts: list[tuple[int, float]] = []
    for width in WIDTHS:
        if width > max(3, n // 8):
            break
        series = jumps(signal.rest, width)
        scales = local_scales(series, BLOCK_WIDTHS * width, max(white / width**0.5, floor))
        if signal.period:
            raw = jumps(signal.raw, width)
            series = [beyond_rhythm(a, b, misfit) for a, b in zip(series, raw, strict=True)]
        if signal.times[-1] - signal.times[0] < SHORT:
            scales = quieter_side(jumps(signal.rest, width), scales, width, floor)
        # Few windows give a poor estimate of their scale; many have many chances to be unusual.
        chances = MANY_CHANCES * max(0.0, log10(n / width / 10))
        threshold = THRESHOLD * (1 + SHORT_OF_JUMPS * width / n + chances)
        past = [abs(j) / (threshold * s) if s else (10.0 if j else 0.0) for j, s in zip(series, scales, strict=True)]
        for i in sorted(range(len(past)), key=lambda i: -past[i]):
            if past[i] < 1:
                break
            split = i + width
            if any(abs(split - other) <= 2 * width for other, _ in shifts):
                continue
            split = _locate(signal.rest, split, width)
            if _separates(signal, split, width, floor):
                shifts.append((split, min(past[i], 10.0)))
    return sorted(set(shifts)) or two_levels(signal.rest)


def _locate(values: Sequence[float], split: int, width: int) -> int:
    """Return where the cumulative sum about the middle level turns, within one window of `split`."""
    low, high = max(1, split - width), min(len(values) - 1, split + width)
    before, after = median(values[max(0, split - 2 * width) : low + 1]), median(values[high : high + width])
    if before == after:
        return split
    sign = 1 if after > before else -1
    middle = (before + after) / 2
    reach = abs(after - before) / 2
    best, total, where = 0.0, 0.0, low
    for i in range(low, high):
        total += max(-reach, min(reach, sign * (values[i] - middle)))
        if total < best:
            best, where = total, i + 1
    return where


def _separates(signal: Signal, split: int, width: int, floor: float) -> bool:
    values, width = signal.rest, max(width, 5)
    before, after = values[max(0, split - width) : split], values[split : split + width]
    if len(before) < 3 or len(after) < 3:
        return False
    noise = max((mad_sigma(before) + mad_sigma(after)) / 2, floor)
    apart = abs(median(after) - median(before))
    if not apart or apart < NOISES * noise or abs(cliffs_delta(before, after)) < DELTA:
        return False
    # A ramp has half of its rise in half of the window, a step nearly all. The noise is taken from sample to sample,
    # because the spread of a ramp is the ramp itself.
    near = values[max(0, split - width) : split + width]
    rough = max(mad_sigma([b - a for a, b in pairwise(near)], 0.0), floor)
    half = max(3, width // 4)
    if abs(step(values, split, half)) < ABRUPT * apart - rough / half**0.5:
        return False
    # The trace of a jump on another day is abrupt without the rhythm, but not in the recorded values.
    recorded = step(signal.raw, split, 5) if step(values, split, width) > 0 else -step(signal.raw, split, 5)
    return not signal.period or recorded >= 0.7 * apart - rough / 2


def _prune(values: Sequence[float], splits: list[tuple[int, float]]) -> list[tuple[int, float]]:
    """Return the splits that separate their segments; the weakest are dropped first, also for short segments."""
    splits = list(splits)
    while splits:
        edges = [0, *(s for s, _ in splits), len(values)]
        worst, where = 1.0, -1
        for k in range(len(splits)):
            middle = edges[k + 1]
            before = values[max(edges[k], middle - BESIDE) : middle]
            after = values[middle : min(middle + BESIDE, edges[k + 2])]
            if min(len(before), len(after)) < SHORTEST:
                quality = 0.0
            else:
                noise = (mad_sigma(before) + mad_sigma(after)) / 2
                apart = abs(median(after) - median(before))
                quality = apart / (NOISES * noise) if noise else (2.0 if apart else 0.0)
            if quality < worst:
                worst, where = quality, k
        if where < 0:
            break
        del splits[where]
    return splits


def _excursions(signal: Signal, splits: list[tuple[int, float]]) -> list[Change]:
    """Return each run of segments away from the level before it as one change."""
    values, n = signal.rest, len(signal.rest)
    edges = [0, *(s for s, _ in splits), n]
    levels = [median(values[a:b]) for a, b in pairwise(edges)]
    changes: list[Change] = []
    k = 1
    while k < len(levels):
        base, first, tallest = levels[k - 1], k, k
        k += 1
        returned = False
        while k < len(levels):
            if abs(levels[k] - base) < BACK * abs(levels[tallest] - base):
                returned = True
                break
            # Another step long after the first is a change of its own.
            if edges[k] - edges[first] > n // 5:
                break
            if abs(levels[k] - base) > abs(levels[tallest] - base):
                tallest = k
            k += 1
        last = edges[k] - 1 if k < len(levels) else n - 1
        before, after = _levels(signal, edges, first, tallest)
        changes.append(
            Change(
                type="level_shift",
                start=signal.times[edges[first]],
                end=signal.times[last],
                before=before,
                after=after,
                magnitude=after - before,
                strength=splits[first - 1][1],
                samples=last - edges[first] + 1,
                returned=returned,
                method=METHOD,
            )
        )
        if returned:
            k += 1
    return changes


def _levels(signal: Signal, edges: list[int], first: int, tallest: int) -> tuple[float, float]:
    """Return the level before and after: of the whole segments or, if they wander, of the samples near the jump."""
    values, split = signal.rest, edges[first]
    before, after = values[edges[first - 1] : split], values[edges[tallest] : edges[tallest + 1]]
    whole = median(before), median(after)
    if tallest != first:
        return whole
    near = median(before[-NEAR:]), median(after[:NEAR])
    size, beside = whole[1] - whole[0], near[1] - near[0]
    if not beside or not 0.6 <= size / beside <= 1.6:
        return near
    # With two days the rhythm takes half of a jump on one of them. Only the recorded values have all of it.
    if 0 < (signal.times[-1] - signal.times[0]) / (signal.period or 1e-9) < 2.7:
        raw = step(signal.raw, split, NEAR)
        return whole[0], whole[0] + max(size, raw, key=abs)
    return whole
