"""Reads a log: its lines become entries, whatever formats it mixes, and stack traces stay with their entry."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

from log_analyst.readers import levels
from log_analyst.readers.entry import Entry
from log_analyst.readers.formats import parsers
from log_analyst.readers.header import Header, header_of
from log_analyst.readers.sources import Source
from tailrace.errors import shorten
from triage.timestamps import Timestamps

# In characters. The rest of a longer line is not read.
LINE_LIMIT = 65_536
_SAMPLED = 300
_COLOUR = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
# The line of a trace that names the exception: Python's last, Java's first and "Caused by:".
_FAULTS = ("Error", "Exception", "Warning", "Panic", "Interrupt", "Exit", "Fault", "Failure", "Timeout")
_FAULT = re.compile(
    rf"(?:Caused by: |Exception in thread \"[^\"]*\" )?([A-Za-z_][\w.$]*(?:{'|'.join(_FAULTS)}))(?=:|\s|$)"
)
# How lines of a trace begin that a collector took for entries of their own.
_FRAMES = ("\t", "  ", "at ", "... ", "Caused by: ", 'File "', "Traceback (most recent")
# Most lines begin like this, and so they are no part of a trace.
_LEVEL_BEGINS = frozenset(["INFO", "DEBU", "WARN", "ERRO", "NOTI", "TRAC", "FATA", "CRIT"])
# Seconds from an entry to the lines of its trace, at most.
_TRACE_S = 1.0
_TRACE = re.compile(r"(?:Traceback \(most recent|panic: |Exception in thread |fatal error: |Unhandled )")


@dataclass
class Record:
    """An entry, the place of its lines in the log's content (`start` to `end`), and how many they are."""

    entry: Entry
    start: int
    end: int
    lines: int = 1
    fault: str = ""  # the exception that its lines name

    @cached_property
    def level(self) -> int:
        """The entry's level; by its words if it has no other. They are read only once, because a text may be long."""
        known = self.entry.level
        return known if known != levels.UNKNOWN else levels.level_in(self.entry.text)

    def complete(self) -> Record:
        """Return the record, with the exception in its text."""
        entry = self.entry
        if self.fault and self.fault not in entry.text:
            self.entry = entry._replace(text=f"{entry.text[:600]} | {self.fault}")
        return self


