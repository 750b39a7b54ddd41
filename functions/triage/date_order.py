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
        if max(first, second) > 12 >= min(first, second):
            return first > 12
    valid = [each for each in dates if min(each) > 0 and max(each[:2]) <= 12]
    if not valid:
        return None
    day_is_first = [date(year, second, first) for first, second, year in valid]
    month_is_first = [date(year, first, second) for first, second, year in valid]
    one, other = (max(days) - min(days) for days in (day_is_first, month_is_first))
    return None if one == other else one < other
