"""The log formats: a parser for each turns one line into an entry, or returns None if it has another format."""

from __future__ import annotations

import re
from collections.abc import Callable

from log_analyst.readers import levels
from log_analyst.readers.entry import Entry, named, request_entry
from log_analyst.readers.jsonlines import json_behind_prefix, json_line
from log_analyst.readers.logfmt import logfmt
from log_analyst.readers.request_lines import request_line
from log_analyst.readers.timestamps import Timestamps
from log_analyst.readers.w3c import W3cLog

Parser = Callable[[str, Timestamps], Entry | None]

_ACCESS = re.compile(
    r"(?P<first>\S+) (?P<second>\S+) .{0,200}?\[(?P<time>\d\d/[A-Z][a-z]{2}/\d{4}:[^\]]{8,24})\] "
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
    r"<(?P<pri>\d{1,3})>1 (?P<time>\S+) (?P<host>\S+) (?P<app>\S+) \S+ \S+ "
    r"(?:-|(?:\[(?:[^\]\"]|\"(?:[^\"\\]|\\.)*\")*\])+)(?: (?P<text>.*))?$"
)
# In "ERROR pool is full: 20 of 20" and "Caused by: …" no host is meant.
_NO_HOSTS = frozenset(["Caused", *(each for w in levels.WORDS for each in (w, w.upper(), w.capitalize()))])
_SYSLOG_3164 = re.compile(
    r"(?:<(?P<pri>\d{1,3})>)?"
    r"(?P<time>[A-Z][a-z]{2} [ \d]\d (?:\d{4} )?\d\d:\d\d:\d\d(?:\.\d+)?"
    r"|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d))"
    # Only a name before a process id has spaces in it.
    r" (?P<host>[\w.:-]+) "
    r"(?:(?P<app>[^\s:\[]{1,48})(?P<pid>\[\d+\])?|(?P<spaced>[^\s:\[][^:\[]{0,47})\[\d+\]): (?P<text>.*)"
)
_PUNCTUATION = " \t-:|,;]"


def access(line: str, stamps: Timestamps) -> Entry | None:
    """Parse an access log of nginx or Apache: common or combined format, also with more fields at the end."""
    match = _ACCESS.match(line)
    if match is None:
        return None
    first, second, stamp, request, status = match.groups()
    time = stamps.value(stamp)
    if time is None:
        return None
    # The name of a virtual host may stand before the caller, who has no identity after it (-).
    return request_entry(time, request, int(status), first if second == "-" else second)


def nginx_error(line: str, stamps: Timestamps) -> Entry | None:
    """Parse nginx's error log. The text from `, client:` on names the request, not the error, so it is left out."""
    match = _NGINX_ERROR.match(line)
    if match is None:
        return None
    stamp, level, text = match.groups()
    return named(stamps.value(stamp), levels.level_of(level), text.split(", client: ", 1)[0])


def apache_error(line: str, stamps: Timestamps) -> Entry | None:
    """Parse Apache's error log, 2.2 and 2.4."""
    match = _APACHE_ERROR.match(line)
    if match is None:
        return None
    stamp, module, level, text = match.groups()
    return named(stamps.value(stamp), levels.level_of(level), text, module)


def syslog_5424(line: str, stamps: Timestamps) -> Entry | None:
    """Parse syslog as in RFC 5424."""
    match = _SYSLOG_5424.match(line)
    if match is None:
        return None
    pri, stamp, host, app, text = match.groups()
    return named(stamps.value(stamp), levels.of_syslog(int(pri)), (text or "").lstrip("\ufeff"), app, host)


def syslog_3164(line: str, stamps: Timestamps) -> Entry | None:
    """Parse syslog as in RFC 3164, and as files have it: without a priority, or with an ISO time."""
    match = _SYSLOG_3164.match(line)
    if match is None:
        return None
    pri, stamp, host, name, pid, spaced, text = match.groups()
    app = name or spaced
    # "2025-07-07T18:00:07Z Timeout reached: 30 s" has no host either: only a syslog has times without a year.
    is_sentence = stamp[0].isdigit() and not (pri or pid or spaced) and host.isalpha()
    time = None if is_sentence or host in _NO_HOSTS else stamps.value(stamp)
    if time is None:
        return None
    return named(time, levels.UNKNOWN if pri is None else levels.of_syslog(int(pri)), text, app, host)


def plain(line: str, stamps: Timestamps) -> Entry | None:
    """Parse any line with a time near its start; the text is the line without the time."""
    timestamp = stamps.find(line)
    if timestamp is None:
        return None
    before = line[: timestamp.start].rstrip(" \t[(<\"'")
    text = line[timestamp.end :].lstrip(_PUNCTUATION + ")>\"'")
    if not before:
        return Entry(timestamp.seconds, levels.UNKNOWN, text)
    # What is before the time is no part of the message. A level is left to be found.
    header = 0 if len(before) == 1 or levels.of_word(before) != levels.UNKNOWN else len(before) + 1
    return Entry(timestamp.seconds, levels.UNKNOWN, f"{before} {text}", header=header)


def parsers() -> dict[str, Parser]:
    """Return the parsers of one log, by the name of their format. They may keep what they learn about it.

    Where several can read a line, the first one counts: the plain text parser takes any line with a time.
    """
    return {
        "W3C access log": W3cLog(),
        "access log": access,
        "other access log": request_line,
        "nginx error log": nginx_error,
        "Apache error log": apache_error,
        "JSON behind a prefix": json_behind_prefix,
        "logfmt": logfmt,
        "syslog (RFC 5424)": syslog_5424,
        "syslog": syslog_3164,
        "JSON lines": json_line,
        "plain text": plain,
    }
