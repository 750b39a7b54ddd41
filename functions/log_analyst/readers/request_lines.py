"""Reads access logs of any layout: a time, a request line in quotes, and a status after it or among the numbers before.

The status comes first in the logs of AWS's load balancers and of HAProxy, last in those of Envoy, S3 and uvicorn.
"""

from __future__ import annotations

import re

from log_analyst.readers.entry import Entry, request_entry
from log_analyst.readers.masking import METHODS
from log_analyst.readers.timestamps import Timestamps

_REQUEST = re.compile(r"\"([A-Z]{3,10}) (\S{1,4000}) HTTP/[\d.]{1,3}\"(?: ([1-5]\d\d)(?![\w.]))?")
# A status among other numbers: processing times, bytes.
_STATUS = re.compile(r"[\d./-]+ ([1-5]\d\d) (?:[\d-]|$)")
# Before the request, or as Envoy's X-Forwarded-For in quotes after it: a browser's version is no address.
_CALLER = re.compile(r"(?<![\w./])\d{1,3}(?:\.\d{1,3}){3}(?![\w.])")
_FORWARDED_FOR = re.compile(r"\"(\d{1,3}(?:\.\d{1,3}){3})[\",]")
_ORIGIN = re.compile(r"[a-z]+://[^/]*")


def request_line(line: str, stamps: Timestamps) -> Entry | None:
    """Parse a line with a request, its status and a time."""
    if " HTTP/" not in line or (match := _REQUEST.search(line)) is None:
        return None
    method, url, status = match.groups()
    if method not in METHODS:
        return None
    if status is None:
        before = _STATUS.search(line[: match.start()][-400:])
        if before is None:
            return None
        status = before[1]
    found = stamps.find(line)
    if found is None:
        return None
    origin = _ORIGIN.match(url)
    path = url[origin.end() :] or "/" if origin else url
    caller = _CALLER.search(line, 0, match.start()) or _FORWARDED_FOR.search(line, match.end())
    return request_entry(found.seconds, f"{method} {path}", int(status), caller[caller.re.groups] if caller else "")
