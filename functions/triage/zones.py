"""Time zones by their abbreviations, as the tz database has them for 2024 (a test compares the two).

A Lambda function has no tz database, and an abbreviation names an offset, not a place: CET is +01:00 also in summer.
"""

from __future__ import annotations

# Hours east of UTC. Of an abbreviation with several meanings, the one that most zones of the tz database have.
ZONES: dict[str, float] = {
    "UTC": 0, "GMT": 0, "WET": 0, "WEST": 1, "BST": 1, "CET": 1, "MET": 1, "WAT": 1, "CEST": 2, "MEST": 2, "EET": 2,
    "CAT": 2, "SAST": 2, "EEST": 3, "EAT": 3, "MSK": 3, "IDT": 3, "PKT": 5, "IST": 5.5, "WIB": 7, "AWST": 8, "HKT": 8,
    "WITA": 8, "JST": 9, "KST": 9, "WIT": 9, "ACST": 9.5, "AEST": 10, "ACDT": 10.5, "AEDT": 11, "NZST": 12, "NZDT": 13,
    "NDT": -2.5, "ADT": -3, "NST": -3.5, "AST": -4, "EDT": -4, "EST": -5, "CDT": -5, "CST": -6, "MDT": -6, "MST": -7,
    "PDT": -7, "PST": -8, "AKDT": -8, "HDT": -9, "AKST": -9, "HST": -10, "SST": -11,
}  # fmt: skip
# Abbreviations with more than one meaning, and the others.
AMBIGUOUS: dict[str, tuple[float, ...]] = {"CDT": (-4,), "CST": (8, -5), "IST": (1, 2), "PST": (8,)}


def offset(hours: float) -> str:
    """Return hours east of UTC as ISO 8601 writes them: `-05:00`."""
    minutes = round(abs(hours) * 60)
    return f"{'-' if hours < 0 else '+'}{minutes // 60:02d}:{minutes % 60:02d}"


def assumption(zone: str) -> str:
    """Return, for an ambiguous abbreviation, in words how it was read; "" for others."""
    if zone not in AMBIGUOUS:
        return ""
    others = " or ".join(offset(hours) for hours in AMBIGUOUS[zone])
    return f"times in {zone} are read as {offset(ZONES[zone])}, but {zone} may also be {others}"
