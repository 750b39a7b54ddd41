"""Reading a log: its lines become entries, whatever formats it mixes, and traces stay with what they explain."""

from __future__ import annotations

import re
from collections.abc import Iterator

from log_analyst.readers import levels
from log_analyst.readers.formats import PARSERS, Entry, Parser
from log_analyst.readers.sources import Source
from log_analyst.readers.timestamps import Timestamps

# What is behind this in a line is not read.
LINE_LIMIT = 65_536
_SAMPLED = 100
_COLOUR = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
# The line of a trace that names the exception: Python's last, Java's first and "Caused by:".
_FAULT = re.compile(
    r"(?:Caused by: |Exception in thread \"[^\"]*\" )?"
    r"([A-Za-z_][\w.$]*(?:Error|Exception|Warning|Panic|Interrupt|Exit|Fault|Failure|Timeout))(?=:|\s|$)"
)
_TRACE = re.compile(r"(?:Traceback \(most recent|panic: |Exception in thread |fatal error: |Unhandled )")


class Record:
    """An entry, where its lines stand in the log's text, and how many they are."""

    __slots__ = ("_level", "end", "entry", "lines", "start")

    def __init__(self, entry: Entry, start: int, end: int) -> None:
        self.entry = entry
        self.start = start
        self.end = end
        self.lines = 1
        self._level: int | None = None

    @property
    def level(self) -> int:
        """The entry's level, by its words where it has no other. They are read once: a text is long, traces many."""
        if self._level is None:
            known = self.entry.level
            self._level = known if known != levels.UNKNOWN else levels.level_in(self.entry.text)
        return self._level


class LogReader:
    """Reads one log. Iterating gives its records in order; the counters are complete when that is done.

    Every line is in a record or blank: the records' lines and `blank` add up to `lines`. A line without a
    time continues the entry before it when the log's other lines have times. `reference` is the moment, in
    seconds since the epoch, that times without a year are not after.
    """

    def __init__(self, source: Source, reference: float) -> None:
        self.lines = 0
        self.blank = 0
        self.cut = 0
        self._content = source.content
        self._stamps = Timestamps(reference)
        self.formats = self._sniffed()
        self.format = self.formats[0] if self.formats else "text without times"
        # Plain text takes whatever has a time, so it comes last.
        self._parsers: list[Parser] = [PARSERS[name] for name in self.formats if name != "plain text"]
        if self.formats:
            self._parsers.append(PARSERS["plain text"])

    def __iter__(self) -> Iterator[Record]:
        return (record for record in self.steps() if record is not None)

    def steps(self) -> Iterator[Record | None]:
        """The records, and None for each line that ends none: a record may have any number of lines."""
        record: Record | None = None
        fault = ""
        in_trace = False
        for start, end, text, cut in self._content.lines(LINE_LIMIT):
            self.lines += 1
            self.cut += cut
            line = _plain(text)
            if not line or line.isspace():
                self.blank += 1
                yield None
                continue
            entry = None if in_trace and line[0] in " \t" else self._parsed(line)
            continues = entry is None
            if entry is None:
                entry, continues = self._timeless(line, record)
            if continues and record is not None:
                record.lines += 1
                in_trace = True
                if (match := _FAULT.match(line)) is not None:
                    fault = match.group(1)
                yield None
                continue
            yield _with_fault(record, fault) if record is not None else None
            record = Record(entry, start, end)
            in_trace = bool(_TRACE.match(line))
            fault = ""
        if record is not None:
            yield _with_fault(record, fault)

    def _parsed(self, line: str) -> Entry | None:
        for parser in self._parsers:
            entry = parser(line, self._stamps)
            if entry is not None:
                return entry
        return None

    def _timeless(self, line: str, before: Record | None) -> tuple[Entry, bool]:
        """A line that no parser knows: an entry of its own, and whether it rather continues the one before."""
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
        if before is None:
            return entry, False
        if is_trace:
            # A trace behind a harmless line is not that line's: it was printed, not logged.
            return entry, before.level >= levels.WARNING
        if timed or line[0] in " \t":
            return entry, True
        return entry, before.lines > 1 and _FAULT.match(line) is not None

    def _sniffed(self) -> list[str]:
        """The formats of the log's first lines, the commonest first; none when its lines have no times."""
        votes: dict[str, int] = {}
        sampled = 0
        for _, _, text, _ in self._content.lines(LINE_LIMIT):
            line = _plain(text)
            if not line or line[0] in " \t":
                continue
            sampled += 1
            for name, parser in PARSERS.items():
                entry = parser(line, self._stamps)
                if entry is not None and (entry.time is not None or name == "JSON lines"):
                    votes[name] = votes.get(name, 0) + 1
                    break
            if sampled >= _SAMPLED:
                break
        if sum(votes.values()) < 0.05 * sampled:
            return []
        return sorted(votes, key=lambda name: -votes[name])


def example(source: Source, start: int, end: int, limit: int) -> str:
    """The first line of a record as a reader may see it: no colours, no control characters, at most `limit` long."""
    line = _COLOUR.sub("", source.content.read(start, min(end, start + 4 * limit)))
    line = "".join(c if c.isprintable() else " " for c in line).strip()
    return line if len(line) <= limit else line[: limit - 1] + "…"


def newest_dated(source: Source) -> float | None:
    """The newest time with a year in a log's last lines, in seconds since the epoch; None if there is none."""
    stamps = Timestamps(0.0)
    tail = source.content.ending(4_096).split("\n")[-20:]
    found = [time for line in tail if (time := stamps.find(line)) is not None]
    return max((time.seconds for time in found), default=None) if stamps.dated else None


def _plain(line: str) -> str:
    """A line without its carriage return and its colours."""
    line = line.rstrip("\r")
    return _COLOUR.sub("", line) if "\x1b" in line else line


def _with_fault(record: Record, fault: str) -> Record:
    entry = record.entry
    if fault and fault not in entry.text:
        record.entry = entry._replace(text=f"{entry.text[:600]} | {fault}")
    return record
