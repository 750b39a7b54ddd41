"""Reads times as people and programs write them: in a log's lines (`Timestamps`), and alone (`time_in`).

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
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from triage.cells import number_of
from triage.date_order import dates_in, day_first
from triage.times import LATEST, epoch, iso
from triage.zones import ZONES, assumption

DAY = 86_400.0
# In characters. A time that starts later in a line is part of its text.
FURTHEST = 64
# In characters. A line whose time is this much further right than in the lines before is no entry of its own.
_SHIFT = 16

_MONTHS = {name: at + 1 for at, name in enumerate(re.findall("...", "janfebmaraprmayjunjulaugsepoctnovdec"))}
_YEAR, _DAY = r"(?P<year>(?:19|20)\d\d)", r"(?P<day>[ \d]?\d)"
_MON = r"(?P<name>[Jj]an|[Ff]eb|[Mm]ar|[Aa]pr|[Mm]ay|[Jj]un|[Jj]ul|[Aa]ug|[Ss]ep|[Oo]ct|[Nn]ov|[Dd]ec)"
_MMDD = r"(?P<month>[01]\d)(?P<day>[0-3]\d)"
_HMS = r"(?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)"
_HM = r"(?P<hour>\d\d?):(?P<minute>\d\d)(?::(?P<second>\d\d))?"
_PACKED = r"(?P<hour>[0-2]\d)(?P<minute>[0-5]\d)(?P<second>[0-5]\d)"
_FRACTION = r"(?:[.,](?P<fraction>\d{1,9}))?"
_ZONE = (
    r"(?P<zone>Z|[+-]\d\d(?::?\d\d)?(?!\d)| ?(?:UTC|GMT|[+-]\d\d:?\d\d(?!\d))"
    rf"| (?:{'|'.join(ZONES)})\b)?"
)
# JavaScript has a narrow space before AM.
_HALF = r"(?P<half>[ \u00a0\u202f]?[AaPp]\.?[Mm]\b\.?)?"
# German dates have periods too, and "am" is a word of German.
_HALF_APART = r"(?P<half>[ \u00a0\u202f]?(?:[AP]M\b|[AaPp]\.[Mm]\.|pm\b|am$))?"
# Between a date and a time of day. An hour may be padded with a space.
_GAP = r"(?:T|,? {1,2}|,)"
_ISO = rf"(?<!\d)(?P<b>{_YEAR}[-/.](?P<month>\d\d)[-/.](?P<day>\d\d)"

# Each has the whole time in `b`, and its parts by name. Of two that match at one place, the first counts.
_STYLES = {
    "iso": rf"{_ISO}[T_ ](?P<hour>\d\d):(?P<minute>\d\d)(?::(?P<second>\d\d))?){_FRACTION}{_ZONE}",
    "db2": rf"{_ISO}-(?P<hour>\d\d)\.(?P<minute>\d\d)\.(?P<second>\d\d)){_FRACTION}{_ZONE}",
    "clf": rf"(?P<b>(?P<day>\d\d)/{_MON}/(?P<year>\d{{4}}):{_HMS}){_FRACTION}{_ZONE}",
    "ctime": rf"\b(?P<b>{_MON} {_DAY} {_HMS}{_FRACTION}(?P<zone> [A-Z]{{3,4}})? {_YEAR})\b",
    "dated": rf"\b(?P<b>{_MON} {_DAY},? {_YEAR},? {_HM}){_FRACTION}{_ZONE}{_HALF}",
    "syslog": rf"\b(?P<b>{_MON} {_DAY} {_HMS}){_FRACTION}",
    "day": rf"(?<!\d)(?P<b>(?P<day>\d\d?)[ -]{_MON}[ -](?P<year>\d{{4}}) {_HMS}){_FRACTION}{_ZONE}",
    "slashed": rf"(?<![\d/])(?P<b>(?P<month>\d\d?)/(?P<day>\d\d?)/{_YEAR}{_GAP}{_HM}){_FRACTION}{_HALF}{_ZONE}",
    "dotted": r"(?<![\d.-])(?P<b>(?P<day>\d\d?)(?P<mark>[.-])(?P<month>\d\d?)(?P=mark)"
    rf"(?P<year>(?:19|20)\d\d|(?<=\d\d\.\d\d\.)\d\d(?= )){_GAP}{_HM}){_FRACTION}{_HALF_APART}{_ZONE}",
    "short": rf"(?<![\d/])(?P<b>(?P<year>\d\d)/(?P<month>\d\d)/(?P<day>\d\d) {_HMS}){_FRACTION}",
    "basic": rf"(?<!\d)(?P<b>{_YEAR}{_MMDD}T{_PACKED}){_FRACTION}{_ZONE}",
    "glog": rf"(?<=^[IWEFD])(?P<b>{_MMDD} {_HMS}){_FRACTION}",
    "logcat": rf"^\[?(?P<b>(?P<month>[01]\d)[-.](?P<day>[0-3]\d) {_HMS}){_FRACTION}",
    "dashed": rf"^(?P<b>{_YEAR}{_MMDD}-(?P<hour>\d\d?):(?P<minute>\d\d?):(?P<second>\d\d?))(?!\d)",
    "compact": rf"^(?P<b>(?P<year>\d\d){_MMDD} {_PACKED})(?!\d)",
    "epoch": r"(?:^(?:[A-Z-]{1,20} )?\[?|\b(?:ts|time|timestamp|epoch|date)[=:] ?\"?|\baudit\()"
    r"(?P<b>1\d{9}(?:\.\d{1,9})?|1\d{12}|1\d{15}|1\d{18})(?![\d.])",
}


class _Style(NamedTuple):
    """A way to write times."""

    name: str
    pattern: re.Pattern[str]


_ALL = [_Style(name, re.compile(pattern)) for name, pattern in _STYLES.items()]
# A time of day may be part of any text, so it counts only at a line's start, and if the log has no other times.
_CLOCK = _Style("clock", re.compile(rf"^\[?(?P<b>{_HMS})(?:[.,:](?P<fraction>\d{{1,9}}))?(?![\d:])"))
_YEARLESS = frozenset(["syslog", "glog", "logcat", "clock"])
# What a text may be that is nothing but a time. Two digits of a year may be a day.
_ALONE = [style for style in _ALL if style.name in ("iso", "clf", "ctime", "dated", "day", "slashed", "dotted")]
# Python reads 20260131-0042 too, which is rather the 42nd build of a day.
_ISO_ALONE = re.compile(r"\d{4}[-/]\d\d[-/]\d\d(?:[T_ ].*)?|\d{8}T.*")
_WEEKDAY = re.compile(r"^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,? ")
# What follows a time that is part of a file's name: grep puts the name in front of each line.
_IN_NAME = re.compile(r"[\w.-]*\.(?:log|txt|out|err|json|jsonl|\d+)\b")
_SECONDS = re.compile(r"1\d{9}")
_COLUMNS = 10
_TAIL = 48  # characters in which a time at a line's end stands


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
        self._learned: tuple[_Style, int] | None = None
        self._last: tuple[dict[str, str | None], float | None] = ({}, None)
        self._fields: Timestamps | None = None
        self._midnight: float | None = None
        self._in_day = 0.0
        self._ends_at: float | None = None
        self._epochs: _Style | None = None
        self._at_end: _Style | None = None

    def find(self, line: str) -> TimeInLine | None:
        """Return the time near the start of a line; None if the line is no entry of its own."""
        if self._learned is None:
            return self._search(line, FURTHEST)
        style, place = self._learned
        match = style.pattern.match(line, place)
        if match is not None:
            seconds = self._seconds(style, match)
            if seconds is not None:
                return TimeInLine(seconds, match.start("b"), match.end())
        return self._search(line, min(FURTHEST, place + _SHIFT))

    def look_ahead(self, lines: Sequence[str]) -> None:
        """Learn from the log's first and last lines what a single time does not tell.

        That is whether the day comes first in dates like 05/03/2024, at what time of day the log ends, and whether
        nearly all lines have seconds since the epoch in one column, or a time at their end.
        """
        dates = dates_in(line[: FURTHEST + 48] for line in lines)
        self.day_first = day_first(dates)
        if dates and self.day_first is None:
            date = "{:02}/{:02}/{}".format(*dates[0])
            self.assumptions["order"] = f"nothing tells whether {date} has the month first, so it is read that way"
        clocks = (match for line in reversed(lines) if (match := _CLOCK.pattern.match(line)) is not None)
        if (last := next(clocks, None)) is not None:
            self._ends_at = _in_day(last.groupdict())
        filled = [line for line in lines if line[:1].strip()]
        rows = [line[: FURTHEST + 48].split()[:_COLUMNS] for line in filled]
        for at in range(1, max(map(len, rows), default=0)):
            seconds = {row[at] for row in rows if len(row) > at and _SECONDS.fullmatch(row[at])}
            if len(seconds) > 2 and sum(len(row) > at and row[at] in seconds for row in rows) >= 0.95 * len(rows):
                self._epochs = _Style("epoch", re.compile(rf"^(?:\S+\s+){{{at}}}(?P<b>{_SECONDS.pattern})(?!\S)"))
                break
        for style in _ALL:
            at_end = _Style(style.name, re.compile(rf"(?:{style.pattern.pattern})[\])>\"']?\s*$"))
            found = (
                sum(at_end.pattern.search(line, max(len(line) - _TAIL, 0)) is not None for line in some) / len(some)
                for some in (filled[:20], filled)
            )
            if len(filled) > 2 and all(share >= 0.95 for share in found):
                self._at_end = at_end
                break

    def restart(self) -> None:
        """Forget the day of times without a date, because the log is read again from its start."""
        self._midnight = None

    @property
    def dated(self) -> bool:
        """Whether the format of the last time has a year."""
        return self._learned is not None and self._learned[0].name not in _YEARLESS

    def value(self, value: object) -> float | None:
        """Return the time in a field in seconds since the epoch, else None. Numbers may have any unit of `epoch`."""
        if isinstance(value, str):
            if value[:1].isdigit() and value.replace(".", "", 1).isdecimal() and len(value) <= 24:
                return epoch(float(value))
            # A field's times have another format and place than a line's, so they are learned separately.
            if self._fields is None:
                self._fields = Timestamps(self.reference)
                self._fields.day_first, self._fields.assumptions = self.day_first, self.assumptions
            timestamp = self._fields.find(value.strip())
            return timestamp.seconds if timestamp else None
        return time_in(value)

    def _search(self, line: str, furthest: int) -> TimeInLine | None:
        best: tuple[TimeInLine, _Style] | None = None
        for style in _ALL:
            match = style.pattern.search(line, 0, furthest + 48)
            if match is not None and _IN_NAME.match(line, match.end(), match.end() + 48):
                match = style.pattern.search(line, match.end(), furthest + 48)
            if match is None or match.start() > furthest or (best and match.start() >= best[0].start):
                continue
            seconds = self._seconds(style, match)
            if seconds is not None:
                best = (TimeInLine(seconds, match.start(), match.end()), style)
        if best is None:
            return self._elsewhere(line)
        found, style = best
        self._learned = (style, found.start)
        return found

    def _elsewhere(self, line: str) -> TimeInLine | None:
        """Return the time at the line's end, the seconds in one column, or the time of day at the line's start."""
        style = self._at_end
        if style is not None and (match := style.pattern.search(line, max(len(line) - _TAIL, 0))) is not None:
            seconds = self._seconds(style, match)
            return TimeInLine(seconds, match.start("b"), len(line)) if seconds is not None else None
        style = self._epochs or _CLOCK
        if style is _CLOCK and self._learned is not None and self._learned[0] is not _CLOCK:
            return None
        match = style.pattern.match(line)
        seconds = self._seconds(style, match) if match is not None else None
        if match is None or seconds is None:
            return None
        self._learned = (style, 0)
        return TimeInLine(seconds, match.start("b"), match.end())

    def _seconds(self, style: _Style, match: re.Match[str]) -> float | None:
        parts = match.groupdict()
        fraction = parts.pop("fraction", None)  # it always varies
        known, whole = self._last
        if parts != known or style is _CLOCK:
            whole = self._whole(style.name, parts)
            self._last = (parts, whole)
        return whole + float(f"0.{fraction}") if whole is not None and fraction else whole

    def _whole(self, style: str, parts: dict[str, str | None]) -> float | None:
        """Return a written time in seconds since the epoch, without its fraction; None if there is no such time."""
        if style == "epoch":
            return epoch(float(parts["b"] or ""))
        if style == "clock":
            return None if (in_day := _in_day(parts)) is None else self._on_its_day(in_day)
        if ambiguous := assumption((parts.get("zone") or "").strip()):
            self.assumptions["zone"] = ambiguous
        return _on_a_date(style, parts, self.day_first, self.reference)

    def _on_its_day(self, in_day: float) -> float | None:
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
        return seconds if seconds >= 0 else None

    def _first_day(self, first: float) -> float:
        """Return the last day on which the first time is not after the reference, and the last not in the future."""
        midnight = self.reference // DAY * DAY
        if midnight + first > self.reference:
            midnight -= DAY
        last = first if self._ends_at is None else self._ends_at
        end = midnight + last + (DAY if last < first else 0.0)
        return midnight - DAY if end > max(self.reference, time.time()) else midnight


def time_in(value: object, day_first: bool | None = None) -> float | None:
    """Return the time in a number as `epoch` does, or the one that a text is, also a date alone; None if it is none.

    `day_first` is about dates like 01/02/2026.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return epoch(value)
    text = str(value).strip().strip('"')
    if not 8 <= len(text) <= 40:
        return None
    if (number := number_of(text)) is not None:
        return epoch(number)
    if _ISO_ALONE.fullmatch(text):
        try:
            moment = datetime.fromisoformat(text.replace("/", "-"))
            seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
            return seconds if 0 <= seconds < LATEST else None
        except (ValueError, OverflowError):
            pass
    text = _WEEKDAY.sub("", text)
    text = text if ":" in text else f"{text} 00:00"
    for style in _ALONE:
        if (match := style.pattern.fullmatch(text)) is not None:
            whole = _on_a_date(style.name, match.groupdict(), day_first)
            return whole + float(f"0.{match['fraction']}") if whole is not None and match["fraction"] else whole
    return None


