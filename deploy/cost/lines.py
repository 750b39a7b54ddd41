"""What runs used, from the functions' own log lines.

Accepted are the lines themselves, lines with the name of their log stream before them (`aws logs tail`), events as
JSON (`sam logs --output json`), and one document with `events` (`aws logs filter-log-events`). A log stream in a log
group that is not Lambda's own is called DATE/FUNCTION[VERSION][ENVIRONMENT] (AWS Lambda Developer Guide, "Configuring
CloudWatch log groups").
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from deploy.cost.usage import Usage

_STREAM = re.compile(r"\d{4}/\d\d/\d\d/([\w-]+)\[")
# CloudFormation calls a function STACK-LOGICAL ID-RANDOM, and the template an agent's function STACK_AGENT.
_GENERATED = re.compile(r".+-([A-Za-z0-9]+)-[A-Za-z0-9]{8,}")
_AGENT = re.compile(r"[A-Za-z0-9-]+_([A-Za-z0-9]+)")
# Lambda's own lines that cost nothing beside the report.
_FREE = frozenset(
    f"platform.{name}"
    for name in (
        *("start", "end", "runtimeDone", "extension", "telemetrySubscription"),
        *("initStart", "initRuntimeDone", "initReport", "restoreStart", "restoreRuntimeDone", "restoreReport"),
    )
)
_UNNAMED = "a function"


class Metrics(msgspec.Struct, rename="camel"):
    """What Lambda reports of an invocation. `billed_duration_ms` has the time of the start and of the restore in it."""

    billed_duration_ms: float = msgspec.field(name="billedDurationMs")
    memory_size_mb: int = msgspec.field(name="memorySizeMB")
    restore_duration_ms: float | None = None


class Report(msgspec.Struct):
    metrics: Metrics


class ReportLine(msgspec.Struct):
    record: Report


class Used(msgspec.Struct, rename="camel"):
    """What a line of ours may say about use: bytes sent to a browser, and DynamoDB's units."""

    event: str
    task: str | None = None
    bytes: float = 0
    read_units: float = 0
    write_units: float = 0


class Measured(msgspec.Struct):
    """What was found: `tasks` are those whose streams the gateway served, `unknown` counts lines by what they are."""

    usage: Usage = msgspec.field(default_factory=Usage)
    tasks: set[str] = msgspec.field(default_factory=set)
    known: int = 0
    unknown: Counter[str] = msgspec.field(default_factory=Counter)


class _Entry(NamedTuple):
    function: str
    text: str


def measure(text: str) -> Measured:
    """Return what the lines of `text` say was used. A line that cannot be read is counted as unknown."""
    measured = Measured()
    for entry in _entries(text):
        name = _note(measured, entry)
        if name is None:
            measured.known += 1
        else:
            measured.unknown[name] += 1
    return measured


def _entries(text: str) -> Iterator[_Entry]:
    whole = _json(text)
    if isinstance(whole, dict) and isinstance(whole.get("events"), list):
        yield from (_entry(each, str(each)) for each in whole["events"])
        return
    for line in filter(None, map(str.strip, text.splitlines())):
        before, brace, rest = line.partition("{")
        if brace and before:
            yield _Entry(_function(before), brace + rest)
        else:
            yield _entry(_json(line), line)


def _entry(event: Any, text: str) -> _Entry:
    """Return an event of CloudWatch Logs, or what is none as it is."""
    if isinstance(event, dict) and isinstance(event.get("message"), str) and "logStreamName" in event:
        return _Entry(_function(str(event["logStreamName"])), event["message"].strip())
    return _Entry(_UNNAMED, text)


def _function(log_stream: str) -> str:
    name = _STREAM.search(log_stream)
    if name is None:
        return _UNNAMED
    if agent := _AGENT.fullmatch(name[1]):
        return f"{agent[1]}Function"
    generated = _GENERATED.fullmatch(name[1])
    return generated[1] if generated is not None else name[1]


def _note(measured: Measured, entry: _Entry) -> str | None:
    """Add what a line says. Return what an unknown line is; None for a known one."""
    measured.usage.log_bytes += len(entry.text.encode())
    line = _json(entry.text)
    if not isinstance(line, dict):
        return "a line that is no JSON object"
    kind = line.get("type")
    if kind == "platform.report":
        return _note_report(measured, entry.function, line)
    if isinstance(kind, str) and kind.startswith("platform."):
        return None if kind in _FREE else kind
    if not ("message" in line and "level" in line):
        return "a JSON object that is no log line of Lambda or of ours"
    message = line["message"]
    content = _json(message) if isinstance(message, str) else message
    if isinstance(content, dict) and isinstance(content.get("event"), str):
        return _note_use(measured, content)
    return None  # Words.


def _note_report(measured: Measured, function: str, line: dict[str, Any]) -> str | None:
    try:
        metrics = msgspec.convert(line, ReportLine).record.metrics
    except msgspec.ValidationError:
        return "platform.report without metrics"
    use, gb = measured.usage.functions[function], metrics.memory_size_mb / 1024
    use.invocations += 1
    use.seconds += metrics.billed_duration_ms / 1000
    use.gb_s += metrics.billed_duration_ms / 1000 * gb
    if metrics.restore_duration_ms is not None:
        use.restored_gb += gb
    if "gateway" in function.lower():
        measured.usage.edge_requests += 1  # Everybody reaches the gateway through CloudFront.
    return None


def _note_use(measured: Measured, content: dict[str, Any]) -> str | None:
    try:
        used = msgspec.convert(content, Used)
    except msgspec.ValidationError:
        return f"{str(content['event'])[:40]} with other fields"
    if used.event.startswith("stream_") and used.task:
        measured.tasks.add(used.task)
    measured.usage.edge_bytes += used.bytes
    measured.usage.reads["measured"] += used.read_units
    measured.usage.writes["measured"] += used.write_units
    return None


def _json(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return None
