"""Tells logs from metrics in a request: by a file's name, its media type and its first characters."""

from __future__ import annotations

import json
import re
from typing import Any, Literal

from orchestrator.matching import stems_of
from tailrace.inputs.request import File, Request
from triage.alert import alert_of
from triage.tables import is_table_of_numbers

Topic = Literal["logs", "metrics"]

_LOOK = 4096  # characters
_METRIC_TYPES = ("text/csv", "text/tab-separated-values")
_METRIC_ENDINGS = (".csv", ".tsv")
# Keys that only responses of CloudWatch and Prometheus have.
_METRIC_KEYS = re.compile(r'"(?:MetricDataResults|resultType|MetricDataQueries)"')
_TIME_KEYS = frozenset(("time", "timestamp", "ts", "@timestamp", "date", "datetime", "Timestamp", "Time", "t", "_time"))
_LOG_KEYS = frozenset(
    (
        "message",
        "msg",
        "level",
        "severity",
        "log",
        "@message",
        "levelname",
        "logger",
        "status",
        "method",
        "path",
        "event",
    )
)
_DELIMITER = re.compile(r"[,;\t|]")
_TEXT_COLUMNS = frozenset(("message", "@message", "msg", "_raw", "level", "severity", "loglevel", "levelname"))
# How a log line starts: a date, a syslog time, a syslog priority, an IP address, a JSON object, or a level.
_LOG_LINE = re.compile(
    r"^(?:\[?\d{4}[-/]\d\d[-/]\d\d[T ]|\w{3} +\d+ \d\d:\d\d:\d\d|<\d{1,3}>|\d{1,3}(?:\.\d{1,3}){3} \S+ \S+ \[|\{\"|"
    r"(?:TRACE|DEBUG|INFO|WARN|ERROR|FATAL)\b)",
    re.MULTILINE,
)

# Words of people who report that something is wrong, by their stems.
_TROUBLE = stems_of(
    """
    alarm alert anomaly broken cpu crash degraded diagnose disk down error exception fail failure happen hang incident
    investigate latency log memory metric outage overload root slow spike stuck timeout triage trouble unavailable
    unhealthy unreachable unresponsive wrong
    """
)
# An HTTP status that is an error of the server: 502, 5xx.
_ERROR_STATUS = re.compile(r"\b5(?:xx|\d\d)s?\b", re.IGNORECASE)

# Fewer lines may be sentences that start like log lines. The log analyst needs as many.
MIN_LOG_LINES = 3


def topic_of(file: File) -> Topic:
    """Return whether a file holds logs or metrics; logs if in doubt, because the log analyst reads any text."""
    name, beginning = file.filename.lower(), file.content.beginning(_LOOK).lstrip()
    is_table = is_table_of_numbers(beginning)
    first = beginning.partition("\n")[0]
    if not is_table and (file.media_type in _METRIC_TYPES or name.endswith(_METRIC_ENDINGS)):
        # Log viewers export their lines as CSV too.
        cells = {cell.strip('" \r') for cell in _DELIMITER.split(first.lower())}
        return "logs" if cells & _TEXT_COLUMNS else "metrics"
    if beginning.startswith(("{", "[")) and _METRIC_KEYS.search(beginning):
        return "metrics"
    return "metrics" if is_table or (first.startswith("{") and _is_sample(first)) else "logs"


def _is_sample(line: str) -> bool:
    """Return whether a JSON line is a sample of metrics: a time and mostly numbers, and nothing that only logs have."""
    try:
        record = json.loads(line, strict=False)
    except (ValueError, RecursionError):
        return False
    if not isinstance(record, dict) or not _TIME_KEYS & record.keys() or _LOG_KEYS & record.keys():
        return False
    values = [value for key, value in record.items() if key not in _TIME_KEYS]
    numbers = sum(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    return numbers >= max(1, len(values) - numbers)


def has_metrics(data: Any) -> bool:
    """Return whether a data part is a response of CloudWatch or Prometheus."""
    return isinstance(data, dict) and bool(_METRIC_KEYS.search(json.dumps(data)[:_LOOK]))


def has_log_lines(text: str) -> bool:
    """Return whether a message's text has at least 3 log lines."""
    return log_lines_in(text) >= MIN_LOG_LINES


def log_lines_in(text: str) -> int:
    """Return how many lines of a message's text start like log lines."""
    return len(_LOG_LINE.findall(text))


def topics_of(request: Request) -> set[Topic]:
    """Return what a request has to analyse; an empty set if it has nothing."""
    topics: set[Topic] = {topic_of(file) for file in request.files if not file.binary and not file.content.blank}
    if any(has_metrics(data) for data in request.data):
        topics.add("metrics")
    if has_log_lines(request.text):
        topics.add("logs")
    return topics


def remark_of(text: str) -> str:
    """Return a message's text without its log lines."""
    return "\n".join(line for line in text.splitlines() if not _LOG_LINE.match(line))


def reads_like_alert(request: Request) -> bool:
    """Return whether the user asks what went wrong, even if there is nothing to analyse yet."""
    if request.files or alert_of(request).start is not None:
        return True
    if any(isinstance(data, dict) and "alert" in data for data in request.data):
        return True
    return bool(_ERROR_STATUS.search(request.text) or stems_of(request.text).keys() & _TROUBLE.keys())
