"""The log formats: a parser for each turns one line into an entry, or returns None if it has another format."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from log_analyst.readers import levels
from log_analyst.readers.jsonlines import fields_of
from log_analyst.readers.masking import METHODS
from log_analyst.readers.timestamps import Timestamps


class Entry(NamedTuple):
    """The content of one line and of the lines that continue it.

    `time` is in seconds since the epoch, None if the line has none. `level` is UNKNOWN if only the words can tell.
    Templates are made of `text`; for a request in an access log (`access`) it is `METHOD path status`.
    """

    time: float | None
    level: int
    text: str
    access: bool = False


Parser = Callable[[str, Timestamps], Entry | None]

_ACCESS = re.compile(
    r"\S+ \S+ .{0,200}?\[(?P<time>\d\d/[A-Z][a-z]{2}/\d{4}:[^\]]{8,24})\] "
    r"\"(?P<request>(?:[^\"\\]|\\.)*)\" (?P<status>\d{3}) (?:\d+|-)(?= |$)"
)
_NGINX_ERROR = re.compile(
    r"(?P<time>\d{4}/\d\d/\d\d \d\d:\d\d:\d\d) \[(?P<level>[a-z]+)\] \d+#\d+: (?:\*\d+ )?(?P<text>.*)"
)
_APACHE_ERROR = re.compile(
    r"\[(?P<time>[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d [\d:.]+ \d{4})\] \[(?:(?P<module>[\w-]*):)?(?P<level>[a-z]+\d?)\] "
    r"(?:\[pid [^\]]*\] )?(?:\[client [^\]]*\] )?(?P<text>.*)"
)
_SYSLOG_5424 = re.compile(
    r"<(?P<pri>\d{1,3})>1 (?P<time>\S+) \S+ (?P<app>\S+) \S+ \S+ (?:-|(?:\[(?:[^\]\"]|\"(?:[^\"\\]|\\.)*\")*\])+)"
    r"(?: (?P<text>.*))?$"
)
_SYSLOG_3164 = re.compile(
    r"(?:<(?P<pri>\d{1,3})>)?"
    r"(?P<time>[A-Z][a-z]{2} [ \d]\d (?:\d{4} )?\d\d:\d\d:\d\d(?:\.\d+)?"
    r"|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d))"
    r" [\w.:-]+ (?P<app>[^\s:\[][^:\[]{0,47})(?:\[\d+\])?: (?P<text>.*)"
)
_PUNCTUATION = " \t-:|,;[]"


def access(line: str, stamps: Timestamps) -> Entry | None:
    """Parse an access log of nginx or Apache: common or combined format, also with more fields at the end."""
    match = _ACCESS.match(line)
    if match is None:
        return None
    stamp, request, status = match.group("time", "request", "status")
    time = stamps.value(stamp)
    if time is None:
        return None
    return request_entry(time, request, int(status))


def request_entry(time: float | None, request: str, status: int) -> Entry:
    """Return the entry of an HTTP request. `request` is `METHOD path protocol`, or what a client sent instead."""
    method, _, rest = request.partition(" ")
    path = rest.split(" ", 1)[0]
    if method in METHODS and path:
        return Entry(time, levels.of_status(status), f"{method} {path} {status}", True)
    return Entry(time, levels.of_status(status), f"(no HTTP request) {status}", True)


def nginx_error(line: str, stamps: Timestamps) -> Entry | None:
    """Parse nginx's error log. The text from `, client:` on names the request, not the error, so it is left out."""
    match = _NGINX_ERROR.match(line)
    if match is None:
        return None
    stamp, level, text = match.groups()
    return _named(stamps.value(stamp), levels.level_of(level), text.split(", client: ", 1)[0])


def apache_error(line: str, stamps: Timestamps) -> Entry | None:
    """Parse Apache's error log, 2.2 and 2.4."""
    match = _APACHE_ERROR.match(line)
    if match is None:
        return None
    stamp, module, level, text = match.groups()
    return _named(stamps.value(stamp), levels.level_of(level), f"{module}: {text}" if module else text)


def syslog_5424(line: str, stamps: Timestamps) -> Entry | None:
    """Parse syslog as in RFC 5424."""
    match = _SYSLOG_5424.match(line)
    if match is None:
        return None
    pri, stamp, app, text = match.groups()
    return _named(stamps.value(stamp), levels.of_syslog(int(pri)), f"{app}: {(text or '').lstrip(chr(0xFEFF))}")


def syslog_3164(line: str, stamps: Timestamps) -> Entry | None:
    """Parse syslog as in RFC 3164, and as files have it: without a priority, or with an ISO time."""
    match = _SYSLOG_3164.match(line)
    if match is None:
        return None
    pri, stamp, app, text = match.groups()
    time = stamps.value(stamp)
    if time is None:
        return None
    if pri is None:
        return Entry(time, levels.UNKNOWN, f"{app}: {text}")
    return _named(time, levels.of_syslog(int(pri)), f"{app}: {text}")


def json_line(line: str, stamps: Timestamps) -> Entry | None:
    """Parse a JSON object: its time, level and message by the names that loggers use."""
    if not line.startswith("{"):
        return None
    fields = fields_of(line)
    if fields is None:
        return None
    time = stamps.value(fields.time)
    if fields.request is not None and fields.status is not None:
        return request_entry(time, fields.request, fields.status)
    level = levels.level_of(fields.level)
    if time is None or level == levels.UNKNOWN:
        # Docker's json-file and CloudWatch's events wrap a line that has its own time and level.
        inner = stamps.find(fields.text) if time is None else None
        time = inner.seconds if inner else time
        return Entry(time, level, fields.text)
    return _named(time, level, fields.text)


def plain(line: str, stamps: Timestamps) -> Entry | None:
    """Parse any line with a time near its start; the text is the line without the time."""
    timestamp = stamps.find(line)
    if timestamp is None:
        return None
    before = line[: timestamp.start].rstrip(" \t[(<\"'")
    text = line[timestamp.end :].lstrip(_PUNCTUATION + ")>\"'")
    return Entry(timestamp.seconds, levels.UNKNOWN, f"{before} {text}" if before else text)


PARSERS: dict[str, Parser] = {
    "access log": access,
    "nginx error log": nginx_error,
    "Apache error log": apache_error,
    "syslog (RFC 5424)": syslog_5424,
    "syslog": syslog_3164,
    "JSON lines": json_line,
    "plain text": plain,
}


def _named(time: float | None, level: int, text: str) -> Entry | None:
    """Return an entry whose level is not in its text; the level's name is put in front, so that templates show it."""
    if time is None:
        return None
    if level == levels.UNKNOWN:
        return Entry(time, level, text)
    return Entry(time, level, f"{levels.NAMES[level]} {text}")
