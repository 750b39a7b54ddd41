"""What each piece of a request is: logs or metrics, by its name, its type and a look at its beginning."""

from __future__ import annotations

import json
import re
from typing import Any, Literal

from orchestrator.matching import stems_of
from tailrace.inputs.request import File, Request
from triage.alert import alert_of

Topic = Literal["logs", "metrics"]

_LOOK = 4096
_METRIC_TYPES = ("text/csv", "text/tab-separated-values")
_METRIC_ENDINGS = (".csv", ".tsv")
# Keys that only an answer of CloudWatch or Prometheus has.
_METRIC_KEYS = re.compile(r'"(?:MetricDataResults|resultType|MetricDataQueries)"')
# How a line of a log begins: a date, a syslog time, a bracket, a level, an address, or a JSON object.
_LOG_LINE = re.compile(
    r"^(?:\[?\d{4}[-/]\d\d[-/]\d\d[T ]|\w{3} +\d+ \d\d:\d\d:\d\d|<\d{1,3}>|\d{1,3}(?:\.\d{1,3}){3} \S+ \S+ \[|\{\"|"
    r"(?:TRACE|DEBUG|INFO|WARN|ERROR|FATAL)\b)",
    re.MULTILINE,
)

# What people write who want to know why something is not as it should be.
_TROUBLE = stems_of(
    """
    alarm alert anomaly broken cpu crash degraded diagnose disk down error exception fail failure happen hang incident
    investigate latency log memory metric outage overload root slow spike stuck timeout triage trouble unavailable
    unhealthy unreachable unresponsive wrong
    """
)
# A status of HTTP that is an error: 502, 5xx.
_ERROR_STATUS = re.compile(r"\b5(?:xx|\d\d)s?\b", re.IGNORECASE)

# So many lines of a log have to be pasted; a sentence may begin like one. The log analyst counts the same.
MIN_LOG_LINES = 3


def topic_of(file: File) -> Topic:
    """Whether a file holds logs or metrics. What cannot be told is taken for logs, which are read more freely."""
    name, beginning = file.filename.lower(), file.content.beginning(_LOOK).lstrip()
    if file.media_type in _METRIC_TYPES or name.endswith(_METRIC_ENDINGS):
        return "metrics"
    if beginning.startswith(("{", "[")) and _METRIC_KEYS.search(beginning):
        return "metrics"
    first = beginning.partition("\n")[0]
    if first.count(",") >= 1 and re.match(r"^\W?(?:time|timestamp|date|ts)\b", first, re.IGNORECASE):
        return "metrics"
    return "logs"


def has_metrics(data: Any) -> bool:
    """Whether a data part holds series: an answer of CloudWatch or Prometheus."""
    return isinstance(data, dict) and bool(_METRIC_KEYS.search(json.dumps(data)[:_LOOK]))


def has_log_lines(text: str) -> bool:
    """Whether a message's text has enough log lines pasted into it to analyse them."""
    return log_lines_in(text) >= MIN_LOG_LINES


def log_lines_in(text: str) -> int:
    """How many lines of a message's text begin like a line of a log."""
    return len(_LOG_LINE.findall(text))


def topics_of(request: Request) -> set[Topic]:
    """Everything there is to analyse in a request; empty when there is nothing."""
    topics: set[Topic] = {topic_of(file) for file in request.files if not file.content.blank}
    if any(has_metrics(data) for data in request.data):
        topics.add("metrics")
    if has_log_lines(request.text):
        topics.add("logs")
    return topics


def remark_of(text: str) -> str:
    """A message's text without the log lines that are pasted into it."""
    return "\n".join(line for line in text.splitlines() if not _LOG_LINE.match(line))


def reads_like_alert(request: Request) -> bool:
    """Whether somebody wants to know what went wrong, although there may be nothing to analyse yet."""
    if request.files or alert_of(request).start is not None:
        return True
    if any(isinstance(data, dict) and "alert" in data for data in request.data):
        return True
    return bool(_ERROR_STATUS.search(request.text) or stems_of(request.text).keys() & _TROUBLE.keys())
