"""Whether a file is a table of metrics: rows of a time and numbers, as CSV has them, whatever its name is."""

from __future__ import annotations

import re

from triage.cells import DELIMITERS, is_missing, is_number, split

_MOSTLY = 0.9  # share of the rows
# A row begins with its time or with a name, which is one word: "[GIN] 2026/01/01 - 10:00:00 | 200" is a log's line.
_FIRST = re.compile(
    r"\S*|(?:[\W\d]|[TZ]\b|[AaPp]\.?[Mm]\b|(?:UTC|GMT|MSK|[A-Z]{2,4}T)\b|T(?=\d)"
    r"|(?i:mon|tue|wed|thu|fri|sat|sun|jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\b)*"
)


def is_table_of_numbers(beginning: str) -> bool:
    """Return whether a file that begins like this is a table: rows of as many cells, at least half of them numbers.

    The first row may be a header and the last one be cut, so neither counts.
    """
    rows = [line for line in beginning.split("\n") if line.strip() and not line.startswith("#")]
    rows = rows[:-1] if len(rows) > 2 else rows
    return any(_is_table([split(row.strip("\r"), delimiter) for row in rows]) for delimiter in DELIMITERS)


def _is_table(rows: list[list[str]]) -> bool:
    width = len(rows[0]) if rows else 0
    if width < 2 or len(rows) < 2:
        return False
    numeric = 0
    for first, *values in rows[1:]:
        numbers = sum(is_missing(value) or is_number(value) for value in values)
        is_row = len(values) == width - 1 and _FIRST.fullmatch(first.strip()) is not None
        numeric += is_row and numbers >= max(1, len(values) - 2, len(values) / 2)
    return numeric >= _MOSTLY * (len(rows) - 1)
