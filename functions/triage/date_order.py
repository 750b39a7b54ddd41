"""Whether dates like 05/03/2024 have the day first or the month: other dates of the same file tell."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date


def day_first(dates: Sequence[tuple[int, int, int]]) -> bool | None:
    """Return whether the day comes first in dates of one file, given as (first, second, year) in the file's order.

    A number above 12 is a day. Without one, the order is right in which the file covers the shorter time, because a
    file of a few days would cover months in the other. None if both are the same.
    """
    for first, second, _ in dates:
        if first > 12 >= second:
            return True
        if second > 12 >= first:
            return False
    days = [(_day(year, second, first), _day(year, first, second)) for first, second, year in dates]
    known = [(one, other) for one, other in days if one and other]
    if not known:
        return None
    as_day_first = max(one for one, _ in known) - min(one for one, _ in known)
    as_month_first = max(other for _, other in known) - min(other for _, other in known)
    return None if as_day_first == as_month_first else as_day_first < as_month_first


def _day(year: int, month: int, day: int) -> int:
    """Return the number of a day; 0 if there is no such day."""
    try:
        return date(year, month, day).toordinal()
    except ValueError:
        return 0
