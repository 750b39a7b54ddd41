"""Errors in the Runtime API's form (AWS: "Using the Lambda runtime API for custom runtimes")."""

from __future__ import annotations

import base64
import json
import os
import traceback
from dataclasses import dataclass, field

from tailrace_runtime.encoding import to_json

_HERE = os.path.dirname(__file__)
# Go's HTTP server must find the end of the trailers in a buffer of 4,096 bytes.
_TRAILER_BYTES = 3_600
# AWS allows 1 MB, but Go's server allows 1 MB for all headers together.
_CAUSE_BYTES = 64 * 1024


class RuntimeFault(Exception):
    """An error that this runtime detected, with the error type that AWS documents for it."""

    def __init__(self, type_: str, message: str, stack: list[str] | None = None) -> None:
        super().__init__(message)
        self.type = type_
        self.stack = stack or []


@dataclass(frozen=True)
class Fault:
    """An error that is reported to the Runtime API."""

    type: str
    message: str
    stack: list[str] = field(default_factory=list)
    frames: list[traceback.FrameSummary] = field(default_factory=list)

    @classmethod
    def of(cls, error: BaseException) -> Fault:
        """Return the error with its traceback, without the frames of this runtime."""
        if isinstance(error, RuntimeFault):
            return cls(error.type, str(error), error.stack)
        frames = list(traceback.extract_tb(error.__traceback__))
        while frames and os.path.dirname(frames[0].filename) == _HERE:
            frames.pop(0)
        return cls(type(error).__name__, str(error), traceback.format_list(frames), frames)

    def json(self, request_id: str = "") -> bytes:
        """Return the body of an error report."""
        return _json(self.type, self.message, self.stack, request_id)

    def trailer(self, request_id: str = "") -> bytes:
        """Return the body of an error report as base64, shortened for a trailer: the innermost frames are kept."""
        stack, message = list(self.stack), self.message
        while len(body := _json(self.type, message, stack, request_id)) > _TRAILER_BYTES * 3 // 4:
            if stack:
                stack.pop(0)
            else:
                message = message[: len(message) // 2]
        return base64.b64encode(body)

    @property
    def header(self) -> str:
        """The error type as the value of a header."""
        return "".join(c if c.isascii() and c.isprintable() else "?" for c in self.type)[:256]

    def cause(self) -> str:
        """Return the error in X-Ray's form; "" if it is too long for a header."""
        stack = [{"label": f.name, "path": f.filename, "line": f.lineno} for f in self.frames]
        cause = json.dumps(
            {
                "working_directory": os.getcwd(),
                "exceptions": [{"message": self.message, "type": self.type, "stack": stack}],
                "paths": sorted({f.filename for f in self.frames}),
            }
        )
        return cause if len(cause) <= _CAUSE_BYTES else ""


def _json(type_: str, message: str, stack: list[str], request_id: str) -> bytes:
    report = {"errorMessage": message, "errorType": type_, "requestId": request_id, "stackTrace": stack}
    return to_json(report)
