"""A wall clock that can jump. Install it before any module imports `time.time` by name."""

from __future__ import annotations

import time
from collections.abc import Callable

_true_s, _true_ns = time.time, time.time_ns
_error_ms: Callable[[], int] = int


def install() -> None:
    """Replace `time.time` and `time.time_ns` with the clock."""
    time.time = lambda: _true_s() + _error_ms() / 1000
    time.time_ns = lambda: _true_ns() + _error_ms() * 1_000_000


def follow(error_ms: Callable[[], int]) -> None:
    """Make the clock wrong by the result of `error_ms()`."""
    global _error_ms
    _error_ms = error_ms
