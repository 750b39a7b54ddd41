"""Metrics whose faults are known: clean series of many kinds, and the same series with one fault put in.

A seed and a name give the same recording each time. The detectors were not fitted to these seeds alone: whoever changes
them should also look at other seeds (`recordings(seeds=range(100, 110))`).
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise

import msgspec

DAY = 86_400
MONDAY = 1_767_571_200  # 2026-01-05T00:00:00Z


class Recording(msgspec.Struct, frozen=True):
    """A series, and where its fault is: `times` in seconds since the epoch, one for each of `values`.

    `kind` names what the series is like, `fault` what was put in ("" for a clean one) from `start` to `end` (seconds
    since the epoch, both inclusive). Two faults of one recording are in `places`, in order of time.
    """

    kind: str
    name: str
    step: float
    times: list[float]
    values: list[float]
    fault: str = ""
    places: list[tuple[float, float]] = []


class Kind(msgspec.Struct, frozen=True):
    """How a kind of series is made: `make(rng, n)` gives `n` values, `step` seconds apart.

    A counter's values are what is counted between two samples; the recording has their sum, with resets.
    """

    make: Callable[[random.Random, int], list[float]]
    n: int
    step: float
    name: str = "metric"
    counter: bool = False
    start: float = MONDAY


def poisson(rng: random.Random, mean: float) -> float:
    if mean > 50:
        return float(max(0, round(rng.gauss(mean, mean**0.5))))
    limit, count, product = math.exp(-mean), 0, rng.random()
    while product > limit:
        count, product = count + 1, product * rng.random()
    return float(count)


def autocorrelated(rng: random.Random, n: int, phi: float, sigma: float) -> list[float]:
    """An AR(1) process of standard deviation `sigma`, in its stationary state."""
    x, out = rng.gauss(0, sigma), []
    innovation = sigma * (1 - phi * phi) ** 0.5
    for _ in range(n):
        x = phi * x + rng.gauss(0, innovation)
        out.append(x)
    return out


def _day(time: float, peak: float) -> float:
    """The share of a day's traffic at a time, 0 to 1: a quiet night and two humps."""
    hour = (time / 3600 - peak + 12) % 24
    return 0.6 * math.exp(-(((hour - 11) / 3.2) ** 2)) + 0.4 * math.exp(-(((hour - 16) / 2.8) ** 2))


def flat(rng: random.Random, n: int) -> list[float]:
    return [rng.gauss(100, 5) for _ in range(n)]


def latency(rng: random.Random, n: int) -> list[float]:
    return [120 * math.exp(rng.gauss(0, 0.4)) for _ in range(n)]


def heavy_tail(rng: random.Random, n: int) -> list[float]:
    """A p99: most values are near 200, some several times as high."""
    return [180 + 20 * rng.paretovariate(1.8) for _ in range(n)]


def daily(rng: random.Random, n: int) -> list[float]:
    peak, size, noise = rng.uniform(0, 24), rng.uniform(200, 600), autocorrelated(rng, n, 0.7, 0.05)
    return [(100 + size * _day(i * 300, peak)) * (1 + e) for i, e in enumerate(noise)]


