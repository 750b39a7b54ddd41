"""The cells of a CSV line and their values."""

from __future__ import annotations

import csv
import math
import re

from metric_analyst.readers.times import number_of

_MISSING = frozenset(("", "-", "nan", "null", "nil", "none", "n/a", "na", "inf", "+inf", "-inf", "infinity"))
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+$")
# In characters. A longer cell is neither a number nor a word for a missing one.
_LONGEST_NUMBER = 400
# A line with more of them is no row, and its cells would take many times its memory.
_MOST_DELIMITERS = 20_000


def cell_number(text: str, delimiter: str = ",") -> float | None:
    """Return the number in a cell, None if it has none. It may be `45%`, `true`, and `3,14` unless commas delimit."""
    text = text.strip()
    if len(text) > _LONGEST_NUMBER:
        return None
    value = number_of(text)
    if value is not None or not text:
        return value
    if text[-1] == "%":
        return number_of(text[:-1])
    lowered = text.lower()
    if lowered in ("true", "false"):
        return float(lowered == "true")
    if delimiter != "," and _DECIMAL_COMMA.match(text):
        return number_of(text.replace(",", "."))
    return None


def is_missing(text: str) -> bool:
    """Return whether a cell stands for a missing value: empty, NaN, null, an infinity."""
    text = text.strip().lower()
    if text in _MISSING:
        return True
    if len(text) > _LONGEST_NUMBER:
        return False
    try:
        return not math.isfinite(float(text))  # 1e999
    except ValueError:
        return False


def split(line: str, delimiter: str) -> list[str]:
    """Return the cells of one line. A quote that is not closed ends with the line.

    A line with more than 20,000 delimiters is one cell.
    """
    if line.count(delimiter) > _MOST_DELIMITERS:
        return [line]
    if '"' not in line:
        return line.split(delimiter)
    try:
        return next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error:
        return line.split(delimiter)
