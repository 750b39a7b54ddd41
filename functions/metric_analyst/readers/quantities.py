"""Numbers with their unit, as dashboards export them: `1.37 KiB`, `206 ms`, `8.30 s`, `1.2 K`.

All quantities of a kind become one scale, so that a series that goes from milliseconds to seconds stays comparable.
"""

from __future__ import annotations

import re

from metric_analyst.readers.times import number_of

_QUANTITY = re.compile(r"([+-]?\d[\d.]{0,30}(?:[eE][+-]?\d{1,3})?)\s?([A-Za-zµμ%°/]{1,12})")
_PREFIXES = {"": 1.0, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15}
_BINARY = {"Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40, "Pi": 2.0**50}
_SECONDS = {
    "ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "sec": 1.0, "secs": 1.0, "seconds": 1.0,
    "min": 60.0, "mins": 60.0, "minutes": 60.0, "h": 3_600.0, "hour": 3_600.0, "hours": 3_600.0, "d": 86_400.0,
    "day": 86_400.0, "days": 86_400.0,
}  # fmt: skip


def _scales() -> dict[str, tuple[float, str]]:
    """Return, for each spelling of a unit, what one of it is in which unit."""
    scales = {name: (seconds * 1_000, "ms") for name, seconds in _SECONDS.items()}
    scales |= {"%": (1.0, "%"), "percent": (1.0, "%"), "°C": (1.0, "°C"), "Hz": (1.0, "count/s")}
    for prefix, factor in (_PREFIXES | _BINARY).items():
        for size in ("B", "Byte", "Bytes", "bytes") if prefix in ("", *_BINARY) else ("B",):
            scales[f"{prefix}{size}"] = (factor, "bytes")
            scales[f"{prefix}{size}/s"] = scales[f"{prefix}{size}/sec"] = (factor, "bytes/s")
        scales[f"{prefix}b/s"] = scales[f"{prefix}bps"] = scales[f"{prefix}bit/s"] = (factor / 8, "bytes/s")
        for rate in ("req/s", "ops/s", "rps", "qps", "iops", "ops", "/s"):
            scales[f"{prefix}{rate}"] = (factor, "count/s")
        if prefix:
            scales[prefix] = (factor, "")
    return scales | {"Mil": (1e6, ""), "Bil": (1e9, "")}


_SCALES = _scales()


def quantity(text: str) -> tuple[float, str] | None:
    """Return a number with a unit in bytes, ms, count/s …, and that unit; None if it is none."""
    match = _QUANTITY.fullmatch(text)
    scale = _SCALES.get(match[2]) if match is not None else None
    if match is None or scale is None:
        return None
    number = number_of(match[1])
    return None if number is None else (number * scale[0], scale[1])
