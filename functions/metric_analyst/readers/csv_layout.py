"""The layout of a CSV file: its delimiter, its header, and the column with the time."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from itertools import islice

import msgspec

from triage.cells import DELIMITERS, cell_number, has_decimal_comma, split
from triage.date_order import dates_in, day_first
from triage.timestamps import time_in

SNIFFED_LINES = 60
LOOKED_AT = 4 * SNIFFED_LINES  # lines, because some may be blank
MOST_COLUMNS = 2_000
MOSTLY = 0.7  # share of rows with a time in the time column, at least
_TIME_NAMES = re.compile(r"@?_?(time|timestamp|ts|date|datetime|date_?time|epoch|t|when|time_?stamp.*|time\b.*)$", re.I)


class Layout(msgspec.Struct):
    """How the rows of a file are read.

    `header` has a name for each cell of a row. `first_row` is the index of the first line with a sample, `time` the
    index of the column with the time or, if `clock`, with the date: then the time of day is in the next column.
    `decimal_comma` is whether numbers are written as 3,14. `day_first` is whether dates are written as 31/01/2026; it
    is None if such dates could be read either way.
    """

    delimiter: str
    header: list[str]
    first_row: int
    time: int
    clock: bool
    decimal_comma: bool = False
    day_first: bool | None = False


def sniff(lines: list[str], last: Sequence[str] = ()) -> Layout | None:
    """Return the layout of the first 60 lines that are not blank; None if fewer than half of them have a sample.

    `last` are the file's last lines: their dates too tell whether the day comes first.
    """
    filled = ((i, line.rstrip("\r")) for i, line in enumerate(lines) if line.strip() and not line.startswith("#"))
    sample = list(islice(filled, SNIFFED_LINES))
    best: tuple[tuple[int, int], str, int] | None = None
    for delimiter in DELIMITERS:
        table = [split(line, delimiter) for _, line in sample]
        widths = Counter(len(cells) for cells in table if 1 < len(cells) <= MOST_COLUMNS)
        for width, _ in widths.most_common(2):
            regular = [cells for cells in table if len(cells) == width]
            time = _time_column(regular)
            if time is None:
                continue
            good = [cells for cells in regular if time_in(cells[time]) is not None]
            comma = has_decimal_comma((cell for cells in good for cell in cells), delimiter)
            others = (cell for cells in good for i, cell in enumerate(cells) if i != time)
            if any(cell_number(cell, comma) is not None for cell in others) and (
                best is None or (len(good), width) > best[0]
            ):
                best = ((len(good), width), delimiter, time)
    if best is None or best[0][0] < (len(sample) - 1) * 0.5:
        return None
    (_, width), delimiter, time = best
    rows = [(i, cells) for i, cells in ((i, split(line, delimiter)) for i, line in sample) if len(cells) == width]
    ending = [cells for cells in (split(line.rstrip("\r"), delimiter) for line in last) if len(cells) == width]
    dates = dates_in(cells[time] for cells in [*(cells for _, cells in rows), *ending])
    first, top = next((i, cells) for i, cells in rows if time_in(cells[time]) is not None)
    return Layout(
        delimiter=delimiter,
        header=_header(lines[:first], delimiter, width, time),
        first_row=first,
        time=time,
        clock=_is_clock(top, time),
        decimal_comma=has_decimal_comma((cell for _, cells in rows for cell in cells), delimiter),
        day_first=day_first(dates) if dates else False,
    )


def _header(above: list[str], delimiter: str, width: int, time: int) -> list[str]:
    """Return the names in the last line above the first row that has as many cells; it may be a comment (`sadf -d`)."""
    rows = (split(line.lstrip("# ").rstrip("\r"), delimiter) for line in reversed(above))
    names = [name.strip() for name in next((cells for cells in rows if len(cells) == width), [""] * width)]
    if not _TIME_NAMES.match(names[time]) and any(cell_number(name, delimiter != ",") is not None for name in names):
        names = [""] * width
    return [name or f"column {i}" for i, name in enumerate(names, 1)]


def why_not(lines: list[str]) -> str:
    """Return why these lines have no layout, in words for the user."""
    filled = [line for line in lines[:LOOKED_AT] if line.strip()]
    if not filled:
        return "empty"
    # A time of day in most lines, and words around it: a log.
    dated = sum(bool(re.search(r"\d\d:\d\d:\d\d", line)) for line in filled)
    if dated >= len(filled) / 2 and len(filled) > 1:
        return "it looks like a log, not like metrics (no columns of numbers beside a time)"
    if len(filled) == 1:
        return "a single line without a time and a number"
    return "no column of times with numbers beside it"


def _is_clock(cells: list[str], time: int) -> bool:
    return (
        time + 1 < len(cells)
        and re.fullmatch(r"\s*\d{4}[-/]\d\d?[-/]\d\d?\s*", cells[time]) is not None
        and re.fullmatch(r"\s*\d\d?:\d\d(:\d\d([.,]\d+)?)?\s*", cells[time + 1]) is not None
    )


def _time_column(rows: list[list[str]]) -> int | None:
    """Return the column with times in most rows: by preference one with a name for times, then the leftmost."""
    width = len(rows[0])
    names = rows[0]
    order = sorted(range(width), key=lambda i: (_TIME_NAMES.match(names[i].strip().strip('"')) is None, i))
    for column in order:
        times = sum(time_in(row[column]) is not None for row in rows)
        if times and times >= MOSTLY * (len(rows) - 1):
            return column
    return None
