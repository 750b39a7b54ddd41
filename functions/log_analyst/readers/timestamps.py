"""Finds the time in a log line, in the formats of most loggers.

These are ISO 8601 (with or without a zone, period or comma before the fraction, slashes for dashes), the
common log format's `10/Oct/2000:13:55:36 -0700`, syslog's `Oct 11 22:14:15`, ctime's and Apache's
`Wed Oct 11 14:32:52.123 2000`, `02 Jan 2024 03:04:05`, `02-Jan-2024 03:04:05`, `02.01.2024 03:04:05`,
`01/02/2024 03:04:05 PM` (the other dates of the log tell whether the month comes first), `24/01/02 03:04:05`,
`240102 030405`, `20240102-3:04:05`, ISO's basic `20240102T030405Z`, glog's `I0102 03:04:05.123456`, logcat's
`01-02 03:04:05.123`, a time of day, and seconds, milli-, micro- or nanoseconds since the epoch, also behind a key.

A time without a zone is UTC. A time without a year gets the newest year in which it is at most a day after the
reference. The first time of day without a date is on the last day on which it is not after the reference and the log's
last time is not in the future; the day ends where the clock starts again.
"""

from __future__ import annotations

import re
import time
from calendar import timegm
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from triage.date_order import day_first
from triage.times import LATEST, epoch, iso
from triage.zones import ZONES, assumption

DAY = 86_400.0
EARLIEST = 0.0
# In characters. A time that starts later in a line is part of its text.
FURTHEST = 64
# In characters. A line whose time is this much further right than in the lines before is no entry of its own.
_SHIFT = 16

_MONTHS = {name: at + 1 for at, name in enumerate(re.findall("...", "janfebmaraprmayjunjulaugsepoctnovdec"))}
_MON = r"(?:[Jj]an|[Ff]eb|[Mm]ar|[Aa]pr|[Mm]ay|[Jj]un|[Jj]ul|[Aa]ug|[Ss]ep|[Oo]ct|[Nn]ov|[Dd]ec)"
_HMS = r"\d\d:\d\d:\d\d"
_FRACTION = r"(?:[.,](?P<f>\d{1,9}))?"
_ZONE = r"(?:(?P<z>Z|[+-]\d\d(?::?\d\d)?(?!\d))| ?(?P<zz>UTC|GMT|[+-]\d\d:?\d\d(?!\d)))?"

_NAMED_ZONE = rf" (?P<zz>{'|'.join(ZONES)})\b"
_ISO = r"(?<!\d)(?P<b>(?:19|20)\d\d[-/.]\d\d[-/.]\d\d(?:[T_ ]\d\d:\d\d(?::\d\d)?|-\d\d\.\d\d\.\d\d))"

