"""Times in metrics: ISO 8601, "2026-01-31 12:00:00", "31.01.2026 12:00", "01/31/2026 12:00:00 AM", and since the epoch.

Those are seconds, milli-, micro- or nanoseconds.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from datetime import UTC, datetime

from triage.times import LATEST, epoch
from triage.zones import ZONES, offset

_ISO = re.compile(r"\d{4}[-/]\d\d?[-/]\d\d?(?:[T ]\d\d?:\d\d.*)?$|\d{8}T\d{4,6}.*$")
_DAY_OR_MONTH = re.compile(
    r"(\d\d?)([./-])(\d\d?)\2(\d{4})"
    r"(?:,?[T ] ?(\d\d?):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?(?: ?([AaPp])\.?[Mm]\.?)?(?: ([A-Z]{3,4}))?)?"
)
_ZONE = re.compile(r" ([A-Z]{3,4})$")
_FRACTION = re.compile(r"([.,]\d{6})\d+")


def parse_time(text: str, day_first: bool = False) -> float | None:
    """Return the time in seconds since the epoch; None if `text` is no time. Without a zone it is UTC.

    `day_first` is about dates like 01/02/2026. With periods or dashes the day comes first.
    """
    text = text.strip().strip('"')
    if not 8 <= len(text) <= 40:
        return None
    number = number_of(text)
    if number is not None:
        return epoch(number)
    try:
        moment = _of_iso(text) if _ISO.match(text) else _of_parts(text, day_first)
        seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, KeyError, OverflowError):
        return None
    return seconds if 0 <= seconds < LATEST else None


def _of_iso(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        # What fromisoformat cannot read: slashes, more than 6 digits of a second, " UTC".
        text = _ZONE.sub(lambda zone: offset(ZONES[zone[1]]) if zone[1] in ZONES else zone[0], text)
        return datetime.fromisoformat(_FRACTION.sub(r"\1", text.replace("/", "-").replace(" +", "+")))


def _of_parts(text: str, day_first: bool) -> datetime:
    match = _DAY_OR_MONTH.fullmatch(text)
    if match is None:
        raise ValueError("neither form of a date")
    first, mark, second, year, hour, minute, sec, fraction, half, zone = match.groups()
    day, month = (first, second) if day_first or mark != "/" else (second, first)
    if int(month) > 12:
        day, month = month, day
    hours = int(hour or 0)
    if half:
        hours = hours % 12 + (12 if half in "Pp" else 0)
    clock = f"{hours:02}:{minute or '00'}:{sec or '00'}.{(fraction or '0')[:6]}"
    return datetime.fromisoformat(f"{year}-{month:0>2}-{day:0>2}T{clock}{offset(ZONES[zone] if zone else 0)}")


def dates_of(texts: Iterable[str]) -> list[tuple[int, int, int]]:
    """Return the numbers of the dates like 01/02/2026 in these cells, in their order; others are left out."""
    matches = (match for text in texts if (match := _DAY_OR_MONTH.fullmatch(text.strip().strip('"'))) is not None)
    return [(int(match[1]), int(match[3]), int(match[4])) for match in matches if match[2] == "/"]


def number_of(text: str) -> float | None:
    """Return a finite decimal number, else None. `1_000` and `nan`, which Python reads, are no numbers here."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and "_" not in text else None
