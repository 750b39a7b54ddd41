"""Times: as seconds since the epoch, as ISO 8601 in UTC, and as a reader of a report wants them."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from datetime import UTC, datetime

LATEST = 7_258_118_400.0  # 2200-01-01 in seconds since the epoch; a later number is not a time
_EARLIEST_NUMBER = 1e9  # 2001-09-09; a smaller number is rather a duration or a counter
# Numbers below the first entry have the unit of the second: seconds, milli-, micro- and nanoseconds.
_EPOCH_UNITS = ((1e11, 1.0), (1e14, 1e3), (1e17, 1e6), (1e20, 1e9))


def epoch(number: float) -> float | None:
    """Return a number of seconds, milli-, micro- or nanoseconds since the epoch in seconds.

    Its size tells the unit. None if the result is not between 2001-09-09 and 2200, and for NaN.
    """
    for below, unit in _EPOCH_UNITS:
        if number < below:
            seconds = number / unit
            return seconds if _EARLIEST_NUMBER <= seconds < LATEST else None
    return None


def without_strays(times: Sequence[float]) -> Sequence[float]:
    """Return times (in order) without the few that a wrong clock put far away: one in a thousand, at least one."""
    if len(times) < 10:
        return times
    edge = max(1, len(times) // 1000)
    low, high = times[edge], times[-1 - edge]
    reach = 20 * max(high - low, 60.0)
    if times[-1] - times[0] <= reach:
        return times
    return times[bisect_left(times, low - reach) : bisect_right(times, high + reach)]


def iso(seconds: float) -> str:
    """Return `seconds` since the epoch as ISO 8601 in UTC, with milliseconds unless they are 0."""
    return iso_of(datetime.fromtimestamp(seconds, UTC))


def iso_of(moment: datetime) -> str:
    """Return a UTC `datetime` as ISO 8601, with milliseconds unless they are 0."""
    precision = "milliseconds" if moment.microsecond >= 1000 else "seconds"
    return moment.isoformat(timespec=precision).replace("+00:00", "Z")


def seconds_of(time: str) -> float:
    """Return an ISO 8601 time with a zone, such as a finding's `start`, in seconds since the epoch."""
    return datetime.fromisoformat(time).timestamp()


def clock(seconds: float, *, date: bool = False) -> str:
    """Return `seconds` since the epoch as `10:02:15` in UTC, with `date` as `2026-01-05 10:02:15`."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S" if date else "%H:%M:%S")
