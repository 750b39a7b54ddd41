"""The fields of a structured log line, by the names that loggers use.

A line is another program's object, so any field may hold anything: the first one that can be used counts.
"""

from __future__ import annotations

from typing import Any, NamedTuple

_TIMES = [
    "timestamp", "@timestamp", "time", "ts", "datetime", "date", "eventTime", "asctime", "created", "created_at",
    "Timestamp", "Time", "t", "timeMillis", "timeUnixNano", "lastTimestamp", "eventTimestamp", "timestamp_ms",
    "__REALTIME_TIMESTAMP", "@t",
]  # fmt: skip
_LEVELS = [
    "level", "severity", "lvl", "levelname", "level_name", "loglevel", "log.level", "Level", "Severity", "PRIORITY",
    "severity_text", "severityText", "log_level", "@l", "type",
]  # fmt: skip
_TEXTS = [
    "message", "msg", "MESSAGE", "event", "log", "@message", "@m", "text", "body", "short_message", "Message", "_raw",
    "error", "errorMessage",
]  # fmt: skip
_SOURCES = ["logger", "logger_name", "component", "service", "module", "@logger", "SYSLOG_IDENTIFIER", "name"]
_FAULTS = [
    "exception", "exc_info", "err", "error", "errorCode", "error_code", "stack_trace", "stacktrace", "stack",
    "exception.type", "error.type",
]  # fmt: skip
_PATHS = ["path", "uri", "url", "request_uri", "request_path", "http.target", "cs-uri-stem"]
_STATUSES = ["status", "status_code", "http_status", "statusCode", "http.status_code", "sc-status"]
_HOSTS = ["host", "hostname", "host.name", "_HOSTNAME", "pod", "pod_name", "node", "instance"]
_CALLERS = ["remote_addr", "client_ip", "clientip", "remote_ip", "c-ip", "sourceIPAddress", "client.ip"]
_METHODS = ["method", "request_method", "http_method", "verb", "http.method", "cs-method"]


class Fields(NamedTuple):
    """The content of a line: `time` and `level` as they stand there, None if it has none.

    `source` is the logger that wrote it, unless its text says so; "" if it is not known.
    `request` is `METHOD path` and `status` an HTTP status, if the line is about a request. `host` wrote the line, and
    `caller` made the request; "" if the line does not say.
    """

    time: object
    level: object
    source: str
    text: str
    request: str | None
    status: int | None
    host: str
    caller: str


def fields_of(record: dict[str, Any]) -> Fields:
    """Return the fields of a record: from the object in it that has a time, a level or a message, if it has none."""
    time, level, text = _first(record, _TIMES), _first(record, _LEVELS), message_of(record)
    if time is None and level is None and text is None:
        for value in record.values():
            if isinstance(value, dict) and is_event(value):
                record = value
                time, level, text = _first(record, _TIMES), _first(record, _LEVELS), message_of(record)
                break
    if isinstance(level, dict):  # {"level": {"name": …}} of log4j2, {"log": {"level": …}} of ECS
        level = level.get("name") or level.get("level")
    elif level is None and isinstance(record.get("log"), dict):
        level = record["log"].get("level")
    request, status = _request(record)
    return Fields(time, level, *_text(record, text), request, status, _name(record, _HOSTS), _name(record, _CALLERS))


def is_event(record: dict[str, Any]) -> bool:
    """Return whether a record has a time by one of the names that loggers use."""
    return any(record.get(name) is not None for name in _TIMES)


def message_of(record: dict[str, Any]) -> str | None:
    """Return a record's message, which may be an array of its bytes; None if it has none."""
    for name in _TEXTS:
        value = record.get(name)
        if isinstance(value, str) and value:
            return value
        if isinstance(value, list) and value and (text := _of_bytes(value)):
            return text
    return None


def _of_bytes(value: list[Any]) -> str:
    """Return the text in an array of bytes, as journald writes texts with control characters; "" if it is none."""
    try:
        return bytes(value).decode(errors="replace").strip()
    except (ValueError, TypeError):
        return ""


def _text(record: dict[str, Any], text: str | None) -> tuple[str, str]:
    """Return who says it, and what."""
    if text is None:
        # Without a message, the other fields' names and words make the template.
        known = {*_TIMES, *_LEVELS}
        return "", " ".join(f"{key}={_short(value)}" for key, value in record.items() if key not in known)
    text = text.split("\n", 1)[0]
    source = _name(record, _SOURCES)
    fault = _fault(record)
    return "" if source in text else source, f"{text} | {fault}" if fault and fault not in text else text


def _fault(record: dict[str, Any]) -> str | None:
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


def _request(record: dict[str, Any]) -> tuple[str | None, int | None]:
    status = _status(_first(record, _STATUSES))
    if status is None:
        return None, None
    path, method = _first(record, _PATHS), _first(record, _METHODS)
    request = record.get("request")
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


def _first(record: dict[str, Any], names: list[str]) -> object:
    for name in names:
        value = record.get(name)
        if value is not None:
            return value
    return None


def _name(record: dict[str, Any], names: list[str]) -> str:
    return next((value for name in names if isinstance(value := record.get(name), str) and value), "")


def _short(value: object) -> str:
    if isinstance(value, str):
        return value.split("\n", 1)[0][:120] or '""'
    if isinstance(value, (dict, list)):
        return "{}" if isinstance(value, dict) else "[]"
    return str(value)
