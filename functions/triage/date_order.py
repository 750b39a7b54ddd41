"""Whether dates like 05/03/2024 have the day first or the month: other dates of the same file tell."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import date

_SLASHED = re.compile(r"(?<![\d/])(\d\d?)/(\d\d?)/((?:19|20)\d\d)(?=[T,]? {0,2}\d|\s*$)")


def dates_in(texts: Iterable[str]) -> list[tuple[int, int, int]]:
    """Return the numbers of the first date like 05/03/2024 in each text that has one."""
    return [(int(m[1]), int(m[2]), int(m[3])) for text in texts if (m := _SLASHED.search(text)) is not None]


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
