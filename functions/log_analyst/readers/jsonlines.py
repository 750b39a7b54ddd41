"""Reads JSON log lines, by the field names that loggers use.

A line is another program's object, so any field may hold anything: the first one that can be used counts.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

_TIMES = [
    "timestamp",
    "@timestamp",
    "time",
    "ts",
    "datetime",
    "date",
    "eventTime",
    "asctime",
    "created",
    "Timestamp",
    "Time",
    "t",
    "timeMillis",
    "timestamp_ms",
    "__REALTIME_TIMESTAMP",
    "@t",
]
_LEVELS = [
    "level",
    "severity",
    "lvl",
    "levelname",
    "level_name",
    "loglevel",
    "log.level",
    "Level",
    "Severity",
    "PRIORITY",
    "severity_text",
    "@l",
]
_TEXTS = [
    "message",
    "msg",
    "MESSAGE",
    "event",
    "log",
    "@message",
    "@m",
    "text",
    "body",
    "short_message",
    "Message",
    "error",
]
_SOURCES = ["logger", "logger_name", "component", "service", "module", "@logger", "SYSLOG_IDENTIFIER", "name"]
_FAULTS = [
    "exception",
    "exc_info",
    "err",
    "error",
    "stack_trace",
    "stacktrace",
    "stack",
    "exception.type",
    "error.type",
]
_PATHS = ["path", "uri", "url", "request_uri", "request_path", "http.target"]
_STATUSES = ["status", "status_code", "http_status", "statusCode", "http.status_code"]
_METHODS = ["method", "request_method", "http_method", "verb", "http.method"]


class Fields(NamedTuple):
    """The content of a line: `time` and `level` as they stand there, None if it has none.

    `request` is `METHOD path` and `status` an HTTP status, if the line is about a request.
    """

    time: object
    level: object
    text: str
    request: str | None
    status: int | None


def fields_of(line: str) -> Fields | None:
    """Return the fields of a JSON object; None if `line` is none."""
    try:
        record = msgspec.json.decode(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict):
        return None
    time, level = _first(record, _TIMES), _first(record, _LEVELS)
    if isinstance(level, dict):  # {"level": {"name": …}} of log4j2, {"log": {"level": …}} of ECS
        level = level.get("name") or level.get("level")
    elif level is None and isinstance(record.get("log"), dict):
        level = record["log"].get("level")
    request, status = _request(record)
    return Fields(time, level, _text(record), request, status)


def _text(record: dict[str, object]) -> str:
    text = next((v for k in _TEXTS if isinstance(v := record.get(k), str) and v), None)
    if text is None:
        # Without a message, the other fields' names and words make the template.
        known = {*_TIMES, *_LEVELS}
        return " ".join(f"{key}={_short(value)}" for key, value in record.items() if key not in known)
    text = text.split("\n", 1)[0]
    source = next((v for k in _SOURCES if isinstance(v := record.get(k), str) and v), None)
    if source and source not in text:
        text = f"{source}: {text}"
    fault = _fault(record)
    return f"{text} | {fault}" if fault and fault not in text else text


def _fault(record: dict[str, object]) -> str | None:
    """Return the exception's type, or the first words about it."""
    value = _first(record, _FAULTS)
    if isinstance(value, dict):
        value = value.get("type") or value.get("name") or value.get("class") or value.get("message")
    if not isinstance(value, str) or not value.strip():
        return None
    lines = [line for line in value.strip().splitlines() if line[:1].strip()]
    if not lines:
        return None
    # A Python traceback names the exception in its last line, others in their first.
    return (lines[-1] if lines[0].startswith("Traceback") else lines[0])[:120]


def _request(record: dict[str, object]) -> tuple[str | None, int | None]:
    status = _status(_first(record, _STATUSES))
    path, method = _first(record, _PATHS), _first(record, _METHODS)
    request = record.get("request")
    if status is None:
        return None, None
    if isinstance(path, str) and isinstance(method, str) and path.startswith("/"):
        return f"{method.upper()} {path}", status
    return (request, status) if isinstance(request, str) and " /" in request else (None, None)


def _status(value: object) -> int | None:
    """Return the HTTP status in a number or a text, None if it is none."""
    try:
        status = int(value) if isinstance(value, str | int | float) else 0
    except (ValueError, OverflowError):
        return None
    return status if 100 <= status <= 599 else None


def _first(record: dict[str, object], names: list[str]) -> object:
    for name in names:
        value = record.get(name)
        if value is not None:
            return value
    return None


def _short(value: object) -> str:
    if isinstance(value, str):
        return value.split("\n", 1)[0][:120] or '""'
    if isinstance(value, (dict, list)):
        return "{}" if isinstance(value, dict) else "[]"
    return str(value)
