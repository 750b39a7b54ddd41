"""The cells of a CSV line and their values."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable

from metric_analyst.readers.quantities import quantity
from metric_analyst.readers.times import number_of

_MISSING = frozenset(("", "-", "nan", "null", "nil", "none", "n/a", "na", "inf", "+inf", "-inf", "infinity"))
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+$")
# With digits in groups of three. The space may be a narrow one or one that does not break.
_GROUPED = re.compile(r"[+-]?\d{1,3}(?:,\d{3})+(?:\.\d+)?|[+-]?\d{1,3}(?:[ \u00a0\u202f'\u2019]\d{3})+(?:[.,]\d+)?")
_GROUPED_BY_PERIODS = re.compile(r"[+-]?\d{1,3}(?:\.\d{3})+(?:,\d+)?")
_COMMA_IS_DECIMAL = re.compile(r"[+-]?(?:\d+,(?:\d{1,2}|\d{4,})|\d{1,3}(?:\.\d{3})+,\d+)")
_PERIOD_IS_DECIMAL = re.compile(r"[+-]?(?:\d+\.(?:\d{1,2}|\d{4,})|0\.\d+|\d{4,}\.\d+|\d{1,3}(?:,\d{3})+\.\d+)")
_SEPARATORS = re.compile(r"[ \u00a0\u202f'\u2019]")
# In characters. A longer cell is neither a number nor a word for a missing one.
LONGEST_NUMBER = 400
# A line with more of them is no row, and its cells would take many times its memory.
_MOST_DELIMITERS = 20_000


def cell_number(text: str, decimal_comma: bool = False) -> float | None:
    """Return the number in a cell, None if it has none. It may be `45%`, `true`, `1,331.1`, or have a unit.

    With `decimal_comma`, `3,14` and `1.331,11` are numbers too, and `1.331` is more than a thousand.
    """
    found = cell_quantity(text, decimal_comma)
    return None if found is None else found[0]


def cell_quantity(text: str, decimal_comma: bool = False) -> tuple[float, str] | None:
    """Return the number in a cell as `cell_number` does, and its unit: "" if it has none."""
    text = text.strip()
    if len(text) > LONGEST_NUMBER or not text:
        return None
    if decimal_comma:
        if _GROUPED_BY_PERIODS.fullmatch(text) or _DECIMAL_COMMA.fullmatch(text):
            value = number_of(text.replace(".", "").replace(",", "."))
            return None if value is None else (value, "")
        if not text[-1].isdigit():  # a unit
            text = text.replace(".", "").replace(",", ".") if "," in text else text
    value = number_of(text)
    if value is not None:
        return value, ""
    if text[-1].isdigit():
        if not _GROUPED.fullmatch(text):
            return None
        text = _SEPARATORS.sub("", text)
        value = number_of(text.replace(",", "." if decimal_comma else ""))
        return None if value is None else (value, "")
    lowered = text.lower()
    if lowered in ("true", "false"):
        return float(lowered == "true"), ""
    return quantity(text.replace(",", "")) if text[0].isdigit() or text[0] in "+-." else None


def has_decimal_comma(cells: Iterable[str], delimiter: str) -> bool:
    """Return whether some of a file's cells show that its numbers have a comma where others have a period."""
    texts = [cell.strip() for cell in cells]
    if any(_PERIOD_IS_DECIMAL.fullmatch(text) for text in texts):
        return False
    if any(_COMMA_IS_DECIMAL.fullmatch(text) for text in texts):
        return True
    # 1,331 alone may be either: a file with semicolons has them because its commas are decimal.
    return delimiter != "," and any(_DECIMAL_COMMA.fullmatch(text) for text in texts)


def is_missing(text: str) -> bool:
    """Return whether a cell stands for a missing value: empty, NaN, null, an infinity."""
    text = text.strip().lower()
    if text in _MISSING:
        return True
    if len(text) > LONGEST_NUMBER:
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
