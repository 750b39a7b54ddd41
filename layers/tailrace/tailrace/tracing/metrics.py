"""The metrics of a process: its open streams, how late events are delivered, and takeovers."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tailrace.tracing import names
from tailrace.tracing.context import is_sdk

if TYPE_CHECKING:
    from opentelemetry.metrics import Counter, Histogram, UpDownCounter

logger = logging.getLogger("tailrace.tracing")

# In seconds. OpenTelemetry's default bounds are for milliseconds.
_BOUNDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60]


class Meters:
    """The instruments. They last as long as the process."""

    def __init__(self) -> None:
        from opentelemetry.metrics import get_meter

        meter = get_meter(names.SCOPE)
        self.open_streams: UpDownCounter = meter.create_up_down_counter(
            names.OPEN_STREAMS, "{stream}", "Streams of tasks that this process has open."
        )
        self.lag: Histogram = meter.create_histogram(
            names.LAG,
            "s",
            "From the time in an event to its delivery on a stream that has caught up.",
            explicit_bucket_boundaries_advisory=_BOUNDS,
        )
        self.takeovers: Counter = meter.create_counter(
            names.TAKEOVERS, "{takeover}", "Attempts of this process that continue a run whose attempt was lost."
        )


_meters: list[Meters | None] = []


def meters() -> Meters | None:
    """The instruments; None if this process has no SDK that takes metrics, or one that cannot make them."""
    metrics = sys.modules.get("opentelemetry.metrics")
    if metrics is None or not is_sdk(metrics.get_meter_provider):
        return None
    if not _meters:
        try:
            _meters.append(Meters())
        except Exception as error:
            logger.warning("there are no metrics: %s: %s", type(error).__name__, error)
            _meters.append(None)
    return _meters[0]


def measure(method: Callable[..., None], *measured: Any) -> None:
    """Call an instrument's method. An SDK's readers and views are anybody's code, so this never raises."""
    try:
        method(*measured)
    except Exception as error:
        logger.warning("a measurement was not taken: %s: %s", type(error).__name__, error)


def count_takeover(reason: str) -> None:
    """Count an attempt that continues a lost one; `reason` is the one in its fence."""
    if (instruments := meters()) is not None:
        measure(instruments.takeovers.add, 1, {names.REASON: reason})
