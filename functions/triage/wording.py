"""Counts, names and durations in words."""

from __future__ import annotations

from collections.abc import Sequence


def counted(count: int, noun: str, plural: str = "") -> str:
    """Return `1 log`, `2,000 logs`. `plural` is for nouns that do not just take an s."""
    return f"{count:,} {noun if count == 1 else plural or f'{noun}s'}"


def listed(names: Sequence[str], most: int) -> str:
    """Return `cpu, memory and 3 more`, with at most `most` names."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more}"


def duration(seconds: float) -> str:
    """Return `1.5 s`, `45 s`, `12 min`, `3 h 20 min`, `2 d 4 h`."""
    if seconds < 120:
        return f"{round(seconds, 1 if seconds < 10 else 0):g} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"
