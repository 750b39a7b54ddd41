"""The report of a benchmark: figures, each with its peer and its aim, as a table or as Markdown."""

from __future__ import annotations

import math
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

_HEADINGS = ("", "ours: median (min–max)", "unit", "peer", "peer's median", "ours / peer", "aim", "met")


class BenchError(Exception):
    """A benchmark cannot be completed. The message says why."""


@dataclass(frozen=True)
class Aim:
    """The aim of our median, or of its ratio to the peer's."""

    relation: Literal["≤", "≥", "="]
    value: float
    of: Literal["ours", "ratio"] = "ours"

    def met(self, ours: float, ratio: float | None) -> bool:
        value = ours if self.of == "ours" else ratio
        if value is None:
            return False
        return {"≤": value <= self.value, "≥": value >= self.value, "=": value == self.value}[self.relation]

    def __str__(self) -> str:
        return f"{self.relation} {number(self.value)}{' × peer' if self.of == 'ratio' else ''}"


@dataclass(frozen=True)
class Row:
    """One figure: our runs, and the same runs of the peer, if there is one."""

    name: str
    unit: str
    ours: Sequence[float]
    peer: str = ""
    peers: Sequence[float] = ()
    aim: Aim | None = None

    def cells(self) -> tuple[str, ...]:
        if not self.ours:
            return (self.name, "n/a", self.unit, self.peer, "", "", str(self.aim or ""), "")
        ours = statistics.median(self.ours)
        peer = statistics.median(self.peers) if self.peers else None
        ratio = ours / peer if peer else None
        return (
            self.name,
            f"{number(ours)} ({number(min(self.ours))}–{number(max(self.ours))})",
            self.unit,
            self.peer,
            number(peer) if peer is not None else "",
            number(ratio) if ratio is not None else "",
            str(self.aim or ""),
            ("yes" if self.aim.met(ours, ratio) else "no") if self.aim else "",
        )


@dataclass
class Report:
    """The rows of a benchmark, and notes that explain them."""

    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(
        self,
        name: str,
        unit: str,
        ours: Sequence[float],
        peer: str = "",
        peers: Sequence[float] = (),
        aim: Aim | None = None,
    ) -> None:
        self.rows.append(Row(name, unit, ours, peer, peers, aim))


def text(report: Report) -> str:
    """The report for a terminal."""
    table = [_HEADINGS, *(row.cells() for row in report.rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip() for cells in table
    ]
    return "\n".join([*lines, *(f"  {note}" for note in report.notes)])


def markdown(report: Report) -> str:
    """The report for a README."""
    table = [_HEADINGS, ("---",) * len(_HEADINGS), *(row.cells() for row in report.rows)]
    lines = [f"| {' | '.join(cells)} |" for cells in table]
    return "\n".join([*lines, "", *(f"- {note}" for note in report.notes)])


def number(value: float) -> str:
    """Format with three significant digits; above a hundred as a whole number with separators."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    rounded = f"{value:.{digits}f}"
    return rounded.rstrip("0").rstrip(".") if "." in rounded else rounded


def percentile(values: Sequence[float], percent: float) -> float:
    """The nearest-rank percentile, which is one of the values."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def say(line: str) -> None:
    """Print progress to stderr."""
    print(line, file=sys.stderr, flush=True)
