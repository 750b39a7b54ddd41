"""The function's log in the managed runtime's form (AWS: "Log and monitor Python Lambda functions").

If `AWS_LAMBDA_LOG_FORMAT` is JSON, it has JSON lines, each with the id of its request, also if several run at once. If
`_LAMBDA_TELEMETRY_LOG_FD` is set, records are written there as frames: 4 bytes of type, 4 of length, 8 of time in µs.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import time
import traceback
from collections.abc import Iterator
from contextvars import ContextVar

from tailrace_runtime.context import Context
from tailrace_runtime.encoding import to_json

current: ContextVar[Context | None] = ContextVar("current", default=None)
"""The context of the running invocation."""

_JSON_FRAME, _TEXT_FRAME = 0xA55A0002, 0xA55A0003
# The attributes of every record; others come from `extra`.
_USUAL = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


@contextlib.contextmanager
def belonging_to(context: Context) -> Iterator[None]:
    """Make what is logged within, also by tasks started within, belong to the invocation."""
    token = current.set(context)
    try:
        yield
    finally:
        current.reset(token)


def set_up() -> None:
    """Make the root logger write to the function's log."""
    as_json = os.environ.get("AWS_LAMBDA_LOG_FORMAT", "").upper() == "JSON"
    fd = os.environ.pop("_LAMBDA_TELEMETRY_LOG_FD", None)
    handler: logging.Handler = FrameHandler(int(fd), as_json) if fd else logging.StreamHandler(sys.stdout)
    handler.setFormatter(JSONFormatter() if as_json else TextFormatter(framed=bool(fd)))
    root = logging.getLogger()
    root.addHandler(handler)
    level = os.environ.get("AWS_LAMBDA_LOG_LEVEL", "").upper()
    level = {"TRACE": "DEBUG"}.get(level, level)
    if level in logging.getLevelNamesMapping():
        root.setLevel(level)


class JSONFormatter(logging.Formatter):
    """One JSON object per record: the managed runtime's fields, and those of `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        context = current.get()
        is_object = isinstance(record.msg, dict) and not record.args
        line: dict[str, object] = {
            "timestamp": _time(record),
            "level": record.levelname,
            "message": record.msg if is_object else record.getMessage(),
            "logger": record.name,
        }
        if record.exc_info and record.exc_info[0] is not None:
            line["stackTrace"] = traceback.format_tb(record.exc_info[2])
            line["errorType"] = record.exc_info[0].__name__
            line["errorMessage"] = str(record.exc_info[1])
            line["location"] = f"{record.pathname}:{record.funcName}:{record.lineno}"
        if context is not None:
            line["requestId"] = context.aws_request_id
            if context.tenant_id is not None:
                line["tenantId"] = context.tenant_id
        for name, value in vars(record).items():
            if name not in _USUAL:
                line.setdefault(name, value)
        return to_json(line, str).decode()


class TextFormatter(logging.Formatter):
    """Level, time, request id and message, separated by tabs.

    Without frames a line feed ends an entry of the log, so a traceback has carriage returns instead.
    """

    def __init__(self, *, framed: bool) -> None:
        super().__init__()
        self._framed = framed

    def format(self, record: logging.LogRecord) -> str:
        context = current.get()
        request_id = context.aws_request_id if context is not None else ""
        text = f"[{record.levelname}]\t{_time(record)}\t{request_id}\t{record.getMessage()}"
        if record.exc_info and record.exc_info[0] is not None:
            tail = "\n" + self.formatException(record.exc_info)
            text += tail if self._framed else tail.replace("\n", "\r")
        return text


class FrameHandler(logging.Handler):
    """Writes records as frames to a file descriptor of Lambda."""

    def __init__(self, fd: int, as_json: bool) -> None:
        super().__init__()
        self._file = os.fdopen(fd, "wb", 0)
        self._base = _JSON_FRAME if as_json else _TEXT_FRAME

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = (self.format(record) + "\n").encode(errors="replace")
            # The type also has the level: 8 for DEBUG, and 4 more for each higher one.
            rank = min(record.levelno, logging.CRITICAL) // 10
            kind = self._base + (4 * (rank + 1) if rank > 0 else 0)
            micros = time.time_ns() // 1000
            self._file.write(kind.to_bytes(4, "big") + len(text).to_bytes(4, "big") + micros.to_bytes(8, "big") + text)
        except Exception:
            self.handleError(record)


def _time(record: logging.LogRecord) -> str:
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(record.created))}.{int(record.msecs):03d}Z"
