"""The layout of a CSV file: its delimiter, its header, and the column with the time."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import msgspec

from metric_analyst.readers.cells import cell_number, has_decimal_comma, split
from metric_analyst.readers.times import dates_of, parse_time
from triage.date_order import day_first

DELIMITERS = ",;\t|"
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
    sample = [
        (i, line.rstrip("\r")) for i, line in enumerate(lines[:LOOKED_AT]) if line.strip() and not line.startswith("#")
    ][:SNIFFED_LINES]
    best: tuple[tuple[int, int], str, int] | None = None
    for delimiter in DELIMITERS:
        table = [split(line, delimiter) for _, line in sample]
        widths = Counter(len(cells) for cells in table if 1 < len(cells) <= MOST_COLUMNS)
        for width, _ in widths.most_common(2):
            regular = [cells for cells in table if len(cells) == width]
            time = _time_column(regular)
            if time is None:
                continue
            good = [cells for cells in regular if parse_time(cells[time]) is not None]
            comma = has_decimal_comma((cell for cells in good for cell in cells), delimiter)
            if any(_has_number(cells, time, comma) for cells in good) and (
                best is None or (len(good), width) > best[0]
            ):
                best = ((len(good), width), delimiter, time)
    if best is None or best[0][0] < (len(sample) - 1) * 0.5:
        return None
    (_, width), delimiter, time = best
    layout = _with_header(sample, delimiter, width, time)
    _name_by_comment(layout, lines)
    rows = [cells for _, line in sample if len(cells := split(line, delimiter)) == width]
    layout.decimal_comma = has_decimal_comma((cell for cells in rows for cell in cells), delimiter)
    rows += [cells for line in last if len(cells := split(line.rstrip("\r"), delimiter)) == width]
    dates = dates_of(cells[time] for cells in rows)
    layout.day_first = day_first(dates) if dates else False
    return layout


def _name_by_comment(layout: Layout, lines: list[str]) -> None:
    """Take the header from the comment above the first row, if it has as many cells, as `sadf -d` writes it."""
    above = lines[layout.first_row - 1] if layout.first_row else ""
    names = split(above.lstrip("# ").rstrip("\r"), layout.delimiter)
    if above.startswith("#") and len(names) == len(layout.header):
        layout.header = [name.strip() or layout.header[i] for i, name in enumerate(names)]


def why_not(lines: list[str]) -> str:
    """Return why these lines have no layout, in words for the user."""
    filled = [line for line in lines[:LOOKED_AT] if line.strip()]
    if not filled:
        return "empty"
    if any("\x00" in line for line in filled):
        return "binary, not text"
    # A time of day in most lines, and words around it: a log.
    dated = sum(bool(re.search(r"\d\d:\d\d:\d\d", line)) for line in filled)
    if dated >= len(filled) / 2 and len(filled) > 1:
        return "it looks like a log, not like metrics (no columns of numbers beside a time)"
    if len(filled) == 1:
        return "a single line without a time and a number"
    return "no column of times with numbers beside it"


def _with_header(sample: list[tuple[int, str]], delimiter: str, width: int, time: int) -> Layout:
    header = [f"column {i + 1}" for i in range(width)]
    for place, (index, line) in enumerate(sample):
        cells = split(line, delimiter)
        if len(cells) == width and parse_time(cells[time]) is not None:
            above = split(sample[place - 1][1], delimiter) if place else []
            named = len(above) == width and (
                _TIME_NAMES.match(above[time].strip()) is not None
                or not any(cell_number(cell, delimiter != ",") is not None for cell in above)
            )
            if named:
                header = [name.strip() or header[i] for i, name in enumerate(above)]
            clock = _is_clock(cells, time)
            return Layout(delimiter, header, index, time, clock)
    raise AssertionError("a layout was sniffed from a row with a time")


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
        times = sum(parse_time(row[column]) is not None for row in rows)
        if times and times >= MOSTLY * (len(rows) - 1):
            return column
    return None


def _has_number(cells: list[str], time: int, decimal_comma: bool) -> bool:
    return any(i != time and cell_number(cell, decimal_comma) is not None for i, cell in enumerate(cells))
