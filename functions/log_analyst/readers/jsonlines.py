"""What a JSON log line says, by the field names that loggers use."""

from __future__ import annotations

from typing import Any, NamedTuple

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
    """`request` is `METHOD path` and `status` an HTTP status where the line tells of a request."""

    time: Any
    level: Any
    text: str
    request: str | None
    status: int | None


def fields_of(line: str) -> Fields | None:
    """The fields of a JSON object, or None when `line` is no such thing."""
    try:
        record = msgspec.json.decode(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict):
        return None
    time, level = _first(record, _TIMES), _first(record, _LEVELS)
    if isinstance(level, dict):  # log4j2's and ECS's {"level": {"name": …}}, {"log": {"level": …}}
        level = level.get("name") or level.get("level")
    elif level is None and isinstance(record.get("log"), dict):
        level = record["log"].get("level")
    request, status = _request(record)
    return Fields(time, level, _text(record), request, status)


def _text(record: dict[str, Any]) -> str:
    text = next((v for k in _TEXTS if isinstance(v := record.get(k), str) and v), None)
    if text is None:
        # No message: what is left says which kind of event this is by its words, and its shape by its names.
        known = {*_TIMES, *_LEVELS}
        return " ".join(f"{key}={_short(value)}" for key, value in record.items() if key not in known)
    text = text.split("\n", 1)[0]
    source = next((v for k in _SOURCES if isinstance(v := record.get(k), str) and v), None)
    if source and source not in text:
        text = f"{source}: {text}"
    fault = _fault(record)
    return f"{text} | {fault}" if fault and fault not in text else text


def _fault(record: dict[str, Any]) -> str | None:
    """The exception's type, or the first words about it."""
    value = _first(record, _FAULTS)
    if isinstance(value, dict):
        value = value.get("type") or value.get("name") or value.get("class") or value.get("message")
    if not isinstance(value, str) or not value.strip():
        return None
    lines = [line for line in value.strip().splitlines() if line[:1].strip()]
    if not lines:
        return None
    # A Python trace names the exception in its last line, others in their first.
    return (lines[-1] if lines[0].startswith("Traceback") else lines[0])[:120]


def _request(record: dict[str, Any]) -> tuple[str | None, int | None]:
    try:
        status = int(_first(record, _STATUSES))
    except (TypeError, ValueError, OverflowError):
        return None, None
    path, method = _first(record, _PATHS), _first(record, _METHODS)
    request = record.get("request")
    if not 100 <= status <= 599:
        return None, None
    if isinstance(path, str) and isinstance(method, str) and path.startswith("/"):
        return f"{method.upper()} {path}", status
    return (request, status) if isinstance(request, str) and " /" in request else (None, None)


def _first(record: dict[str, Any], names: list[str]) -> Any:
    for name in names:
        value = record.get(name)
        if value is not None:
            return value
    return None


def _short(value: Any) -> str:
    if isinstance(value, str):
        return value.split("\n", 1)[0][:120] or '""'
    if isinstance(value, (dict, list)):
        return "{}" if isinstance(value, dict) else "[]"
    return str(value)
