"""Times in metrics: ISO 8601, "2026-01-31 12:00:00", and seconds, milli-, micro- or nanoseconds since the epoch."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime

from triage.times import LATEST, epoch

# Only times with the year first: 01/02/2026 could be two different days.
_ISO = re.compile(r"\d{4}[-/]\d\d?[-/]\d\d?(?:[T ]\d\d?:\d\d.*)?$|\d{8}T\d{4,6}.*$")
_FRACTION = re.compile(r"([.,]\d{6})\d+")


def parse_time(text: str) -> float | None:
    """Return the time in seconds since the epoch; None if `text` is no time. Without a zone it is UTC."""
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
        # What fromisoformat cannot read: slashes, more than 6 digits of a second, " UTC".
        tidy = _FRACTION.sub(r"\1", text.replace("/", "-").replace(" UTC", "Z").replace(" +", "+"))
        moment = datetime.fromisoformat(tidy)
    seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return seconds if 0 <= seconds < LATEST else None


def number_of(text: str) -> float | None:
    """Return a finite decimal number, else None. `1_000` and `nan`, which Python reads, are no numbers here."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and "_" not in text else None
