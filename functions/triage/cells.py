"""The cells of a CSV line and their numbers, as people and dashboards write them: `1,331.1`, `1.37 KiB`, `206 ms`.

All quantities of a kind become one scale, so that a series that goes from milliseconds to seconds stays comparable.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from math import isfinite

DELIMITERS = ",;\t|"
_MISSING = frozenset(
    ("", "-", "nan", "null", "nil", "none", "n/a", "na", "inf", "+inf", "-inf", "infinity", "-infinity")
)
# In characters. A longer cell is neither a number nor a word for a missing one.
LONGEST_NUMBER = 400
# A line with more of them is no row, and its cells would take many times its memory.
_MOST_DELIMITERS = 20_000

# Digits in groups of three may have a space between them, also a narrow one or one that does not break.
_SPACE = r" \u00a0\u202f'\u2019"
_SPACES = re.compile(f"[{_SPACE}]")
_WRITTEN = re.compile(rf"([+-]?[\d.,{_SPACE}]*\d\.?(?:[eE][+-]?\d{{1,3}})?)\s?([A-Za-zµμ%°/]{{0,12}})")
_WITH_PERIOD = re.compile(rf"[+-]?\d{{1,3}}(?:,\d{{3}}|[{_SPACE}]\d{{3}})+(?:\.\d+)?")
_WITH_COMMA = re.compile(rf"[+-]?(?:\d{{1,3}}(?:\.\d{{3}}|[{_SPACE}]\d{{3}})+(?:,\d+)?|\d+,\d+)")
_COMMA_IS_DECIMAL = re.compile(rf"[+-]?(?:\d+,(?:\d{{1,2}}|\d{{4,}})|\d{{1,3}}(?:[.{_SPACE}]\d{{3}})+,\d+)")
_ANY_COMMA = re.compile(rf"[+-]?(?:\d{{1,3}}(?:[.{_SPACE}]\d{{3}})+|\d+),\d+")
_PERIOD_IS_DECIMAL = re.compile(r"[+-]?(?:\d+\.(?:\d{1,2}|\d{4,})|0\.\d+|\d{4,}\.\d+|\d{1,3}(?:,\d{3})+\.\d+)")

_PREFIXES = {"": 1.0, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15}
_BINARY = {"Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40, "Pi": 2.0**50}
_MILLISECONDS = {
    "ns": 1e-6, "us": 1e-3, "µs": 1e-3, "μs": 1e-3, "ms": 1.0, "s": 1e3, "sec": 1e3, "secs": 1e3, "seconds": 1e3,
    "min": 6e4, "mins": 6e4, "minutes": 6e4, "h": 3.6e6, "hour": 3.6e6, "hours": 3.6e6, "d": 8.64e7, "day": 8.64e7,
    "days": 8.64e7,
}  # fmt: skip


def _scales() -> dict[str, tuple[float, str]]:
    """Return, for each spelling of a unit, what one of it is in which unit."""
    scales = {name: (factor, "ms") for name, factor in _MILLISECONDS.items()}
    scales |= {"%": (1.0, "%"), "percent": (1.0, "%"), "°C": (1.0, "°C"), "Hz": (1.0, "count/s")}
    for prefix, factor in (_PREFIXES | _BINARY).items():
        scales[prefix] = (factor, "")
        for size in ("B", "Byte", "Bytes", "bytes") if prefix in ("", *_BINARY) else ("B",):
            scales[f"{prefix}{size}"] = (factor, "bytes")
            scales[f"{prefix}{size}/s"] = scales[f"{prefix}{size}/sec"] = (factor, "bytes/s")
        scales[f"{prefix}b/s"] = scales[f"{prefix}bps"] = scales[f"{prefix}bit/s"] = (factor / 8, "bytes/s")
        for rate in ("req/s", "ops/s", "rps", "qps", "iops", "ops", "/s"):
            scales[f"{prefix}{rate}"] = (factor, "count/s")
    return scales | {"Mil": (1e6, ""), "Bil": (1e9, "")}


_SCALES = _scales()


def number_of(text: str) -> float | None:
    """Return a finite decimal number, else None. `1_000` and `nan`, which Python reads, are no numbers here."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if isfinite(value) and "_" not in text else None


def cell_quantity(text: str, decimal_comma: bool = False) -> tuple[float, str] | None:
    """Return the number in a cell and its unit (bytes, ms, count/s …; "" without one), None if it has no number.

    `true` is 1. With `decimal_comma`, `3,14` and `1.331,11` are numbers too, and `1.331` is more than a thousand.
    """
    text = text.strip()
    if len(text) > LONGEST_NUMBER:
        return None
    if (word := text.lower()) in ("true", "false"):
        return float(word == "true"), ""
    match = _WRITTEN.fullmatch(text)
    scale = _SCALES.get(match[2]) if match is not None else None
    if match is None or scale is None:
        return None
    digits = match[1]
    group, mark = (".", ",") if decimal_comma else (",", ".")
    if (_WITH_COMMA if decimal_comma else _WITH_PERIOD).fullmatch(digits):
        digits = _SPACES.sub("", digits.replace(group, "")).replace(mark, ".")
    number = number_of(digits)
    return None if number is None else (number * scale[0], scale[1])


def cell_number(text: str, decimal_comma: bool = False) -> float | None:
    """Return the number in a cell as `cell_quantity` does, without its unit."""
    found = cell_quantity(text, decimal_comma)
    return None if found is None else found[0]


def is_number(text: str) -> bool:
    """Return whether a cell has a number, in a unit that is known here or not."""
    match = _WRITTEN.fullmatch(text.strip()[: LONGEST_NUMBER + 1])
    digits = text if match is None else match[1]
    return cell_number(digits) is not None or cell_number(digits, True) is not None


def has_decimal_comma(cells: Iterable[str], delimiter: str) -> bool:
    """Return whether some of a file's cells show that its numbers have a comma where others have a period."""
    numbers = [match[1] for cell in cells if (match := _WRITTEN.fullmatch(cell.strip()[:LONGEST_NUMBER]))]
    if any(map(_PERIOD_IS_DECIMAL.fullmatch, numbers)):
        return False
    # 1,331 alone may be either: a file with semicolons has them because its commas are decimal.
    return any(map((_COMMA_IS_DECIMAL if delimiter == "," else _ANY_COMMA).fullmatch, numbers))


def is_missing(text: str) -> bool:
    """Return whether a cell stands for a missing value: empty, NaN, null, an infinity."""
    return text.strip().lower() in _MISSING


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
