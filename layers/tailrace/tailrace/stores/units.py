"""What DynamoDB says that requests have used: units of 1 KB written and of 4 KB read, with those of the indexes.

They are counted for an invocation of a function, by everything that the invocation starts, and are a line of its log:
`python -m deploy.cost` (docs/OPERATIONS.md) makes a bill of such lines. Those of a run are in its events. A request
that DynamoDB refused is not counted, because its answer does not say what it used.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

from tailrace.events import encode, now_ms

logger = logging.getLogger("tailrace.units")

_READS = ("query", "get_item", "batch_get_item")


class Units:
    """Units of capacity, read and written since `began`, and in how many `requests`. Safe for many threads.

    They are counted in `outer` too.
    """

    def __init__(self, outer: Units | None = None) -> None:
        self.began = time.monotonic()
        self.requests = 0
        self.read = self.written = 0.0
        self._outer = outer
        self._lock = threading.Lock()

    def add(self, operation: str, response: dict[str, Any]) -> None:
        """Add what the response to a request says; nothing if it does not say it."""
        consumed = response.get("ConsumedCapacity", [])
        # A request for several tables has a list.
        tables = consumed if isinstance(consumed, list) else [consumed]
        used = sum(float(each.get("CapacityUnits", 0.0)) for each in tables)
        if self._outer is not None:
            self._outer.add(operation, response)
        with self._lock:
            self.requests += 1
            if operation in _READS:
                self.read += used
            else:
                self.written += used


_counted: ContextVar[Units | None] = ContextVar("tailrace_units", default=None)


def counting() -> Units | None:
    """Where the units of the current task's requests are counted; None if nobody counts."""
    return _counted.get()


@contextlib.contextmanager
def counted() -> Iterator[Units]:
    """Count the units of requests inside the block, and of the tasks that it starts."""
    units = Units(_counted.get())
    token = _counted.set(units)
    try:
        yield units
    finally:
        _counted.reset(token)


@contextlib.contextmanager
def logged_units() -> Iterator[Units]:
    """Count as `counted` does, and log the units at the end of the block, if there are any."""
    with counted() as units:
        try:
            yield units
        finally:
            _log(units)


def _log(units: Units) -> None:
    if units.read or units.written:
        line = {"event": "units", "ts": now_ms(), "readUnits": units.read, "writeUnits": units.written}
        logger.info(encode(line).decode())
