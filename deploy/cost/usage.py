"""What is used, and the bill for it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import msgspec

from deploy.cost import prices
from deploy.cost.prices import Price


class FunctionUse(msgspec.Struct):
    """What one function used. `gb_s` is billed time by memory; `restored_gb` was restored from snapshots."""

    invocations: float = 0
    seconds: float = 0
    gb_s: float = 0
    restored_gb: float = 0


class Usage(msgspec.Struct):
    """What runs used: functions by name, DynamoDB's units by what for, CloudFront's requests and bytes, log lines."""

    functions: defaultdict[str, FunctionUse] = msgspec.field(default_factory=lambda: defaultdict(FunctionUse))
    writes: defaultdict[str, float] = msgspec.field(default_factory=lambda: defaultdict(float))
    reads: defaultdict[str, float] = msgspec.field(default_factory=lambda: defaultdict(float))
    edge_requests: float = 0
    edge_bytes: float = 0
    log_bytes: float = 0


class Line(msgspec.Struct, frozen=True):
    """A line of a bill."""

    name: str
    quantity: float
    unit: str
    dollars: float


def bill(usage: Usage, times: float = 1) -> list[Line]:
    """Return what `times` as much as the usage costs, line by line, without lines of nothing."""

    def line(name: str, quantity: float, price: Price) -> Line:
        return Line(name, quantity * times, price.unit, price.of(quantity * times))

    used = [
        *(line(f"Lambda, {name}", use.gb_s, prices.LAMBDA_TIME) for name, use in usage.functions.items()),
        line("Lambda, invocations", sum(f.invocations for f in usage.functions.values()), prices.LAMBDA_REQUESTS),
        line("snapshots restored", sum(f.restored_gb for f in usage.functions.values()), prices.SNAPSHOT_RESTORED),
        *(line(f"DynamoDB writes, {what}", units, prices.WRITES) for what, units in usage.writes.items()),
        *(line(f"DynamoDB reads, {what}", units, prices.READS) for what, units in usage.reads.items()),
        line("CloudFront, requests", usage.edge_requests, prices.EDGE_REQUESTS),
        # All of them are for /api/*: the page's own files are a few for each viewer.
        line("CloudFront, its function", usage.edge_requests, prices.EDGE_FUNCTION),
        line("CloudFront, bytes", usage.edge_bytes, prices.EDGE_BYTES),
        line("CloudWatch, log lines", usage.log_bytes, prices.LOG_BYTES),
    ]
    return [each for each in used if each.quantity]


def total(lines: Iterable[Line]) -> float:
    """Return the dollars of all lines."""
    return sum(line.dollars for line in lines)


def table(rows: Iterable[tuple[str, ...]]) -> str:
    """Return rows as aligned text: the first column to the left, the others to the right."""
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.rjust(w) if n else cell.ljust(w) for n, (cell, w) in enumerate(zip(row, widths, strict=True)))
        for row in rows
    )


def printed(lines: list[Line]) -> str:
    """Return a bill as text."""
    rows = [(line.name, f"{line.quantity:,.0f} {line.unit}", dollars(line.dollars)) for line in lines]
    return table([*rows, ("total", "", dollars(total(lines)))])


def dollars(value: float) -> str:
    """Return dollars with three digits behind the point."""
    return f"${value:,.3f}"
