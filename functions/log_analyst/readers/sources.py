"""Finds the logs in a request: its log files, or the log lines that are pasted into its text.

Other files (binary, a table of metrics, empty) are left out, and a note says so.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from log_analyst.readers.documents import json_lines_of
from log_analyst.readers.formats import Parser, parsers
from tailrace.inputs.request import File, Request
from tailrace.inputs.text import Content, Text
from triage.tables import is_table_of_numbers
from triage.timestamps import Timestamps
from triage.wording import listed

# How many files a note names; the others are counted.
_NAMED = 5
_SAMPLE = 4_096
_LOOK = 256
_PASTED_LINES = 3
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f\ufffd]")
_METRICS = re.compile(r"\"(?:MetricDataResults|MetricStat|Datapoints)\"|\"resultType\"\s*:\s*\"(?:matrix|vector)\"")
_NAME = 255
# What rotation adds to a name is short and at its end. Atomic groups, so that no name takes long to match.
_LONGEST_ROTATION = 64
_ROTATION = re.compile(r"(?>[-_.]?\d{4}-?\d\d-?\d\d(?:[-T_]?\d+)?|\.(?:gz|txt|log|json|jsonl|ndjson|out|\d+))++$")


class Source(NamedTuple):
    """A file with log lines, or the request's text. `stream` is the same for the rotated parts of one log."""

    name: str
    content: Content
    stream: str


class Sources(NamedTuple):
    """The logs of a request in its order, notes on what was left out, and its text without pasted lines (`remark`)."""

    logs: list[Source]
    notes: list[str]
    remark: str


def sources(request: Request) -> Sources:
    """Return the logs in `request`. No content raises an error; `notes` say what cannot be read."""
    found: list[tuple[str, Content]] = []
    skipped: dict[str, list[str]] = {}
    for file in request.files:
        content = _readable(file)
        if isinstance(content, str):
            skipped.setdefault(content, []).append(file.filename or "a file without a name")
        else:
            found.append((file.filename or f"file {len(found) + 1}", content))
    # Rotated parts have different names, so web1/access.log and web2/access.log are two logs.
    bases = [name.rsplit("/", 1)[-1] for name, _ in found]
    stems = bases if len(set(bases)) == len(bases) else [name for name, _ in found]
    logs = [Source(name, content, _stream(stem)) for (name, content), stem in zip(found, stems, strict=True)]
    notes = [f"Skipped {listed(names, _NAMED)}: {complaint}." for complaint, names in skipped.items()]
    if logs:
        return Sources(logs, notes, request.text)
    remark, pasted = _pasted(request.text)
    if pasted:
        logs.append(Source("the pasted lines", Text(pasted), "the pasted lines"))
    return Sources(logs, notes, remark)


def _readable(file: File) -> Content | str:
    """Return the content of a log file, or the reason why it is none."""
    content = file.content
    if content.blank:
        return "empty"
    head = content.beginning(_SAMPLE)
    if len(_CONTROL.findall(head)) > 0.1 * len(head):
        return "binary, not text"
    if head.lstrip()[:1] in ("{", "["):
        if _METRICS.search(head):
            return "metrics, not a log"
        return _unwrapped(content)
    if is_table_of_numbers(head):
        return "a table of numbers, not a log"
    return content


def _unwrapped(content: Content) -> Content:
    """Return the events of a JSON document as JSON lines; the content itself if it is none."""
    filled = (line.text for line in content.lines(_LOOK) if line.text.strip())
    if next(filled, "").lstrip()[:1] != "[" and any(line.startswith("{") for line in filled):
        return content
    try:
        lines = json_lines_of(content.text)
        return content if lines is None else type(content).of(lines)
    except (ValueError, RecursionError):
        return content


def _pasted(text: str) -> tuple[str, str]:
    """Split the request's text into the user's words and the log lines pasted after them, if there clearly are any."""
    lines = text.split("\n")
    stamps = Timestamps(4e9)
    formats = parsers()
    known = [any(_is_entry(name, parser, line.strip(), stamps) for name, parser in formats.items()) for line in lines]
    if sum(known) < _PASTED_LINES:
        return text, ""
    first = known.index(True)
    rest = [is_known for is_known, line in zip(known[first:], lines[first:], strict=True) if line.strip()]
    # Indented lines continue an entry, so stack traces count as log lines.
    continued = sum(1 for line in lines[first:] if line.strip() and line[:1].isspace())
    if sum(known) + continued < 0.5 * len(rest):
        return text, ""
    return "\n".join(lines[:first]).strip(), "\n".join(lines[first:])


def _is_entry(name: str, parser: Parser, line: str, stamps: Timestamps) -> bool:
    if not line:
        return False
    if name == "plain text":
        timestamp = stamps.find(line)
        # "From 2024-01-01T10:00Z to …" is a sentence. An entry starts with its time and has a text.
        return timestamp is not None and timestamp.start <= 9 and len(line) > timestamp.end + 3
    entry = parser(line, stamps)
    return entry is not None and (entry.time is not None or entry.level >= 0)


def _stream(name: str) -> str:
    base = name.lower()[-_NAME:]
    stem = max(0, len(base) - _LONGEST_ROTATION)
    return base[:stem] + _ROTATION.sub("", base[stem:]) or name
