"""Realistic series with and without a planted change. The same seed gives the same series."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Generator
from typing import TypeVar

from metric_analyst.detectors.change import Change
from metric_analyst.detectors.detect import detect
from metric_analyst.readers.series import Series, make_series

T = TypeVar("T")
DAY = 86_400
THURSDAY = 1_767_225_600  # 2026-01-01T00:00:00Z, a Thursday
FRIDAY = THURSDAY + DAY
MONDAY = THURSDAY + 4 * DAY


def finish(generator: Generator[None, None, T]) -> T:
    """Run a generator to its end and return its value."""
    while True:
        try:
            next(generator)
        except StopIteration as stop:
            return stop.value


def series(
    values: list[float], *, step: float = 15, start: float = MONDAY, name: str = "metric", **kw: object
) -> Series:
    made = make_series(name, [(start + i * step, v) for i, v in enumerate(values)], unit="", **kw)  # type: ignore[arg-type]
    assert made is not None
    return made


def changes(values: list[float], **kw: object) -> list[Change]:
    return finish(detect(series(values, **kw)))[1]  # type: ignore[arg-type]


def white(seed: int, n: int = 720, level: float = 100, sigma: float = 5) -> list[float]:
    rng = random.Random(seed)
    return [rng.gauss(level, sigma) for _ in range(n)]


def correlated(seed: int, n: int = 720, phi: float = 0.9, sigma: float = 5) -> list[float]:
    rng, x, out = random.Random(seed), 0.0, []
    for _ in range(n + 100):
        x = phi * x + rng.gauss(0, sigma)
        out.append(100 + x)
    return out[100:]


def random_walk(seed: int, n: int = 720) -> list[float]:
    rng, x, out = random.Random(seed), 1000.0, []
    for _ in range(n):
        x += rng.gauss(0, 1)
        out.append(x)
    return out


def latency(seed: int, n: int = 720) -> list[float]:
    """A p99: lognormal, with a tail."""
    rng = random.Random(seed)
    return [120 * math.exp(rng.gauss(0, 0.4)) for _ in range(n)]


def sparse_counts(seed: int, n: int = 720, mean: float = 0.2) -> list[float]:
    return [float(poisson(random.Random(seed * 100_003 + i), mean)) for i in range(n)]


def rare_errors(seed: int, n: int = 360) -> list[float]:
    """Almost always 0, now and then a value of any size."""
    rng = random.Random(seed)
    return [round(rng.expovariate(0.2), 1) if rng.random() < 0.02 else 0.0 for _ in range(n)]


def poisson(rng: random.Random, mean: float) -> int:
    limit, k, p = math.exp(-mean), 0, rng.random()
    while p > limit:
        k, p = k + 1, p * rng.random()
    return k


def traffic(seed: int, days: float = 3, step: float = 300, start: float = MONDAY, weekend: float = 0.6) -> list[float]:
    """Requests a second by day and night: two humps, a quiet night, weekends at a share, days that
    differ a little, and noise that grows with the traffic and remembers the last minutes."""
    rng = random.Random(seed)
    out, memory = [], 0.0
    day_factor: dict[int, float] = {}
    shift = rng.uniform(-6, 6)
    for i in range(int(days * DAY / step)):
        time = start + i * step + shift * 3600
        day = int(time // DAY)
        factor = day_factor.setdefault(day, rng.gauss(1, 0.04))
        if (day + 3) % 7 >= 5:
            factor *= weekend
        hour = time % DAY / 3600
        shape = math.exp(-(((hour - 11) / 3.5) ** 2)) + 0.8 * math.exp(-(((hour - 18.5) / 2.2) ** 2))
        level = 100 + 400 * factor * shape
        memory = 0.8 * memory + rng.gauss(0, 0.03)
        out.append(level * (1 + memory + rng.gauss(0, 0.03)))
    return out


def sine_day(seed: int, days: float = 3, step: float = 300, noise: float = 3) -> list[float]:
    rng = random.Random(seed)
    n = int(days * DAY / step)
    return [100 + 40 * math.sin(2 * math.pi * i * step / DAY) + rng.gauss(0, noise) for i in range(n)]


def short_cpu(seed: int, n: int = 72) -> list[float]:
    """A few minutes of CPU in percent: correlated, never below 1."""
    rng, x, out = random.Random(seed), 0.0, []
    for _ in range(n):
        x = 0.6 * x + rng.gauss(0, 2)
        out.append(max(1.0, 22 + x))
    return out


def stair(seed: int, n: int = 360) -> list[float]:
    """Memory in use, as a kernel reports it: constant, with small steps up and down."""
    rng, x, out = random.Random(seed), 4.0e9, []
    for _ in range(n):
        if rng.random() < 0.08:
            x += rng.choice([-1, 1, 1, -1, 2]) * 4096 * rng.randint(1, 300)
        out.append(x)
    return out


Maker = Callable[[int], list[float]]
CLEAN: dict[str, tuple[Maker, dict[str, object]]] = {
    "white noise": (white, {}),
    "white noise, 30 samples": (lambda s: white(s, 30), {}),
    "white noise, 2,000 samples": (lambda s: white(s, 2000), {}),
    "correlated noise": (correlated, {}),
    "strongly correlated noise": (lambda s: correlated(s, phi=0.98), {}),
    "latency p99": (latency, {}),
    "sparse counts": (sparse_counts, {}),
    "very sparse counts": (lambda s: sparse_counts(s, mean=0.02), {}),
    "busy counts": (lambda s: sparse_counts(s, mean=5), {}),
    "rare errors": (rare_errors, {"step": 1}),
    "short CPU": (short_cpu, {"step": 5}),
    "shortest CPU": (lambda s: short_cpu(s, 24), {"step": 15}),
    "memory in steps": (stair, {"step": 1}),
    "sine, 1 day": (lambda s: sine_day(s, 1), {"step": 300}),
    "sine, 2 days": (lambda s: sine_day(s, 2), {"step": 300}),
    "sine, 3 days": (lambda s: sine_day(s, 3), {"step": 300}),
    "sine, 7 days": (lambda s: sine_day(s, 7), {"step": 300}),
    "traffic, 1 day": (lambda s: traffic(s, 1), {"step": 300}),
    "traffic, 2 days": (lambda s: traffic(s, 2), {"step": 300}),
    "traffic, 3 days by the minute": (lambda s: traffic(s, 3, 60), {"step": 60}),
    "traffic, 3 days": (lambda s: traffic(s, 3), {"step": 300}),
    "traffic, Thursday to Monday": (lambda s: traffic(s, 4, start=THURSDAY), {"step": 300, "start": THURSDAY}),
    "traffic, Friday and Saturday": (lambda s: traffic(s, 2, start=FRIDAY), {"step": 300, "start": FRIDAY}),
    "traffic, 7 days": (lambda s: traffic(s, 7), {"step": 300}),
    "traffic, 14 days": (lambda s: traffic(s, 14, 900), {"step": 900}),
}  # fmt: skip


def errors_series() -> Series:
    """6 minutes of 502s a second: none, 40 for the fourth minute, none."""
    rng = random.Random(1)
    values = [float(poisson(rng, 40)) if 180 <= i < 240 else 0.0 for i in range(360)]
    made = make_series("http_502_rate", [(MONDAY + float(i), v) for i, v in enumerate(values)], unit="count/s")
    assert made is not None
    return made