def weekly(rng: random.Random, n: int) -> list[float]:
    peak, noise = rng.uniform(0, 24), autocorrelated(rng, n, 0.6, 0.04)
    days = [rng.gauss(1, 0.04) * (rng.uniform(0.45, 0.55) if day % 7 >= 5 else 1) for day in range(n // 48 + 1)]
    return [(80 + 700 * days[i // 48] * _day(i * 1800, peak)) * (1 + e) for i, e in enumerate(noise)]


def sawtooth(rng: random.Random, n: int) -> list[float]:
    """A heap that garbage collections empty: each rises at its own speed."""
    used, full, out = 200.0, rng.uniform(700, 900), []
    speed = usual = rng.uniform(4, 15)
    for _ in range(n):
        used += max(0.0, rng.gauss(speed, speed / 3))
        if used > full * rng.gauss(1, 0.02):
            used, speed = 200 * rng.gauss(1, 0.08), usual * rng.uniform(0.7, 1.3)
        out.append(used)
    return out


def counted(rng: random.Random, n: int) -> list[float]:
    mean = rng.uniform(200, 2000)
    return [poisson(rng, mean * (1 + e)) for e in autocorrelated(rng, n, 0.8, 0.06)]


def stepped(rng: random.Random, n: int) -> list[float]:
    """Connections in a pool: whole numbers that stay for a while and return to their mean."""
    level, mean, out = 40, 40, []
    for _ in range(n):
        if rng.random() < 0.2:
            level += 1 if rng.random() < 0.5 + (mean - level) / 40 else -1
        out.append(float(level))
    return out


def percent(rng: random.Random, n: int) -> list[float]:
    """A cache's hits: a ratio that cannot exceed 100."""
    level = rng.uniform(80, 95)
    return [min(100.0, level + e + rng.gauss(0, 0.8)) for e in autocorrelated(rng, n, 0.9, 1.0)]


def bursty(rng: random.Random, n: int) -> list[float]:
    """Messages a minute: bursts of several minutes, three times the usual rate, come at any time."""
    left, out = 0, []
    for _ in range(n):
        if not left and rng.random() < 0.03:
            left = rng.randint(2, 8)
        out.append(poisson(rng, 60 if left else 20))
        left = max(0, left - 1)
    return out


def slow(rng: random.Random, n: int) -> list[float]:
    return [500 + e for e in autocorrelated(rng, n, 0.97, 30)]


def walk(rng: random.Random, n: int) -> list[float]:
    x, out = 1000.0, []
    for _ in range(n):
        x += rng.gauss(0, 1)
        out.append(x)
    return out


def sparse(rng: random.Random, n: int) -> list[float]:
    return [poisson(rng, 0.2) for _ in range(n)]


def nightly(rng: random.Random, n: int) -> list[float]:
    """CPU of a batch host: each night a job runs for two hours, never at quite the same minute."""
    starts = [288 * day + 30 + rng.randint(-2, 2) for day in range(n // 288 + 1)]
    busy = {i for first in starts for i in range(first, first + 24 + rng.randint(-2, 2))}
    return [max(0.0, rng.gauss(70 if i in busy else 12, 3)) for i in range(n)]


def noisy_days(rng: random.Random, n: int) -> list[float]:
    """A daily rhythm smaller than its noise: 100±40 and ±30 by day and night."""
    return [100 + 30 * math.sin(2 * math.pi * i / 288) + rng.gauss(0, 40) for i in range(n)]


CLEAN: dict[str, Kind] = {
    "flat noise": Kind(flat, 1440, 60),
    "log-normal latency": Kind(latency, 1440, 60, "request_ms"),
    "heavy tail": Kind(heavy_tail, 1440, 60, "p99_ms"),
    "daily rhythm": Kind(daily, 2016, 300, "requests"),
    "weekly with weekends": Kind(weekly, 1344, 1800, "requests"),
    "GC sawtooth": Kind(sawtooth, 1440, 60, "heap_used_mb"),
    "counter with resets": Kind(counted, 1440, 60, "http_requests_total", counter=True),
    "stepped integers": Kind(stepped, 1440, 60, "connections"),
    "ratio in percent": Kind(percent, 1440, 60, "cache_hit_percent"),
    "bursty counts": Kind(bursty, 1440, 60, "messages"),
    "slow autocorrelated": Kind(slow, 1440, 60, "queue_bytes"),
    "random walk": Kind(walk, 1440, 60, "level"),
    "sparse counts": Kind(sparse, 1440, 60, "errors"),
    "nightly job": Kind(nightly, 2016, 300, "cpu_percent"),
    "noisy days": Kind(noisy_days, 2016, 300, "load"),
}
# What a fault can be told from in these. A walk or five errors in ten minutes may double by themselves.
FAULTED = [kind for kind in CLEAN if kind not in ("random walk", "sparse counts", "slow autocorrelated", "GC sawtooth")]


def _times(share: float) -> Callable[[random.Random, list[float], int, int], None]:
    def put(rng: random.Random, values: list[float], first: int, last: int) -> None:
        for i in range(first, last + 1):
            values[i] *= share

    return put


def _ramp(rng: random.Random, values: list[float], first: int, last: int) -> None:
    for i in range(first, last + 1):
        values[i] *= 1 + (i - first + 1) / (last - first + 1)


def _stuck(rng: random.Random, values: list[float], first: int, last: int) -> None:
    for i in range(first, last + 1):
        values[i] = values[first]


def _spike(rng: random.Random, values: list[float], first: int, last: int) -> None:
    """Twice as far from the middle as the farthest other value."""
    middle = sorted(values)[len(values) // 2]
    height = 2 * max(max(values) - middle, 1.0)
    for i in range(first, last + 1):
        values[i] = middle + height * rng.uniform(1, 1.5)


def _sigmas(rng: random.Random, values: list[float], first: int, last: int) -> None:
    """A step of 2 to 3 times the noise, as it is from sample to sample."""
    changes = sorted(abs(b - a) for a, b in pairwise(values))
    sigma = changes[len(changes) // 2] * 1.4826 / 2**0.5
    height = rng.choice([-1, 1]) * rng.uniform(2, 3) * sigma
    for i in range(first, last + 1):
        values[i] += height


class Fault(msgspec.Struct, frozen=True):
    """How a fault is put in: over which share of the samples, or how many of them; `stays` is to the end."""

    put: Callable[[random.Random, list[float], int, int], None]
    share: tuple[float, float] = (0.06, 0.12)
    samples: tuple[int, int] | None = None
    stays: bool = False


FAULTS: dict[str, Fault] = {
    "times 1.5": Fault(_times(1.5)),
    "times 2": Fault(_times(2.0)),
    "outage": Fault(_times(0.0), share=(0.02, 0.05)),
    "spike": Fault(_spike, samples=(1, 3)),
    "ramp to double": Fault(_ramp, share=(0.2, 0.4), stays=True),
    "stuck": Fault(_stuck, share=(0.05, 0.1)),
}


def clean(kind: str, seed: int) -> Recording:
    rng, how = _rng(kind, seed), CLEAN[kind]
    return _recorded(kind, how, how.make(rng, how.n), rng)


def faulty(kind: str, fault: str, seed: int) -> Recording:
    """Return the clean recording of that kind and seed with a fault between a third and nine tenths of it."""
    rng, how, what = _rng(kind, seed), CLEAN[kind], FAULTS[fault]
    values = how.make(rng, how.n)
    at = random.Random(f"{kind}, {fault}, {seed}")
    return _recorded(kind, how, values, rng, fault, [_put(at, what, values)])


def _put(at: random.Random, what: Fault, values: list[float]) -> tuple[int, int]:
    n = len(values)
    length = at.randint(*what.samples) if what.samples else round(n * at.uniform(*what.share))
    first = n - length if what.stays else at.randint(n // 3, int(0.95 * n) - length)
    what.put(at, values, first, first + length - 1)
    return first, first + length - 1


def _rng(kind: str, seed: int) -> random.Random:
    return random.Random(f"{kind}, {seed}")


def _recorded(
    kind: str,
    how: Kind,
    values: list[float],
    rng: random.Random,
    fault: str = "",
    places: Iterable[tuple[int, int]] = (),
) -> Recording:
    n = len(values)
    times = [how.start + i * how.step for i in range(n)]
    if how.counter:
        resets = {rng.randrange(n // 10, n) for _ in range(2)}
        total, sums = 1e6, []
        for i, value in enumerate(values):
            total = value if i in resets else total + value
            sums.append(total)
        values = sums
    where = [(times[first], times[last]) for first, last in places]
    return Recording(kind, how.name, how.step, times, values, fault, where)


# Cases of their own: (kind of series, how the fault is put in), with a name that says what an engineer would say.


def _with(kind: Kind, *faults: Fault) -> Callable[[str, int], Recording]:
    def make(case: str, seed: int) -> Recording:
        rng = _rng(case, seed)
        values = kind.make(rng, kind.n)
        places: list[tuple[int, int]] = []
        for number, fault in enumerate(faults):  # each in its own part of the recording
            part = kind.n // len(faults)
            piece = values[number * part : (number + 1) * part]
            first, last = _put(rng, fault, piece)
            values[number * part : (number + 1) * part] = piece
            places.append((first + number * part, last + number * part))
        return _recorded(case, kind, values, rng, case, places)

    return make


def _doubled_workday(case: str, seed: int) -> Recording:
    """Fourteen days; on one Tuesday, Wednesday or Thursday of the second week all traffic doubles."""
    rng, how = _rng(case, seed), Kind(weekly, 48 * 14, 1800, "requests")
    values, first = weekly(rng, how.n), 48 * rng.choice([8, 9, 10])
    _times(2.0)(rng, values, first, first + 47)
    return _recorded(case, how, values, rng, case, [(first, first + 47)])


def _odd_shape(case: str, seed: int) -> Recording:
    """Ten days; on one of them the same values come in another order: noon at night, mean and extremes as always."""
    rng, how = _rng(case, seed), Kind(daily, 2880, 300, "requests")
    values, first = daily(rng, how.n), 288 * rng.randint(3, 8)
    day = values[first : first + 288]
    values[first : first + 288] = day[144:] + day[:144] if rng.random() < 0.5 else day[::-1]
    return _recorded(case, how, values, rng, case, [(first, first + 287)])


def _long(n: int, step: float, days: float) -> Kind:
    def make(rng: random.Random, count: int) -> list[float]:
        return [100 + rng.gauss(0, 40) + 20 * math.sin(2 * math.pi * i * step / DAY) for i in range(count)]

    return Kind(make, n, step, "load")


def _plus(height: float) -> Callable[[random.Random, list[float], int, int], None]:
    def put(rng: random.Random, values: list[float], first: int, last: int) -> None:
        for i in range(first, last + 1):
            values[i] += height

    return put


CASES: dict[str, Callable[[str, int], Recording]] = {
    "a step of 2 to 3 sigma for hours": _with(Kind(flat, 2016, 300), Fault(_sigmas, samples=(36, 96))),
    "a median latency that doubles": _with(CLEAN["log-normal latency"], Fault(_times(2.0), share=(0.04, 0.1))),
    "an outage of 30 minutes in two days": _with(Kind(daily, 576, 300, "requests"), Fault(_times(0.0), samples=(6, 6))),
    "two incidents of unequal size": _with(
        Kind(flat, 2016, 300), Fault(_plus(100), share=(0.06, 0.1)), Fault(_plus(20), share=(0.06, 0.1))
    ),
    "a step of half the level that stays": _with(
        CLEAN["daily rhythm"], Fault(_times(1.5), share=(0.15, 0.4), stays=True)
    ),
    "a workday that doubles": _doubled_workday,
    "a day with another shape": _odd_shape,
    "120 days, a step of 60 on 100±40": _with(
        _long(120 * 144, 600, 120), Fault(_plus(60), share=(0.1, 0.4), stays=True)
    ),
}
MILLION: dict[str, Callable[[str, int], Recording]] = {
    "a million samples, a step of 60 on 100±40": _with(
        _long(1_000_000, 15, 174), Fault(_plus(60), share=(0.1, 0.4), stays=True)
    ),
}


def recordings(seeds: Iterable[int], *, million: bool = False) -> Iterator[Recording]:
    """Yield every clean kind, every fault in every kind that can show it, and every case, for each seed."""
    for seed in seeds:
        yield from (clean(kind, seed) for kind in CLEAN)
        yield from (faulty(kind, fault, seed) for kind in FAULTED for fault in FAULTS)
        yield from (make(case, seed) for case, make in {**CASES, **(MILLION if million else {})}.items())
