"""Activity: the stretch in which a series moves that otherwise rests at one value, as errors do at 0.

Such a series has no noise where it rests, and often so much elsewhere that no median is far from it. So only whether it
is at rest is looked at.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from metric_analyst.detectors.change import FEWEST
from metric_analyst.detectors.robust import rolling_median

SHORTEST = 8  # samples of the stretch
AT_REST = 0.3  # share of the samples at one value, at least
PAUSE = 5  # samples at rest while a series is active, at most
ACTIVE, ACTIVE_OUTSIDE = 0.6, 0.05  # share of active samples in the stretch, at least, and elsewhere, at most


def activity(values: Sequence[float]) -> tuple[int, int, float] | None:
    """Return the first sample of the active stretch, the one after it, and how many times longer than needed it is.

    None if a series has no such stretch, is seldom at rest, or is now and then active outside it.
    """
    rest, count = Counter(values).most_common(1)[0]
    if count < AT_REST * len(values):
        return None
    active = [float(value != rest) for value in values]
    busy = [at for at, mostly in enumerate(rolling_median(active, 2 * PAUSE + 1), PAUSE) if mostly]
    if not busy or busy[0] < FEWEST:
        return None
    first, end = _edge(active, busy[0], -1), _edge(active, busy[-1], 1) + 1
    inside, outside = sum(active[first:end]), sum(active[:first]) + sum(active[end:])
    others = len(values) - (end - first)
    is_clear = inside >= ACTIVE * (end - first) and others >= FEWEST and outside <= ACTIVE_OUTSIDE * others
    return (first, end, (end - first) / SHORTEST) if is_clear and end - first >= SHORTEST else None


def _edge(active: Sequence[float], at: int, step: int) -> int:
    """Return the outermost active sample that one reaches from sample `at` on, in steps of 1 or −1, over pauses."""
    edge = at
    while 0 <= at < len(active) and abs(at - edge) <= PAUSE:
        edge = at if active[at] else edge
        at += step
    return edge