# Of two that match at one place, the first counts.
_STYLES = {
    "zoned": rf"{_ISO}{_FRACTION}{_NAMED_ZONE}",
    "iso": rf"{_ISO}{_FRACTION}{_ZONE}",
    "clf": rf"(?P<b>\d\d/{_MON}/\d{{4}}:{_HMS}){_FRACTION}{_ZONE}",
    "ctime": rf"\b(?P<b>{_MON} [ \d]?\d {_HMS}(?:[.,]\d{{1,9}})?(?:{_NAMED_ZONE}| [A-Z]{{3,4}})? (?:19|20)\d\d)\b",
    "dated": rf"\b(?P<b>{_MON} [ \d]?\d,? (?:19|20)\d\d,? \d?\d:\d\d:\d\d){_FRACTION}{_ZONE}(?P<half> [AP]M\b)?",
    "syslog": rf"\b(?P<b>{_MON} [ \d]?\d {_HMS}){_FRACTION}",
    "day": rf"(?<!\d)(?P<b>\d\d?[ -]{_MON}[ -]\d{{4}} {_HMS}){_FRACTION}{_ZONE}",
    "slashed": rf"(?<![\d/])(?P<b>\d\d?/\d\d?/(?:19|20)\d\d,? \d\d?:\d\d(?::\d\d)?){_FRACTION}"
    r"(?P<half> ?[AaPp]\.?[Mm]\b\.?)?",
    "dotted": rf"(?<![\d.-])(?P<b>(?:\d\d?(?:\.\d\d?\.|-\d\d?-)(?:19|20)\d\d|\d\d\.\d\d\.\d\d(?= ))"
    rf"[T,]? ?\d\d?:\d\d(?::\d\d)?){_FRACTION}{_ZONE}",
    "short": rf"(?<![\d/])(?P<b>\d\d/\d\d/\d\d {_HMS}){_FRACTION}",
    "basic": rf"(?<!\d)(?P<b>(?:19|20)\d\d[01]\d[0-3]\dT[0-2]\d[0-5]\d[0-5]\d){_FRACTION}{_ZONE}",
    "glog": rf"(?<=^[IWEFD])(?P<b>[01]\d[0-3]\d {_HMS}){_FRACTION}",
    "logcat": rf"^\[?(?P<b>[01]\d[-.][0-3]\d {_HMS}){_FRACTION}",
    "dashed": r"^(?P<b>(?:19|20)\d{6}-\d\d?:\d\d?:\d\d?)(?!\d)",
    "compact": r"^(?P<b>\d{6} \d{6})(?!\d)",
    "epoch": r"(?:^(?:[A-Z-]{1,20} )?\[?|\b(?:ts|time|timestamp|epoch|date)[=:] ?\"?|\baudit\()"
    r"(?P<b>1\d{9}(?:\.\d{1,9})?|1\d{12}|1\d{15}|1\d{18})(?![\d.])",
}
_PATTERNS = [(style, re.compile(pattern)) for style, pattern in _STYLES.items()]
# A time of day may be part of any text, so it counts only at a line's start, and if the log has no other times.
_CLOCK = re.compile(rf"^\[?(?P<b>{_HMS})(?:[.,:](?P<f>\d{{1,9}}))?(?![\d:])")
_YEARLESS = frozenset(["syslog", "glog", "logcat", "clock"])
_SLASHED = re.compile(r"(?<![\d/])(\d\d?)/(\d\d?)/((?:19|20)\d\d),? \d")
# What follows a time that is part of a file's name: grep puts the name in front of each line.
_IN_NAME = re.compile(r"[\w.-]*\.(?:log|txt|out|err|json|jsonl|\d+)\b")
_SECONDS = re.compile(r"1\d{9}")
_COLUMNS = 10
_NUMBERS = re.compile(r"\d+")
_LETTERS = re.compile(r"[A-Za-z]{3}")


class TimeInLine(NamedTuple):
    """A time in seconds since the epoch, and its place in the line."""

    seconds: float
    start: int
    end: int


