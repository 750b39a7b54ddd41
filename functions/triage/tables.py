"""Whether a file is a table of metrics: rows of a time and numbers, as CSV has them, whatever its name is."""

from __future__ import annotations

import csv
import re

_DELIMITERS = ",;\t|"
_MOSTLY = 0.9  # share of the rows
_NUMBER = re.compile(
    r"[+-]?(?:\d{1,3}(?:[.,' ]\d{3})+|\d+|(?=\.\d))(?:[.,]\d*)?(?:[eE][+-]?\d+)?(?: ?[A-Za-zµ%°/]{1,8})?"
    r"|nan|inf|null|",
    re.IGNORECASE,
)
# A row begins with its time or with a name, which is one word: "[GIN] 2026/01/01 - 10:00:00 | 200" is a log's line.
_FIRST = re.compile(
    r"\S*|(?:[\W\d]|[TZ]\b|[AP]M\b|[ap]m\b|(?:UTC|GMT|MSK|[A-Z]{2,4}T)\b|T(?=\d)"
    r"|(?i:mon|tue|wed|thu|fri|sat|sun|jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\b)*"
)


def is_table_of_numbers(beginning: str) -> bool:
    """Return whether a file that begins like this is a table: rows of as many cells, at least half of them numbers.

    The first row may be a header and the last one be cut, so neither counts.
    """
    rows = [line for line in beginning.split("\n") if line.strip() and not line.startswith("#")]
    rows = rows[:-1] if len(rows) > 2 else rows
    return any(_is_table(rows, delimiter) for delimiter in _DELIMITERS)


def _is_table(rows: list[str], delimiter: str) -> bool:
    try:
        table = list(csv.reader((row.strip("\r") for row in rows), delimiter=delimiter))
    except csv.Error:
        return False
    cells = len(table[0]) - 1 if table else 0
    if not cells or len(table) < 2:
        return False
    numeric = 0
    for row in table[1:]:
        values = row[1:]
        numbers = sum(_NUMBER.fullmatch(value.strip()) is not None for value in values)
        is_row = len(values) == cells and _FIRST.fullmatch(row[0].strip()) is not None
        numeric += is_row and numbers >= max(1, len(values) - 2, len(values) / 2)
    return numeric >= _MOSTLY * (len(table) - 1)
