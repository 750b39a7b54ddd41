"""An entry: what a parser makes of one line."""

from __future__ import annotations

from typing import NamedTuple

from log_analyst.readers import levels
from log_analyst.readers.fields import Fields
from log_analyst.readers.masking import METHODS
from triage.timestamps import Timestamps


class Entry(NamedTuple):
    """The content of one line and of the lines that continue it.

    `time` is in seconds since the epoch, None if the line has none. `level` is UNKNOWN if only the words can tell.
    Templates are made of `text` from character `header` on; before it stand the level's name, a host, a logger. For a
    request in an access log (`access`) the text is `METHOD path status`. The `origin` is the host that wrote the line,
    or of a request, the caller; "" if the line does not name it.
    """

    time: float | None
    level: int
    text: str
    access: bool = False
    header: int = 0
    origin: str = ""


def request_entry(time: float | None, request: str, status: int, caller: str) -> Entry:
    """Return the entry of an HTTP request. `request` is `METHOD path protocol`, or what a client sent instead."""
    method, _, rest = request.partition(" ")
    path = rest.split(" ", 1)[0]
    if method in METHODS and path:
        return Entry(time, levels.of_status(status), f"{method} {path} {status}", True, origin=caller)
    return Entry(time, levels.of_status(status), f"(no HTTP request) {status}", True, origin=caller)


def named(time: float | None, level: int, text: str, source: str, host: str) -> Entry:
    """Return an entry whose level and `source` (an application, a logger) are not in its text.

    They are put in front, as its header, so that templates show them.
    """
    header = "" if level == levels.UNKNOWN else f"{levels.NAMES[level]} "
    if source:
        header += f"{source}: "
    return Entry(time, level, header + text, header=len(header), origin=host)


def structured(fields: Fields, stamps: Timestamps, prefix: str = "") -> Entry:
    """Return the entry of a line with fields. Without a time in them, the one in the prefix or the text counts."""
    time = stamps.value(fields.time)
    # Docker's json-file and CloudWatch's events wrap a line that has its own time.
    for text in (prefix, fields.text) if time is None else ():
        if time is None and (found := stamps.find(text)) is not None:
            time = found.seconds
    if fields.request is not None and fields.status is not None:
        return request_entry(time, fields.request, fields.status, fields.caller)
    return named(time, levels.level_of(fields.level), fields.text, fields.source, fields.host)
