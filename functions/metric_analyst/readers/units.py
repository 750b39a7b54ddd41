"""The unit of a series, as far as its name tells."""

from __future__ import annotations

import re

# Possessive quantifiers, so that matching takes linear time.
_BRACKET = re.compile(r"[(\[]\s*+([^)\]]{1,20}?)\s*+[)\]]")
# In characters. A longer name has no unit.
_LONGEST_NAME = 1_000

_SPELLINGS = {
    "%": "%", "percent": "%", "pct": "%", "percentage": "%",
    "ms": "ms", "millis": "ms", "msec": "ms", "milliseconds": "ms",
    "us": "us", "µs": "us", "microseconds": "us", "usec": "us",
    "ns": "ns", "nanoseconds": "ns",
    "s": "s", "sec": "s", "secs": "s", "seconds": "s",
    "b": "bytes", "byte": "bytes", "bytes": "bytes",
    "kb": "kB", "kib": "KiB", "kilobytes": "kB", "mb": "MB", "mib": "MiB", "megabytes": "MB",
    "gb": "GB", "gib": "GiB", "gigabytes": "GB",
    "bps": "bits/s", "bits/s": "bits/s", "bits/second": "bits/s", "bytes/s": "bytes/s", "bytes/second": "bytes/s",
    "count/s": "count/s", "count/second": "count/s", "1/s": "count/s", "/s": "count/s",
    "rps": "count/s", "qps": "count/s", "tps": "count/s", "ops": "count/s", "iops": "count/s",
    "req/s": "count/s", "rate": "count/s", "hz": "count/s",
    "celsius": "°C", "°c": "°C",
}  # fmt: skip

_PER_SECOND = re.compile(r"(?:_per_|/| per )(?:s|sec|second)$|persec(?:ond)?$|_ps$", re.IGNORECASE)
# Shares of a whole. Some tools write them from 0 to 100, others from 0 to 1.
_SHARE = re.compile(r"^cpu$|cpu[ _.]?(?:util|usage|percent|busy|idle|steal)|utilization$|usage_?percent", re.I)
_SIZES = ("bytes", "kB", "KiB", "MB", "MiB", "GB", "GiB")
_WORDS = re.compile(r"[A-Z]?[a-zµ°%]+|[A-Z]+(?![a-z])|%")


def unit_of(name: str, largest: float) -> str:
    """Return `%`, `ms`, `s`, `bytes`, `count/s` …, or "" if the name does not say.

    Labels (`{code="502"}`) do not count; a unit in brackets (`latency (ms)`) counts more than other words. A share of a
    whole, as `cpu`, is in percent if the `largest` of the series' values is above 1.
    """
    base = name.split("{", 1)[0].strip()
    if len(base) > _LONGEST_NAME:
        return ""
    for inside in _BRACKET.findall(base):
        if inside.lower() in _SPELLINGS:
            return _SPELLINGS[inside.lower()]
    if _PER_SECOND.search(base):
        words = [_SPELLINGS.get(word.lower()) for word in _WORDS.findall(base)]
        size = next((word for word in words if word in _SIZES), None)
        return f"{size}/s" if size else "count/s"
    words = [word.lower() for word in _WORDS.findall(base)]
    # Prometheus puts the unit last, or before `total`. The first word is no unit (`s3`).
    for word in [w for w in words[1:] if w not in ("total", "sum", "avg", "max", "min", "p")][-1:]:
        if word in _SPELLINGS:
            return _SPELLINGS[word]
    return "%" if "%" in base or (largest > 1 and _SHARE.search(base)) else ""


def per_second(unit: str) -> str:
    """Return the unit of a counter's rate; `unit` is the counter's."""
    return "count/s" if unit in ("", "count/s") else unit if unit.endswith("/s") else f"{unit}/s"


def cloudwatch_unit(unit: object) -> str:
    """Return CloudWatch's StandardUnit in our spelling; "" for a count and for anything else."""
    return _SPELLINGS.get(unit.lower(), "") if isinstance(unit, str) else ""
