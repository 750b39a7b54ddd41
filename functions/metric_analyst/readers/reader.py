"""Reads the metrics in a request: in its files, its data parts, and its text."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable
from itertools import chain, pairwise
from pathlib import PurePosixPath

import msgspec

from metric_analyst.notes import UNREAD, Notes
from metric_analyst.readers.csv_reader import read_csv
from metric_analyst.readers.json_reader import read_document, read_json
from metric_analyst.readers.reached import Reached
from metric_analyst.readers.series import Series, make_series
from metric_analyst.readers.table import Column, MetricTable
from metric_analyst.readers.units import unit_of
from tailrace.inputs.request import Request
from tailrace.inputs.text import Content, Text
from triage.budget import UNLIMITED, Budget
from triage.wording import counted

PASTED = "the message"
_DIGITS = re.compile(r"\d+")


class RequestMetrics(msgspec.Struct, frozen=True):
    """The series of a request, and `notes` on everything that was left out, a line each.

    `sources` is how many files and data parts have series; `pasted` is whether the message's text has them. `stopped`
    says how far the reading came; it is "" if everything was read. `unread` is how many columns of text were left out.
    """

    series: list[Series]
    notes: list[str]
    sources: int
    pasted: bool = False
    stopped: str = ""
    unread: int = 0

    @property
    def samples(self) -> int:
        return sum(len(series.values) for series in self.series)


def read(request: Request, budget: Budget = UNLIMITED) -> Generator[None, None, RequestMetrics]:
    """Read all series in the files and the data parts of a request or, if those have none, in its text.

    A generator, so that the event loop can run in between. It returns what was read before the budget was exhausted.
    No content raises an error.
    """
    notes = Notes()
    tables: list[tuple[str, MetricTable]] = []
    complete = 0
    reached = Reached(file.content for file in request.files)
    for file in request.files:
        yield
        if budget.exhausted:
            break
        table = yield from _read_file(file.filename, file.content, notes, reached, budget)
        tables.append((file.filename, table))
        if not table.cut:
            complete += 1
            reached.finished(file.content)
    for number, part in enumerate(request.data, 1):
        yield
        source = f"data part {number}"
        tables.append((source, (yield from read_document(part, source, notes))))
    if not any(table.columns for _, table in tables) and request.text.count("\n") >= 2:
        pasted = Notes()  # words that are no metrics need no note
        text = Text(request.text)
        table = yield from _read_file(PASTED, text, pasted, Reached([text]), budget)
        if table.columns:
            tables.append((PASTED, table))
            notes = pasted
    sources = sum(bool(table.columns) for _, table in tables)
    was_pasted = any(name == PASTED for name, _ in tables)
    series = yield from _join(tables, notes)
    stopped = ""
    if complete < len(request.files):
        stopped = (
            f"{budget.ended('The reading')}. By then it had read {complete:,} of "
            f"{counted(len(request.files), 'file')} completely."
        )
    return RequestMetrics(
        series, notes.lines(), sources, pasted=was_pasted, stopped=stopped, unread=notes.counts[UNREAD]
    )


def _read_file(
    name: str, content: Content, notes: Notes, reached: Reached, budget: Budget
) -> Generator[None, None, MetricTable]:
    if content.beginning(200).lstrip().startswith(("{", "[")):
        return (yield from read_json(content.text, name, notes))
    return (yield from read_csv(content, name, notes, reached, budget))


def _join(tables: list[tuple[str, MetricTable]], notes: Notes) -> Generator[None, None, list[Series]]:
    """Return the series of all tables.

    Columns of one name in several files become one series if the files repeat each other, or if they follow each other
    in time and their names differ only in numbers. Otherwise each becomes a series with its file's name. The tables
    lose their columns, so that the memory of each is free when its series is made.
    """
    by_name: dict[str, list[tuple[str, MetricTable, Column]]] = {}
    for source, table in tables:
        if strays := table.drop_strays():
            notes.add("times far from all others are left out", source, strays)
        for column in table.columns:
            by_name.setdefault(column.name, []).append((source, table, column))
        table.single = len(table.columns) == 1
        table.columns = []
    out: list[Series] = []
    for name in list(by_name):
        yield
        pieces = by_name.pop(name)
        if len(pieces) == 1 or _are_one(pieces):
            samples = chain.from_iterable(column.samples for _, _, column in pieces)
            _append(out, notes, name, pieces[0][2] if len(pieces) == 1 else samples, pieces)
        else:
            for piece in pieces:
                stem = PurePosixPath(piece[0]).stem or piece[0]
                _append(out, notes, f"{stem}: {name}", piece[2], [piece])
    return out


def _append(
    out: list[Series],
    notes: Notes,
    name: str,
    samples: Column | Iterable[tuple[float, float | None]],
    pieces: list[tuple[str, MetricTable, Column]],
) -> None:
    source = pieces[0][0] if len(pieces) == 1 else f"{len(pieces):,} files"
    recorded = [table.times for _, table, _ in pieces if not table.cut]
    single = all(table.single for _, table, _ in pieces)
    series = make_series(name, samples, unit=pieces[0][2].unit, recorded=recorded, single=single)
    if series is None:
        notes.add("no values", f"{source} {name!r}")
        return
    if not series.unit:
        series = msgspec.structs.replace(series, unit=unit_of(name.split(": ", 1)[-1], max(series.values)))
    if series.repeated:
        notes.add("times that occur more than once; their median is used", repr(series.name), series.repeated)
    if series.dropped:
        notes.add("samples without a usable value are left out", repr(series.name), series.dropped)
    out.append(series)


def _are_one(pieces: list[tuple[str, MetricTable, Column]]) -> bool:
    """Return whether columns of several files are one series: they repeat each other, or are its parts.

    The names of parts differ only in numbers: cpu-1.csv and cpu-2.csv, not web and db.
    """
    columns = sorted((column for _, _, column in pieces if column.times), key=lambda column: min(column.times))
    overlaps = [max(one.times) >= min(other.times) for one, other in pairwise(columns)]
    parts = len({_DIGITS.sub("", PurePosixPath(source).name) for source, _, _ in pieces}) == 1
    return (parts or all(overlaps)) and all(
        _agree(one, other) for (one, other), overlap in zip(pairwise(columns), overlaps, strict=True) if overlap
    )


def _agree(one: Column, other: Column) -> bool:
    known = dict(one.samples)
    shared = [(known[time], value) for time, value in other.samples if time in known]
    return bool(shared) and all(a == b or (a != a and b != b) for a, b in shared)
