"""Spikes: a few samples far from their surroundings, then back.

Method: the Hampel identifier (running median and MAD; Hampel 1974, Pearson 2002) finds candidates, and a gap test among
the highest of them (after Dixon 1950) tells an event from a heavy tail.

1. The baseline is a running median over a tenth of the series: 11 to 101 samples, 2 hours at most. At the ends, where
   no window is centred, a sample must be far from the last median and also from a Theil–Sen line through the nearest
   samples.
2. The scale is the larger one of the MADs of the whole series and of the neighbourhood: noise that grows with the
   traffic is no spike.
3. Neighbouring samples above 5 scales are one event. Latencies have heavy tails, so the highest events count only if no
   others come near them, and a single sample must be higher than several. If neighbouring samples resemble each other,
   noise comes in groups, and an event of several samples must be higher.
4. Both sides of an event are at one level. Otherwise it is the edge of a level shift.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from metric_analyst.detectors.change import Change, Signal
from metric_analyst.detectors.jumps import agreed
from metric_analyst.detectors.robust import local_scales, median, noise_floor, rolling_median, spearman, theil_sen

METHOD = "Hampel identifier (running median and MAD), gap test"
FEWEST = 12
NARROWEST, WIDEST = 11, 101
LONGEST = 7200.0  # seconds
CANDIDATE = 5.0
TALL, TALL_SINGLE = 8.0, 10.0
GAP, GAP_SINGLE = 2.0, 2.5
SIDE = 5  # samples on each side that must be at one level
BACK = 0.35  # share of the height by which the two sides may differ
MOST = 3
NOISELESS = 100.0  # height of a deviation in a series without noise
BLOCKS = 12


class _Event(msgspec.Struct):
    first: int
    last: int
    peak: int
    height: float  # in scales


def spikes(signal: Signal) -> list[Change]:
    """Return at most three spikes in order of time; none for fewer than 12 samples."""
    n = len(signal.rest)
    if n < FEWEST or min(signal.raw) == max(signal.raw):
        return []
    base, away = _deviations(signal.rest, signal.step)
    scales = local_scales(away, max(n // BLOCKS, 2 * NARROWEST), noise_floor(signal.raw))
    if signal.period:
        away = [agreed(a, b) for a, b in zip(away, _deviations(signal.raw, signal.step)[1], strict=True)]
    heights = [abs(a) / s if s else (0.0 if not a else NOISELESS) for a, s in zip(away, scales, strict=True)]
    events = sorted(_events(away, heights), key=lambda e: -e.height)
    inside = {i for e in events for i in range(e.first - 1, e.last + 2)}
    ordinary = max((h for i, h in enumerate(heights) if i not in inside), default=0.0)
    # In a series of zeros nothing shows how unusual a single event is.
    sporadic = not median([abs(a) for a in away])
    caution = 1 + max(0.0, spearman(away, away[1:] + away[:1]))
    accepted = _stand_out(events, max(ordinary, 1.0), n, caution, sporadic)
    changes = [_change(signal, base, away, event, strength) for event, strength in accepted]
    return [c for c, (event, _) in zip(changes, accepted, strict=True) if _one_level(signal.rest, event, c.magnitude)]


def _deviations(values: Sequence[float], step: float) -> tuple[list[float], list[float]]:
    """Return the baseline, and the distance of each value from it."""
    n = len(values)
    width = _width(n, step)
    half = width // 2
    middle = rolling_median(values, width)
    base = [middle[0]] * half + middle + [middle[-1]] * half
    away = [value - level for value, level in zip(values, base, strict=True)]
    reach = min(n, 2 * width)
    places = [float(i) for i in range(n)]
    for end, first in ((range(half), 0), (range(n - half, n), n - reach)):
        slope, start = theil_sen(places[first : first + reach], values[first : first + reach])
        for i in end:
            away[i] = agreed(away[i], values[i] - start - slope * i)
    return base, away


def _width(n: int, step: float) -> int:
    width = max(min(n // 10, WIDEST, int(LONGEST / step) if step else WIDEST), NARROWEST)
    width = min(width, n)
    return width - 1 + width % 2


def _one_level(values: Sequence[float], event: _Event, height: float) -> bool:
    before, after = values[max(0, event.first - SIDE) : event.first], values[event.last + 1 : event.last + 1 + SIDE]
    return len(before) < 3 or len(after) < 3 or abs(median(after) - median(before)) <= BACK * abs(height)


def _events(away: Sequence[float], heights: Sequence[float]) -> list[_Event]:
    events: list[_Event] = []
    for i, height in enumerate(heights):
        if height < CANDIDATE:
            continue
        if events and i - events[-1].last <= 3 and (away[i] > 0) == (away[events[-1].peak] > 0):
            event = events[-1]
            event.last = i
            if height > event.height:
                event.height, event.peak = height, i
        else:
            events.append(_Event(i, i, i, height))
    return events


def _stand_out(
    events: list[_Event], ordinary: float, n: int, caution: float, sporadic: bool
) -> list[tuple[_Event, float]]:
    """Return the highest events, at most three, that a wide gap separates from the others, each with its strength."""
    accepted: list[tuple[_Event, float]] = []
    best = 0
    for k in range(1, min(MOST, len(events)) + 1):
        below = max(ordinary, events[k].height if k < len(events) else 0.0)
        single = all(e.first == e.last for e in events[:k])
        if events[k - 1].height >= (GAP_SINGLE if single else GAP) * below:
            best = k
    below = max(ordinary, events[best].height if best < len(events) else 0.0)
    for event in events[:best]:
        alone = event.first == event.last
        needed = max(TALL_SINGLE, GAP_SINGLE * below) if alone else max(caution * TALL, GAP * below)
        if alone and sporadic:
            continue
        # Away from the baseline for a fifth of the time is a level, not a spike.
        if event.height >= needed and event.last - event.first < max(5, n // 5):
            accepted.append((event, event.height / needed))
    return sorted(accepted, key=lambda pair: pair[0].first)


def without(signal: Signal, changes: Sequence[Change]) -> Signal:
    """Return the signal with the samples of spikes that are over replaced by the baseline."""
    over = [(c.start, c.end) for c in changes if c.returned]
    if not over:
        return signal
    replaced = [any(a <= time <= b for a, b in over) for time in signal.times]

    def calm(values: list[float]) -> list[float]:
        base, _ = _deviations(values, signal.step)
        return [m if r else v for v, m, r in zip(values, base, replaced, strict=True)]

    raw = calm(signal.raw)
    return msgspec.structs.replace(signal, raw=raw, rest=calm(signal.rest) if signal.period else raw)


def _change(signal: Signal, base: Sequence[float], away: Sequence[float], event: _Event, strength: float) -> Change:
    return Change(
        type="spike",
        start=signal.times[event.first],
        end=signal.times[event.last],
        before=base[event.peak],
        after=base[event.peak] + away[event.peak],
        magnitude=away[event.peak],
        strength=strength,
        samples=event.last - event.first + 1,
        returned=event.last < len(away) - 1,
        method=METHOD,
        detail={"peak_at": signal.times[event.peak]},
    )