def _on_a_date(
    style: str, parts: Mapping[str, str | None], day_first: bool | None, reference: float = 0.0
) -> float | None:
    """Return a written date and time in seconds since the epoch, without its fraction; None if there is no such time.

    A date without a year is not after the `reference`.
    """
    in_day = _in_day(parts)
    if in_day is None:
        return None
    in_day -= _offset((parts.get("zone") or "").strip())
    day = int(parts["day"] or 0)
    month = _MONTHS[name.lower()] if (name := parts.get("name")) else int(parts["month"] or 0)
    # By convention the day comes first between periods or dashes.
    if (style == "slashed" and day_first) or (style in ("slashed", "dotted") and month > 12):
        day, month = month, day
    if (year := parts.get("year")) is None:
        return _yearless(month, day, in_day, reference)
    return _moment(int(year) + (2000 if len(year) == 2 else 0), month, day, in_day)


def _in_day(parts: Mapping[str, str | None]) -> float | None:
    """Return the hour, minute and second in seconds since midnight; None if there is no such time."""
    hour, minute, second = int(parts["hour"] or 0), int(parts["minute"] or 0), int(parts["second"] or 0)
    if half := (parts.get("half") or "").strip().lower():
        hour = hour % 12 + (12 if half[0] == "p" else 0)
    return hour * 3600.0 + minute * 60 + min(second, 59) if hour < 24 and minute < 60 and second <= 60 else None


def _moment(year: int, month: int, day: int, in_day: float) -> float | None:
    try:
        seconds = datetime(year, month, day, tzinfo=UTC).timestamp() + in_day
    except ValueError:
        return None
    return seconds if 0 <= seconds < LATEST else None


def _yearless(month: int, day: int, in_day: float, reference: float) -> float | None:
    newest = 1970 + int(reference // (365.2425 * DAY)) + 1
    # Nine years back, because 29 February may be eight years away (around 1900 and 2100).
    for year in range(newest, newest - 10, -1):
        seconds = _moment(year, month, day, in_day)
        if seconds is not None and seconds <= reference + DAY:
            return seconds
    return None


def _offset(zone: str) -> float:
    """Return how many seconds east of UTC a zone is: `Z`, `+02:00` or a name; 0 if it is not known."""
    if zone[:1] not in ("+", "-"):
        return ZONES.get(zone, 0) * 3600
    digits = zone[1:].replace(":", "").ljust(4, "0")
    offset = int(digits[:2]) * 3600 + int(digits[2:4]) * 60
    return offset if zone[0] == "+" else -offset
