"""Reports what the garbage collector did while this module was imported, and what it does afterwards."""

from __future__ import annotations

import gc
import os
import weakref
from typing import Any


class Cycle:
    def __init__(self) -> None:
        self.itself = self


def _collections() -> int:
    return sum(generation["collections"] for generation in gc.get_stats())


def _make_cycles() -> weakref.ref[Cycle]:
    """Make more garbage than the collector's usual thresholds allow; return a reference to some."""
    first = weakref.ref(Cycle())
    for _ in range(100_000):
        Cycle()
    return first


_before = _collections()
_is_alive_in_import = _make_cycles()() is not None
_in_import = _collections() - _before
if "OWN_THRESHOLD" in os.environ:
    gc.set_threshold(int(os.environ["OWN_THRESHOLD"]))


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    return {
        "collections_in_import": _in_import,
        "is_alive_in_import": _is_alive_in_import,
        "is_alive": _make_cycles()() is not None,
        "frozen": gc.get_freeze_count(),
        "threshold": gc.get_threshold()[0],
    }
