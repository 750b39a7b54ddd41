"""Jumps: how much a series is higher after a sample than before it, and how usual that is for it."""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence

from metric_analyst.detectors.robust import TO_SIGMA, median, rolling_median


def agreed(one: float, other: float) -> float:
    """The smaller of two jumps that point the same way; 0 when they do not."""
    if (one > 0) != (other > 0):
        return 0.0
    return one if abs(one) < abs(other) else other


def beyond_rhythm(rest: float, raw: float, misfit: float) -> float:
    """The jump that is in both, if it is more than a rhythm of another size or a little late would leave."""
    return agreed(rest, raw) if abs(rest) >= misfit * abs(raw - rest) else 0.0


def jumps(values: Sequence[float], width: int) -> list[float]:
    """The median of `width` samples less that of the `width` before; entry i is the jump at sample i + width."""
    medians = rolling_median(values, width)
    return [after - before for before, after in zip(medians, medians[width:], strict=False)]


def step(values: Sequence[float], split: int, width: int) -> float:
    """The jump at one sample, with narrower windows at the ends."""
    return median(values[split : split + width]) - median(values[max(0, split - width) : split])


def quieter_side(series: Sequence[float], scales: list[float], width: int, floor: float) -> list[float]:
    """Scales by what was before the jump, or after it, where one side alone tells enough and is quieter.

    What breaks gets noisy; the noise after the break says nothing about how likely the break was.
    """
    enough = max(3 * width, 8, len(series) // 4)
    before = _prefix_scales(series, width, enough)
    after = _prefix_scales(series[::-1], width, enough)[::-1]
    return [max(min(s, b, a), floor) for s, b, a in zip(scales, before, after, strict=True)]


def _prefix_scales(series: Sequence[float], width: int, enough: int) -> list[float]:
    """For each jump the scale of those before it that share no sample with it; infinite for too few."""
    out = [float("inf")] * len(series)
    seen: list[float] = []
    for i in range(2 * width, len(series)):
        insort(seen, abs(series[i - 2 * width]))
        if len(seen) >= enough:
            out[i] = TO_SIGMA * seen[len(seen) // 2]
    return out
