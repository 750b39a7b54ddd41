"""Times as metrics carry them: ISO 8601, "2026-01-31 12:00:00", epoch seconds, milliseconds and finer."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime

LATEST = 7_258_118_400.0  # 2200-01-01: later is a number that is no time

# The year first, or the 31/Jan/2026 of web servers. Anything vaguer (01/02/2026) could be two days.
_ISO = re.compile(r"\d{4}[-/]\d\d?[-/]\d\d?(?:[T ]\d\d?:\d\d.*)?$|\d{8}T\d{4,6}.*$")
_FRACTION = re.compile(r"([.,]\d{6})\d+")

_EPOCH_UNITS = ((1e11, 1.0), (1e14, 1e3), (1e17, 1e6), (1e20, 1e9))


def epoch(number: float) -> float | None:
    """`number` as seconds since the epoch; its size tells seconds, ms, µs and ns apart.

    None for what is no time between 2001 and 2200: small numbers are values, or seconds from a start.
    """
    if not 1e9 <= number < 1e20:
        return None
    for below, unit in _EPOCH_UNITS:
        if number < below:
            seconds = number / unit
            return seconds if 1e9 <= seconds < LATEST else None
    return None


def parse_time(text: str) -> float | None:
    """Seconds since the epoch, or None when `text` is no time. Without a zone it is UTC."""
    text = text.strip().strip('"')
    if len(text) < 8 or len(text) > 40:
        return None
    number = number_of(text)
    if number is not None:
        return epoch(number)
    if not _ISO.match(text):
        return None
    try:
        return _moment(text)
    except (ValueError, OverflowError):
        return None


def _moment(text: str) -> float | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        # What fromisoformat does not know: slashes, more than 6 digits of a second, " UTC".
        tidy = _FRACTION.sub(r"\1", text.replace("/", "-").replace(" UTC", "Z").replace(" +", "+"))
        moment = datetime.fromisoformat(tidy)
    seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return seconds if 0 <= seconds < LATEST else None


def number_of(text: str) -> float | None:
    """A finite decimal number, or None. Python's own extras (`1_000`, `nan`) are no numbers here."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and "_" not in text else None
