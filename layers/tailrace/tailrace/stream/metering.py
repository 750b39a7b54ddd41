"""What a stream tells the metrics: that it is open, and how late its events are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from tailrace.errors import EventUnreadable
from tailrace.events import decode, now_ms
from tailrace.log import Batch
from tailrace.stream.reader import Synced
from tailrace.tracing.metrics import Meters, measure, meters


def open_stream() -> AbstractContextManager[Callable[[Any], None] | None]:
    """Count a stream as open in the block. What is yielded is called with each item that was delivered, if not None."""
    instruments = meters()
    return nullcontext() if instruments is None else _counted(instruments)


@contextmanager
def _counted(instruments: Meters) -> Iterator[Callable[[Any], None]]:
    measure(instruments.open_streams.add, 1)
    try:
        yield _Lag(instruments)
    finally:
        measure(instruments.open_streams.add, -1)


class _Lag:
    """Measures batches once the stream has caught up: what came before was late because its reader was."""

    def __init__(self, instruments: Meters) -> None:
        self._histogram = instruments.lag
        self._live = False

    def __call__(self, item: Any) -> None:
        if isinstance(item, Synced):
            self._live = True
        elif self._live and isinstance(item, Batch):
            try:
                written = decode(item.events[-1]).metadata.ts
            except EventUnreadable:
                return
            # The clocks of two machines may differ.
            measure(self._histogram.record, max(0, now_ms() - written) / 1000)