class Timestamps:
    """Finds the times in one file's lines. It learns their format and place, so that most lines cost one match.

    `reference` is the time, in seconds since the epoch, that times without a year are not after. `assumptions` say in
    words how ambiguous times were read.
    """

    def __init__(self, reference: float) -> None:
        self.reference = reference
        self.day_first: bool | None = None
        self.assumptions: dict[str, str] = {}
        self._learned: tuple[str, re.Pattern[str], int] | None = None
        self._fields: Timestamps | None = None
        self._midnight: float | None = None
        self._in_day = 0.0
        self._ends_at: float | None = None
        self._epochs: re.Pattern[str] | None = None

    def find(self, line: str) -> TimeInLine | None:
        """Return the time near the start of a line; None if the line is no entry of its own."""
        if self._learned is None:
            return self._search(line, FURTHEST)
        style, pattern, place = self._learned
        match = pattern.match(line, place)
        if match is not None:
            seconds = self._seconds(style, match)
            if seconds is not None:
                return TimeInLine(seconds, match.start("b"), match.end())
        return self._search(line, min(FURTHEST, place + _SHIFT))

    def look_ahead(self, lines: Sequence[str]) -> None:
        """Learn from the log's first and last lines what a single time does not tell.

        That is whether the day comes first in dates like 05/03/2024, and at what time of day the log ends.
        """
        dates = [match for line in lines if (match := _SLASHED.search(line, 0, FURTHEST + 48)) is not None]
        self.day_first = day_first([(int(m[1]), int(m[2]), int(m[3])) for m in dates])
        if dates and self.day_first is None:
            date = dates[0][0].rsplit(" ", 1)[0].rstrip(",")
            self.assumptions["order"] = f"nothing tells whether {date} has the month first, so it is read that way"
        clocks = (match for line in reversed(lines) if (match := _CLOCK.match(line)) is not None)
        if (last := next(clocks, None)) is not None:
            self._ends_at = _in_day(last["b"])
        rows = [line[: FURTHEST + 48].split()[:_COLUMNS] for line in lines if line[:1].strip()]
        for at in range(1, max(map(len, rows), default=0)):
            seconds = {row[at] for row in rows if len(row) > at and _SECONDS.fullmatch(row[at])}
            if len(seconds) > 2 and sum(len(row) > at and row[at] in seconds for row in rows) >= 0.95 * len(rows):
                self._epochs = re.compile(rf"^(?:\S+\s+){{{at}}}(?P<b>{_SECONDS.pattern})(?!\S)")
                break

    def restart(self) -> None:
        """Forget the day of times without a date, because the log is read again from its start."""
        self._midnight = None

    @property
    def dated(self) -> bool:
        """Whether the format of the last time has a year."""
        return self._learned is not None and self._learned[0] not in _YEARLESS

    def value(self, value: object) -> float | None:
        """Return the time in a field in seconds since the epoch, else None. Numbers may have any unit of `epoch`."""
        if isinstance(value, str):
            if value[:1].isdigit() and value.replace(".", "", 1).isdecimal() and len(value) <= 24:
                return epoch(float(value))
            # A field's times have another format and place than a line's, so they are learned separately.
            self._fields = self._fields or self._of_fields()
            timestamp = self._fields.find(value.strip())
            return timestamp.seconds if timestamp else None
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return epoch(value)
        return None

    def _of_fields(self) -> Timestamps:
        stamps = Timestamps(self.reference)
        stamps.day_first, stamps.assumptions = self.day_first, self.assumptions
        return stamps

    def _search(self, line: str, furthest: int) -> TimeInLine | None:
        best: tuple[TimeInLine, str, re.Pattern[str]] | None = None
        for style, pattern in _PATTERNS:
            match = pattern.search(line, 0, furthest + 48)
            if match is not None and _IN_NAME.match(line, match.end(), match.end() + 48):
                match = pattern.search(line, match.end(), furthest + 48)
            if match is None or match.start() > furthest or (best and match.start() >= best[0].start):
                continue
            seconds = self._seconds(style, match)
            if seconds is not None:
                best = (TimeInLine(seconds, match.start(), match.end()), style, pattern)
        if best is None:
            return self._time_of_day(line)
        found, style, pattern = best
        if style == "zoned" and (ambiguous := assumption(line[: found.end].rsplit(" ", 1)[1])):
            self.assumptions["zone"] = ambiguous
        self._learned = (style, pattern, found.start)
        return found

    def _time_of_day(self, line: str) -> TimeInLine | None:
        if self._epochs is not None:
            match = self._epochs.match(line)
            if match is None:
                return None
            self._learned = ("epoch", self._epochs, 0)
            return TimeInLine(float(match["b"]), match.start("b"), match.end("b"))
        if self._learned is not None and self._learned[0] != "clock":
            return None
        match = _CLOCK.match(line)
        seconds = self._seconds("clock", match) if match is not None else None
        if match is None or seconds is None:
            return None
        self._learned = ("clock", _CLOCK, 0)
        return TimeInLine(seconds, match.start(), match.end())

    def _seconds(self, style: str, match: re.Match[str]) -> float | None:
        base = match["b"]
        if style == "epoch":
            return epoch(float(base))
        groups = match.groupdict() if match.re.groups > 1 else {}
        if style == "clock":
            whole = self._on_its_day(base)
        else:
            if style == "slashed":
                style = "day first" if self.day_first else "month first"
            if half := groups.get("half"):
                base += half.strip().lower()[:1]
            whole = _whole(style, base, groups.get("z") or groups.get("zz"), self.reference)
        fraction = groups.get("f")
        if whole is None or not fraction:
            return whole
        return whole + float(f"0.{fraction}")

    def _on_its_day(self, clock: str) -> float | None:
        in_day = _in_day(clock)
        if in_day is None:
            return None
        if self._midnight is None:
            self._midnight = self._first_day(in_day)
            day = iso(max(self._midnight, 0.0))[:10]
            self.assumptions["day"] = f"the times have no date; the first is taken to be on {day}"
        elif in_day < self._in_day - DAY / 2:
            self._midnight += DAY
        elif in_day > self._in_day + DAY / 2:
            return self._midnight - DAY + in_day  # a line from before midnight that came late
        self._in_day = in_day
        seconds = self._midnight + in_day
        return seconds if seconds >= EARLIEST else None

    def _first_day(self, first: float) -> float:
        """Return the last day on which the first time is not after the reference, and the last not in the future."""
        midnight = self.reference // DAY * DAY
        if midnight + first > self.reference:
            midnight -= DAY
        last = first if self._ends_at is None else self._ends_at
        end = midnight + last + (DAY if last < first else 0.0)
        return midnight - DAY if end > max(self.reference, time.time()) else midnight


