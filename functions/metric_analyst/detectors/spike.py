"""Spikes: a few samples far from their surroundings, then back.

Method: the Hampel identifier (running median and MAD; Hampel 1974, Pearson 2002) finds candidates, and the gap between
them and the highest of the others tells an event from a tail (mean excess: Davison & Smith 1990; Hill 1975).

1. The baseline is a running median over 21 samples. At an end, where no window is centred, a sample must also be far
   from a Theil–Sen line through the nearest samples.
2. The scale is the MAD of the whole series.
3. Neighbouring samples above 5 scales are one event. The highest events count only if they are as far above the next
   height as hardly any sample would be, seen from the twenty highest others: in normal noise that is a third more, in
   a long tail several times as much.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import nlargest
from math import exp, log
from operator import sub

import msgspec

from metric_analyst.detectors.change import Change, Signal
from metric_analyst.detectors.robust import mad_sigma, median, noise_floor, rolling_median

METHOD = "Hampel identifier (running median and MAD), gap test"
WIDTH = 21
CANDIDATE = 5.0
TALL = 6.5
TAIL = 20  # heights that show how the others are distributed
FEW = 60  # samples; in fewer, nothing shows how long the tail is
RARE = 6.1  # one in 450, as a natural logarithm
SHORT_TAIL = 0.22  # Hill's index of normal noise
MOST = 3
LEVEL = 4  # samples at the series' end from which on they are a level
FOOT = 0.2  # share of an event's height that its first and last samples have
NOISELESS = 100.0  # height of a deviation in a series without noise
RISES = 1.2  # times the largest other rise, at an end
RECORDED = 1.3  # heights of the twentieth highest value that one must have, if the rhythm is left in


class _Event(msgspec.Struct):
    first: int
    last: int
    peak: int
    height: float  # in scales


def spikes(signal: Signal) -> list[Change]:
    """Return at most three spikes in order of time. A signal has at least 12 samples."""
    values, n = signal.rest, len(signal.rest)
    base = baseline(values)
    away = list(map(sub, values, base))
    scale = max(mad_sigma(away, 0.0), noise_floor(values))
    found = _highest(signal, base, away, scale)
    if found or not signal.period:
        return found
    # A job that is never on time leaves a tall rest each day, but no value that is unusual as it was recorded.
    middle, scale = median(signal.raw), mad_sigma(signal.raw)
    away = [value - middle for value in signal.raw]
    usual = nlargest(TAIL, map(abs, away))[-1]
    plain = msgspec.structs.replace(signal, rest=signal.raw, period=0.0)
    return _highest(plain, [middle] * n, away, scale, RECORDED * usual)


def _highest(
    signal: Signal, base: Sequence[float], away: Sequence[float], scale: float, least: float = 0.0
) -> list[Change]:
    """Return the events that stand out, of samples that are more than `least` away, each as a change."""
    n = len(away)
    if max(map(abs, away)) < TALL * scale:
        return []
    heights = [abs(a) / scale if scale else (0.0 if not a else NOISELESS) for a in away]
    lowest = max(CANDIDATE, least / scale) if scale else CANDIDATE
    events = sorted((_trimmed(event, heights) for event in _events(away, heights, lowest)), key=lambda e: -e.height)
    return [
        _change(signal, base, event, strength)
        for event, strength in _stand_out(events, heights)
        # In a series of zeros nothing shows how unusual a single event is.
        if (event.first < event.last or mad_sigma(signal.rest))
        # Away from the baseline for a fifth of the time is a level, not a spike.
        and event.last - event.first < max(5, n // 5)
        and _recorded(signal, event, away[event.peak])
    ]


def baseline(values: Sequence[float]) -> list[float]:
    """Return the running median over 21 samples, constant at the ends."""
    width = min(WIDTH, len(values) - 1 + len(values) % 2)
    middle = rolling_median(values, width)
    return [middle[0]] * (width // 2) + middle + [middle[-1]] * (width // 2)


def _recorded(signal: Signal, event: _Event, height: float) -> bool:
    """Return whether the event is in the values as they were recorded, too, and above a line at the series' end."""
    n, sign = len(signal.raw), 1 if height > 0 else -1
    low, high = max(0, event.first - WIDTH // 2), min(n, event.last + 1 + WIDTH // 2)
    beside = median([*signal.raw[low : event.first], *signal.raw[event.last + 1 : high]])
    share = signal.rhythm[event.peak] if signal.period and signal.multiplied else 1.0
    if sign * (signal.raw[event.peak] - beside) < abs(height) * share / 2:
        return False
    if event.first >= WIDTH // 2 and event.last < n - WIDTH // 2:
        return True
    # No window is centred here, so what comes again and again looks new: it must rise by more than all else does.
    rest, first, peak = signal.rest, event.first, event.peak
    if first <= n - event.last:  # at the start, seen from the other end
        rest, first, peak = rest[::-1], n - 1 - event.last, n - 1 - peak
    lag = peak - first + 1
    others = [sign * (b - a) for a, b in zip(rest[: first - lag], rest[lag:], strict=False)]
    return sign * (rest[peak] - rest[first - 1]) > RISES * max(others, default=0.0)


def _events(away: Sequence[float], heights: Sequence[float], least: float) -> list[_Event]:
    events: list[_Event] = []
    for i, height in enumerate(heights):
        if height < least:
            continue
        if events and i - events[-1].last <= 3 and (away[i] > 0) == (away[events[-1].peak] > 0):
            event = events[-1]
            event.last = i
            if height > event.height:
                event.height, event.peak = height, i
        else:
            events.append(_Event(i, i, i, height))
    return events


def _trimmed(event: _Event, heights: Sequence[float]) -> _Event:
    """Return the event without low samples at its ends: beside a high peak they are noise."""
    high = [i for i in range(event.first, event.last + 1) if heights[i] >= FOOT * event.height]
    return _Event(high[0], high[-1], event.peak, event.height)


def _stand_out(events: list[_Event], heights: Sequence[float]) -> list[tuple[_Event, float]]:
    """Return the highest events, at most three, that a wide gap separates from the others, each with its strength."""
    inside = {i for event in events for i in range(event.first, event.last + 1)}
    others = nlargest(TAIL + 1, (h for i, h in enumerate(heights) if i not in inside)) or [0.0]
    best, needed = 0, 0.0
    for k in range(1, min(MOST, len(events)) + 1):
        least = _above(sorted([*(e.height for e in events[k:]), *others], reverse=True)[: TAIL + 1], len(heights))
        if events[k - 1].height >= least:
            best, needed = k, least
    return sorted(((e, e.height / needed) for e in events[:best]), key=lambda pair: pair[0].first)


def _above(tail: list[float], n: int) -> float:
    """Return the height that one in 450 tails like this would have besides; `tail` are heights, the largest first."""
    least = max(tail[-1], 1e-9)
    excess = sum(tail) / len(tail) - least
    hill = sum(log(max(h, 1e-9) / least) for h in tail) / len(tail)
    factor = exp(RARE * max(0.0, hill - SHORT_TAIL)) if n >= FEW else 2.5
    return max(TALL, tail[0] + RARE * excess, factor * tail[0])


def _change(signal: Signal, base: Sequence[float], event: _Event, strength: float) -> Change:
    over = event.last < len(base) - 1
    return Change(
        type="spike" if over or event.last - event.first < LEVEL else "level_shift",
        start=signal.times[event.first],
        end=signal.times[event.last],
        before=signal.recorded(base[event.peak], event.peak, event.peak + 1),
        after=signal.raw[event.peak],
        strength=strength,
        samples=event.last - event.first + 1,
        state="over" if over else "unknown",
        method=METHOD,
        detail={"peak_at": signal.times[event.peak]},
    )
