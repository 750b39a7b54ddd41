"""Jumps: by how much a series is higher after a sample than before it, and how usual that is."""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence

from metric_analyst.detectors.robust import TO_SIGMA, median, rolling_median


def agreed(one: float, other: float) -> float:
    """Return the smaller of two jumps in the same direction; 0 if the directions differ."""
    if (one > 0) != (other > 0):
        return 0.0
    return one if abs(one) < abs(other) else other


def beyond_rhythm(rest: float, raw: float, misfit: float) -> float:
    """Return the jump that both have; 0 if a rhythm that is a little larger or later than usual may explain it."""
    return agreed(rest, raw) if abs(rest) >= misfit * abs(raw - rest) else 0.0


def jumps(values: Sequence[float], width: int) -> list[float]:
    """Return the median of `width` samples less that of the `width` before; entry i is for sample i + width."""
    medians = rolling_median(values, width)
    return [after - before for before, after in zip(medians, medians[width:], strict=False)]


def step(values: Sequence[float], split: int, width: int) -> float:
    """Return the jump at one sample, with narrower windows near the ends."""
    return median(values[split : split + width]) - median(values[max(0, split - width) : split])


def quieter_side(series: Sequence[float], scales: list[float], width: int, floor: float) -> list[float]:
    """Return the scales, reduced to those of one side of each jump if it has enough samples and is quieter.

    What breaks gets noisy, but the noise after the break does not make the break more likely.
    """
    enough = max(3 * width, 8, len(series) // 4)
    before = _prefix_scales(series, width, enough)
    after = _prefix_scales(series[::-1], width, enough)[::-1]
    return [max(min(s, b, a), floor) for s, b, a in zip(scales, before, after, strict=True)]


def _prefix_scales(series: Sequence[float], width: int, enough: int) -> list[float]:
    """Return, for each jump, the scale of the earlier jumps that share no sample with it; infinite for too few."""
    out = [float("inf")] * len(series)
    seen: list[float] = []
    for i in range(2 * width, len(series)):
        insort(seen, abs(series[i - 2 * width]))
        if len(seen) >= enough:
            out[i] = TO_SIGMA * seen[len(seen) // 2]
    return out
