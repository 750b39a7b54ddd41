"""The log formats: a parser for each turns one line into an entry, or returns None if it has another format.

Formats with a layout of their own are a table of patterns. Their groups are the fields of an entry: `pri` is a syslog
priority; with a `request` and its `status` the entry is one of an access log.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from log_analyst.readers import levels
from log_analyst.readers.entry import Entry, named, request_entry
from log_analyst.readers.masking import METHODS
from log_analyst.readers.records import W3cLog, json_line, logfmt
from triage.timestamps import Timestamps

Parser = Callable[[str, Timestamps], Entry | None]

# In "ERROR pool is full: 20 of 20" and "Caused by: …" no host is meant.
_NO_HOST = "|".join(["Caused", *(each for w in levels.WORDS for each in (w, w.upper(), w.capitalize()))])
_ISO = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)"
_LAYOUTS = {
    # Common or combined, also with more fields at the end, and with a virtual host before the caller, after whom
    # stands a -.
    "access log": r"(?:\S+ (?!- ))?(?P<caller>\S+) .{0,200}?\[(?P<time>\d\d/[A-Z][a-z]{2}/\d{4}:[^\]]{8,24})\] "
    r"\"(?P<request>(?:[^\"\\]|\\.)*)\" (?P<status>\d{3}) (?:\d+|-)(?= |$)",
    # The text from `, client:` on names the request, not the error.
    "nginx error log": r"(?P<time>\d{4}/\d\d/\d\d \d\d:\d\d:\d\d) \[(?P<level>[a-z]+)\] \d+#\d+: (?:\*\d+ )?"
    r"(?P<text>.*?)(?:, client: .*)?$",
    "Apache error log": r"\[(?P<time>[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d [\d:.]+ \d{4})\] "
    r"\[(?:(?P<app>[\w-]*):)?(?P<level>[a-z]+\d?)\] (?:\[pid [^\]]*\] )?(?:\[client [^\]]*\] )?(?P<text>.*)",
    "syslog (RFC 5424)": r"<(?P<pri>\d{1,3})>1 (?P<time>\S+) (?P<host>\S+) (?P<app>\S+) \S+ \S+ "
    r"(?:-|(?:\[(?:[^\]\"]|\"(?:[^\"\\]|\\.)*\")*\])+)(?: \ufeff?(?P<text>.*))?$",
    # RFC 3164, also without a priority or with an ISO time. "2025-07-07T18:00:07Z Timeout reached: 30 s" has no host.
    "syslog": r"(?:<(?P<pri>\d{1,3})>)?(?P<time>[A-Z][a-z]{2} [ \d]\d (?:\d{4} )?\d\d:\d\d:\d\d(?:\.\d+)?"
    rf"|(?<=>){_ISO}|{_ISO}(?= [A-Za-z]*[^A-Za-z ]| \S+ [^:\[]{{1,48}}\[\d+\]:)) (?!(?:{_NO_HOST}) )(?P<host>[\w.:-]+) "
    # Only a name before a process id has spaces in it.
    r"(?P<app>[^\s:\[]{1,48}(?=(?:\[\d+\])?: )|[^\s:\[][^:\[]{0,47}(?=\[\d+\]: ))(?:\[\d+\])?: (?P<text>.*)",
}
_REQUEST = re.compile(r"\"([A-Z]{3,10}) (?:[a-z]+://[^/\s]*)?(\S{0,4000}) HTTP/[\d.]{1,3}\"(?: ([1-5]\d\d)(?![\w.]))?")
# A status among other numbers: processing times, bytes.
_STATUS = re.compile(r"[\d./-]+ ([1-5]\d\d) (?:[\d-]|$)")
# Before the request, or as Envoy's X-Forwarded-For in quotes after it: a browser's version is no address.
_CALLER = re.compile(r"(?<![\w./])\d{1,3}(?:\.\d{1,3}){3}(?![\w.])")
_FORWARDED_FOR = re.compile(r"\"(\d{1,3}(?:\.\d{1,3}){3})[\",]")
_PUNCTUATION = " \t-:|,;]"


def _by_layout(layout: str) -> Parser:
    pattern = re.compile(layout)

    def parse(line: str, stamps: Timestamps) -> Entry | None:
        match = pattern.match(line)
        time = stamps.value(match["time"]) if match is not None else None
        if match is None or time is None:
            return None
        fields = match.groupdict()
        if fields.get("request") is not None:
            return request_entry(time, fields["request"], int(fields["status"]), fields["caller"])
        pri = fields.get("pri")
        level = levels.level_of(fields.get("level")) if pri is None else levels.of_syslog(int(pri))
        return named(time, level, fields["text"] or "", fields.get("app") or "", fields.get("host") or "")

    return parse


def request_line(line: str, stamps: Timestamps) -> Entry | None:
    """Parse an access log of any layout: a time, a request in quotes, and a status.

    The status comes before the request in the logs of AWS's load balancers and of HAProxy, after it in those of Envoy,
    S3 and uvicorn.
    """
    match = _REQUEST.search(line) if " HTTP/" in line else None
    if match is None or match[1] not in METHODS:
        return None
    status = match[3] or ((before := _STATUS.search(line[: match.start()][-400:])) and before[1])
    found = stamps.find(line)
    if not status or found is None:
        return None
    caller = _CALLER.search(line, 0, match.start()) or _FORWARDED_FOR.search(line, match.end())
    request = f"{match[1]} {match[2] or '/'}"
    return request_entry(found.seconds, request, int(status), caller[caller.re.groups] if caller else "")


def plain(line: str, stamps: Timestamps) -> Entry | None:
    """Parse any line with a time near its start; the text is the line without the time."""
    timestamp = stamps.find(line)
    if timestamp is None:
        return None
    before = line[: timestamp.start].rstrip(" \t[(<\"'")
    text = line[timestamp.end :].lstrip(_PUNCTUATION + ")>\"'")
    if not before or not text:
        return Entry(timestamp.seconds, levels.UNKNOWN, text or before)
    # What is before the time is no part of the message. A level is left to be found.
    header = 0 if len(before) == 1 or levels.of_word(before) != levels.UNKNOWN else len(before) + 1
    return Entry(timestamp.seconds, levels.UNKNOWN, f"{before} {text}", header=header)


_BY_LAYOUT = {name: _by_layout(layout) for name, layout in _LAYOUTS.items()}


def parsers() -> dict[str, Parser]:
    """Return the parsers of one log, by the name of their format. They may keep what they learn about it.

    Where several can read a line, the first one counts: the plain text parser takes any line with a time.
    """
    return {
        "W3C access log": W3cLog(),
        "JSON lines": json_line,
        "access log": _BY_LAYOUT["access log"],
        "other access log": request_line,
        "logfmt": logfmt,
        **_BY_LAYOUT,
        "plain text": plain,
    }
