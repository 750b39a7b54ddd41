"""A column of millions of numbers fits into a function's memory: 6.6 million take less than 400 MB."""

from __future__ import annotations

import random
import tracemalloc

from metric_analyst.detectors.detect import detect
from tests.unit.metric_analyst.planted import finish
from tests.unit.metric_analyst.reading import T0, only, reading

ROWS = 30_000
MOST = 400e6 / 6.6e6  # bytes a sample
FIXED = 1e6  # bytes that do not grow with the samples


def test_a_sample_takes_few_bytes_while_it_is_read_and_judged() -> None:
    rng = random.Random(1)
    text = "time,cpu\n" + "".join(f"{T0 + i:.0f},{rng.gauss(100, 5):.3f}\n" for i in range(ROWS))
    tracemalloc.start()
    try:
        series = only(reading(("a.csv", text)))
        finish(detect(series))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < MOST * ROWS + FIXED
