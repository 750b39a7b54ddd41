"""Reads CSV: a time column and columns of numbers, or the long format (time, name, value).

1. The delimiter is the one of `,` `;` tab `|` that gives the most rows with a time and a number.
2. The row above the first row with a time is the header if it has as many cells. The rows above it are not read.
   Without a header, columns are called "column 2" and so on.
3. A text column with few different values has labels if times repeat, or if its name says so ("host", "metric"). Labels
   split the columns of numbers into series. Other text columns are not read.
4. A row with too many or too few cells or without a time is skipped, and a note has its line number.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Generator, Sequence
from itertools import chain, islice
from math import nan

from metric_analyst.notes import UNREAD, Notes
from metric_analyst.readers.csv_layout import LOOKED_AT, sniff, why_not
from metric_analyst.readers.reached import Reached
from metric_analyst.readers.table import Column, MetricTable
from tailrace.inputs.request import LINE_LIMIT
from tailrace.inputs.text import Content
from triage.budget import UNLIMITED, Budget
from triage.cells import LONGEST_NUMBER, cell_quantity, is_missing, number_of, split
from triage.timestamps import time_in

MOST_SERIES = 5_000
MOST_LABELS = 1_000

_VALUE_NAMES = re.compile(r"(value|values|val|v|count|n|column \d+|average|maximum|minimum|sum)$", re.I)
_LABEL_NAMES = re.compile(r"(status|status_?code|code|le|quantile|pid|port|shard|partition|core|id)$", re.I)
_NAME_NAMES = re.compile(
    r"_*(metric|metric_?name|name|series|label|host|hostname|instance|node|pod|container|service|job|device|"
    r"interface|mount|mountpoint|endpoint|route|path|method|region|zone|az|queue|topic|function|tag|tags|key)$",
    re.I,
)


def read_csv(
    content: Content, source: str, notes: Notes, reached: Reached, budget: Budget = UNLIMITED
) -> Generator[None, None, MetricTable]:
    """Read the table in `content`; an empty one with a note if it is none. No content raises an error.

    A generator, so that the event loop can run between rows. It returns the table, with the rows that were read before
    the budget was exhausted.
    """
    lines = (line.text for line in content.lines(LINE_LIMIT))
    head = list(islice(lines, LOOKED_AT))
    layout = sniff(head, content.ending(4_096).split("\n")[1:])
    yield
    if layout is None:
        notes.add(why_not(head), source)
        return MetricTable([], [])
    if layout.day_first is None:
        example = split(head[layout.first_row], layout.delimiter)[layout.time].strip()
        notes.add("dates are read with the month first, because nothing tells", f"{source} ({example})")
    width = len(layout.header)
    no_values = (layout.time, layout.time + 1) if layout.clock else (layout.time,)
    cells_of = [_Cells(place, name) for place, name in enumerate(layout.header) if place not in no_values]
    times = array("d")
    rows = array("q")  # hashes of the lines: a repeated row counts once
    in_order, cut = True, False
    for index, line in enumerate(chain(head[layout.first_row :], lines), layout.first_row):
        yield
        if budget.exhausted:
            notes.add("only a part was read", f"{source} (up to line {index:,} of {content.line_count:,})")
            cut = True
            break
        if index >= reached.due:
            reached.report(index)
        line = line.rstrip("\r")
        if not line.strip() or line.startswith("#"):
            continue
        cells = split(line, layout.delimiter)
        if len(cells) == width + 1 and not cells[-1].strip():
            cells.pop()  # the line ends with a delimiter
        if len(cells) != width:
            notes.add(
                f"{source}: row skipped, because it does not have {width} cells", f"line {index + 1} ({len(cells)})"
            )
            continue
        written = cells[layout.time]
        if layout.clock:
            written = f"{written.strip()} {cells[layout.time + 1].strip()}"
        time = time_in(written, layout.day_first)
        if time is None:
            notes.add(
                f"{source}: row skipped, because there is no time in {layout.header[layout.time]!r}",
                f"line {index + 1}",
            )
            continue
        in_order = in_order and (not times or times[-1] < time)
        times.append(time)
        rows.append(hash(line))
        for column in cells_of:
            column.add(cells[column.place], layout.decimal_comma, index + 1)
    yield
    # Repeated rows are a file that was sent twice; different rows of one time are several series.
    moments: Sequence[float] = times if in_order else sorted(set(times))
    repeated = not in_order and len(moments) < 0.9 * len(set(rows))
    return MetricTable(_columns(cells_of, times, repeated, source, notes) if times else [], moments, cut)


class _Cells:
    """A column while it is read: its numbers, and its texts as long as they may be labels."""

    def __init__(self, place: int, name: str) -> None:
        self.place, self.name = place, name
        self.values = array("d")  # NaN where there is no number
        self.numbers = self.bad = self.first_bad = 0
        self.unit = self.example = ""
        self.seen: dict[str, str] = {}
        self.texts: list[str] = []

    def add(self, cell: str, decimal_comma: bool, line: int) -> None:
        value = number_of(cell) if not decimal_comma and len(cell) <= LONGEST_NUMBER else None
        if value is None:
            value = self._written(cell, decimal_comma, line)
        self.values.append(nan if value is None else value or 0.0)  # no negative zero
        if value is not None:
            self.numbers += 1
        if len(self.seen) <= MOST_LABELS:
            self.texts.append(self.seen.setdefault(cell, cell))
        else:
            self.texts = []

    def _written(self, cell: str, decimal_comma: bool, line: int) -> float | None:
        """Return the number in a cell that has separators or a unit; None if it has none."""
        value, unit = cell_quantity(cell, decimal_comma) or (None, "")
        if value is None or (unit and self.unit and unit != self.unit):  # bytes and milliseconds have no common scale
            if not is_missing(cell):
                self.bad += 1
                self.first_bad = self.first_bad or line
                self.example = self.example or cell.strip()[:40]
            return None
        self.unit = self.unit or unit
        return value

    @property
    def few(self) -> bool:
        """Whether the texts repeat often enough to be labels."""
        return len(self.seen) <= min(MOST_LABELS, max(20, len(self.values) // 2))


def _columns(cells_of: list[_Cells], times: array[float], repeated: bool, source: str, notes: Notes) -> list[Column]:
    """Return the columns of numbers. Columns of labels split them; what is neither is noted."""
    labels: list[_Cells] = []
    values: list[_Cells] = []
    for cells in cells_of:
        where = f"{source} {cells.name!r}"
        if repeated and cells.few and _LABEL_NAMES.match(cells.name):
            labels.append(cells)
        elif cells.numbers and cells.numbers >= cells.bad:
            values.append(cells)
            if cells.bad:
                example = f"{cells.name!r} line {cells.first_bad} ({cells.example!r})"
                notes.add(f"{source}: cells that are no number are left out", example, cells.bad)
        elif not cells.bad:
            notes.add("no values", where)
        elif len(cells.seen) == 1 or (cells.few and (repeated or _NAME_NAMES.match(cells.name))):
            labels.append(cells)
        else:
            notes.add(UNREAD, f"{where} (like {cells.example!r})")
    anonymous = len(values) == 1 and _VALUE_NAMES.match(values[0].name) is not None
    telling = [cells for cells in labels if len(cells.seen) > 1] or (labels if anonymous else [])
    if telling:
        return _split_by_labels(values, times, telling, anonymous, source, notes)
    unique: dict[str, Column] = {}
    for cells in values:
        name = cells.name if cells.name not in unique else f"{cells.name} (column {cells.place + 1})"
        unique[name] = Column(name, times, cells.values, cells.unit)
    return list(unique.values())


def _split_by_labels(
    values: list[_Cells], times: array[float], labels: list[_Cells], anonymous: bool, source: str, notes: Notes
) -> list[Column]:
    """Return a column for each of `values` and combination of labels: `cpu (host-a)`, or `host-a` if `anonymous`."""
    out: dict[str, Column] = {}
    for cells in values:
        texts = zip(*(label.texts for label in labels), strict=True)
        for label, time, value in zip(texts, times, cells.values, strict=True):
            joined = " ".join(text.strip() for text in label)
            name = joined if anonymous else f"{cells.name} ({joined})"
            if name not in out:
                if len(out) >= MOST_SERIES:
                    notes.add(f"only the first {MOST_SERIES:,} series are read", source)
                    return list(out.values())
                out[name] = Column(name, unit=cells.unit)
            out[name].add(time, value)
    return list(out.values())