@lru_cache(maxsize=65_536)
def _whole(style: str, base: str, zone: str | None, reference: float) -> float | None:
    """Return a written time in seconds since the epoch; cached, because the lines of one second share it."""
    numbers = [int(text) for text in _NUMBERS.findall(base)]
    year: int | None
    if style in ("iso", "zoned"):
        year, month, day, *clock = numbers
    elif style == "basic":
        year, month, day = int(base[:4]), int(base[4:6]), int(base[6:8])
        clock = [int(base[9:11]), int(base[11:13]), int(base[13:15])]
    elif style == "dashed":
        year, month, day, clock = int(base[:4]), int(base[4:6]), int(base[6:8]), numbers[1:]
    elif style == "compact":
        year, month, day = 2000 + int(base[:2]), int(base[2:4]), int(base[4:6])
        clock = [int(base[7:9]), int(base[9:11]), int(base[11:13])]
    elif style in ("clf", "day"):
        day, year, *clock = numbers
        month = _month(base)
    elif style == "ctime":
        # There may be a fraction between the clock and the year.
        day, *clock, year = numbers
        month, clock = _month(base), clock[:3]
    elif style == "dated":
        day, year, *clock = numbers
        month = _month(base)
    elif style == "syslog":
        day, *clock = numbers
        year, month = None, _month(base)
    elif style in ("month first", "day first", "dotted"):
        first, second, year, *clock = numbers
        # By convention the day comes first between periods or dashes.
        month, day = (first, second) if style == "month first" else (second, first)
        if month > 12:
            month, day = day, month
        year += 2000 if year < 100 else 0
    elif style == "short":
        year, month, day, *clock = numbers
        year += 2000
    elif style == "glog":
        month, day, clock, year = int(base[:2]), int(base[2:4]), numbers[1:], None
    else:
        month, day, *clock = numbers
        year = None
    hour, minute, second = (*clock, 0)[:3]
    if base[-1] in "ap":
        hour = hour % 12 + (12 if base[-1] == "p" else 0)
    if not (1 <= month <= 12 and 1 <= day <= 31 and hour < 24 and minute < 60 and second <= 60):
        return None
    in_day = hour * 3600 + minute * 60 + min(second, 59) - _offset(zone)
    if year is None:
        return _yearless(month, day, in_day, reference)
    return _moment(year, month, day, in_day)


def _in_day(clock: str) -> float | None:
    """Return `03:04:05` in seconds since midnight; None if there is no such time."""
    hour, minute, second = int(clock[:2]), int(clock[3:5]), int(clock[6:8])
    return hour * 3600.0 + minute * 60 + min(second, 59) if hour < 24 and minute < 60 and second <= 60 else None


def _month(base: str) -> int:
    name = _LETTERS.search(base)
    return _MONTHS[name.group().lower()] if name else 0


def _moment(year: int, month: int, day: int, in_day: int) -> float | None:
    if day > 28 and day > _days_in(year, month):
        return None
    seconds = float(timegm((year, month, day, 0, 0, 0)) + in_day)
    return seconds if EARLIEST <= seconds < LATEST else None


def _yearless(month: int, day: int, in_day: int, reference: float) -> float | None:
    newest = 1970 + int(reference // (365.2425 * DAY)) + 1
    # Nine years back, because 29 February may be eight years away (around 1900 and 2100).
    for year in range(newest, newest - 10, -1):
        seconds = _moment(year, month, day, in_day)
        if seconds is not None and seconds <= reference + DAY:
            return seconds
    return None


def _days_in(year: int, month: int) -> int:
    if month == 2:
        return 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28
    return 30 if month in (4, 6, 9, 11) else 31


def _offset(zone: str | None) -> int:
    if not zone or zone == "Z":
        return 0
    if zone[0] not in "+-":
        return round(ZONES[zone] * 3600)
    digits = zone[1:].replace(":", "").ljust(4, "0")
    offset = int(digits[:2]) * 3600 + int(digits[2:4]) * 60
    return offset if zone[0] == "+" else -offset
