"""A wall clock that can jump. It has to be put in before anything else keeps a `time.time` of its own."""

from __future__ import annotations

import time
from collections.abc import Callable

_true_s, _true_ns = time.time, time.time_ns
_off_ms: Callable[[], int] = int


def install() -> None:
    """Put the clock in the place of `time.time` and `time.time_ns`."""
    time.time = lambda: _true_s() + _off_ms() / 1000
    time.time_ns = lambda: _true_ns() + _off_ms() * 1_000_000


def follow(off_ms: Callable[[], int]) -> None:
    """From now on the clock is wrong by what `off_ms` gives."""
    global _off_ms
    _off_ms = off_ms
