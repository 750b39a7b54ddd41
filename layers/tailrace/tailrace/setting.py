"""What a setting is: a field of a dataclass, with its environment variable, unit, meaning and bounds."""

from __future__ import annotations

from dataclasses import field
from typing import Any

SECRET_LENGTH = 16


def setting(
    variable: str, default: Any, unit: str, meaning: str, low: Any = None, high: Any = None, *, hidden: bool = False
) -> Any:
    """A field of `Settings`, with its environment variable, and the bounds `low` and `high` of a number."""
    return field(
        default=default,
        repr=not hidden,
        metadata={"variable": variable, "unit": unit, "meaning": meaning, "low": low, "high": high},
    )


def secret(variable: str, meaning: str) -> Any:
    """A setting whose value never appears in a repr or an error."""
    return setting(variable, "", f"{SECRET_LENGTH} characters or more", meaning, hidden=True)


def split(text: str) -> list[str]:
    """The parts of a value that has several, with commas between them."""
    return [each.strip() for each in text.split(",") if each.strip()]
