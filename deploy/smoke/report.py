"""The results of the checks, and their failures."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

# Results as (name, value), in the order of the checks.
Rows = list[tuple[str, str]]


class SmokeError(Exception):
    """The deployment breaks a promise: `what` it does, and `remedy`, what to do about it."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"{what}\n  What to do: {remedy}")


def printed(rows: Rows) -> str:
    """Return the results as text."""
    width = max((len(name) for name, _ in rows), default=0)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)


def ms(seconds: float) -> str:
    return f"{seconds * 1000:,.0f} ms"


def spread(seconds: Sequence[float]) -> str:
    if len(seconds) < 2:
        return "none to measure"
    p95 = statistics.quantiles(seconds, n=20, method="inclusive")[-1]
    return f"median {ms(statistics.median(seconds))}, p95 {ms(p95)}, longest {ms(max(seconds))}"