class LogReader:
    """Reads one log. Iteration yields its records in order.

    When it is complete, `lines` is the number of lines, `blank` of the blank ones and comments, and `cut` of the too
    long ones; every line that is not blank is in a record. A line without a time continues the entry before it, if
    other lines of the log have times. `reference` is the time, in seconds since the epoch, that times without a year
    are not after.
    """

    def __init__(self, source: Source, reference: float) -> None:
        self.lines = 0
        self.blank = 0
        self.cut = 0
        self._content = source.content
        self._stamps = Timestamps(reference)
        self._headers: dict[str, Header] = {}
        self._known = parsers()
        self.formats = self._sniffed()
        self.format = self.formats[0] if self.formats else "text without times"
        # The plain text parser takes any line with a time, so it comes last.
        names = [*(name for name in self.formats if name != "plain text"), *(["plain text"] if self.formats else [])]
        self._parsers = [(self._known[name], self._headers.get(name)) for name in names]
        self._comments = "W3C access log" in self.formats
        self._stamps.restart()

    def __iter__(self) -> Iterator[Record]:
        return (record for record in self.steps() if record is not None)

    def steps(self) -> Iterator[Record | None]:
        """Yield the records, and None for each line that ends none, because a record may have any number of lines."""
        record: Record | None = None
        in_trace = False
        for start, end, text, cut in self._content.lines(LINE_LIMIT):
            self.lines += 1
            self.cut += cut
            line = _plain(text)
            if not line or line.isspace() or (self._comments and line[0] == "#"):
                self.blank += 1
                yield None
                continue
            entry = None if in_trace and line[0] in " \t" else self._parsed(line)
            continues = False
            if entry is None:
                entry, continues = self._timeless(line, record)
            elif entry.level == levels.UNKNOWN:
                entry, continues = _unwrapped(entry, record, in_trace)
            if continues and record is not None:
                record.lines += 1
                in_trace = True
                if (match := _FAULT.match(line) or _FAULT.match(entry.text)) is not None:
                    record.fault = match.group(1)
                yield None
                continue
            yield record.complete() if record is not None else None
            record = Record(entry, start, end)
            in_trace = bool(_TRACE.match(line) or _TRACE.match(entry.text))
        if record is not None:
            yield record.complete()

    @property
    def assumptions(self) -> list[str]:
        """How ambiguous times of the log were read, in words."""
        return list(self._stamps.assumptions.values())

    def _parsed(self, line: str) -> Entry | None:
        for parser, header in self._parsers:
            entry = parser(line, self._stamps)
            if entry is not None:
                return entry if header is None or entry.access else header.read(entry)
        return None

    def _timeless(self, line: str, before: Record | None) -> tuple[Entry, bool]:
        """Return the entry of a line that no parser knows, and whether it continues the entry before it instead."""
        timed = bool(self.formats)
        level = levels.UNKNOWN
        time = before.entry.time if before is not None and timed else None
        is_trace = _TRACE.match(line) is not None
        if is_trace:
            level = levels.CRITICAL if line.startswith(("panic", "fatal")) else levels.ERROR
        text = line.strip()
        if text.startswith("Traceback"):
            text = "Traceback"
        entry = Entry(time, level, text)
        if not timed and (header := self._headers.get("")) is not None:
            entry = header.read(entry)
        if before is None:
            return entry, False
        if is_trace:
            # A trace after a harmless line does not belong to it: it was printed, not logged.
            return entry, before.level >= levels.WARNING
        if timed or line[0] in " \t":
            return entry, True
        return entry, before.lines > 1 and _FAULT.match(line) is not None

    def _sniffed(self) -> list[str]:
        """Return the formats of the log's first lines, the most frequent first; none if the lines have no times."""
        votes: Counter[str] = Counter()
        texts: dict[str, list[str]] = defaultdict(list)
        plain = (_plain(line.text) for line in self._content.lines(LINE_LIMIT))
        lines = list(islice((line for line in plain if line and line[0] not in " \t"), _SAMPLED))
        self._stamps.look_ahead([*lines, *self._content.ending(4_096).split("\n")])
        for line in lines:
            for name, parser in self._known.items():
                entry = parser(line, self._stamps)
                if entry is not None and (entry.time is not None or name == "JSON lines"):
                    votes[name] += 1
                    if not entry.access:
                        texts[name].append(entry.text[entry.header :])
                    break
        if votes.total() < 0.05 * len(lines):
            votes, texts = Counter(), {"": lines}
        self._headers = {name: header for name, some in texts.items() if (header := header_of(some)) is not None}
        return [name for name, _ in votes.most_common()]


def _unwrapped(entry: Entry, before: Record | None, in_trace: bool) -> tuple[Entry, bool]:
    """Return a line without a level as an entry, and whether it continues the trace of the entry before it.

    Collectors wrap each line of a trace as an entry of its own, with the time at which they read it.
    """
    text = entry.text
    if text[:4] in _LEVEL_BEGINS:
        return entry, False
    word = text.partition(" ")[0].rstrip(":")
    # "Timeout reached" is a sentence, and an exception that follows itself is another one.
    is_fault = word.endswith(_FAULTS) and word not in _FAULTS
    if not text.startswith(_FRAMES) and (not is_fault or (before is not None and before.entry.text.startswith(word))):
        return entry, False
    if before is not None and (in_trace or before.level >= levels.WARNING):
        time, last = entry.time, before.entry.time
        if time is None or last is None or 0 <= time - last <= _TRACE_S:
            return entry, True
    return (entry._replace(level=levels.ERROR) if text.startswith("Traceback") else entry), False


def example(source: Source, start: int, end: int, limit: int) -> str:
    """Return a record's first line without colours and control characters, at most `limit` characters."""
    line = _COLOUR.sub("", source.content.read(start, min(end, start + 4 * limit)))
    return shorten("".join(c if c.isprintable() else " " for c in line).strip(), limit)


def newest_dated(source: Source) -> float | None:
    """Return the newest time with a year in a log's last lines, in seconds since the epoch; None without one."""
    stamps = Timestamps(0.0)
    tail = source.content.ending(4_096).split("\n")[-20:]
    times = [time for line in tail if (time := stamps.find(line)) is not None]
    return max((time.seconds for time in times), default=None) if stamps.dated else None


def _plain(line: str) -> str:
    """Return a line without its carriage return and its colours."""
    line = line.rstrip("\r")
    return _COLOUR.sub("", line) if "\x1b" in line else line
