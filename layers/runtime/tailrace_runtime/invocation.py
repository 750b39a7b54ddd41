"""One invocation of the Runtime API (AWS: "Using the Lambda runtime API for custom runtimes")."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tailrace_runtime.faults import RuntimeFault

# cargo-lambda sends the deadline as milliseconds from now, AWS as a time since the epoch: 1e12 was in 2001.
_EPOCH_MS = 1_000_000_000_000
_LONGEST_MS = 900_000


@dataclass(frozen=True)
class Invocation:
    """The headers and the body of a reply to /next."""

    request_id: str
    body: bytes
    deadline_ms: int
    """When Lambda ends the invocation, in ms since the epoch."""
    function_arn: str = ""
    invocation_id: str | None = None
    """Sent back with the response if it is set (aws/aws-lambda-python-runtime-interface-client#214)."""
    trace_id: str | None = None
    client_context: str | None = None
    cognito_identity: str | None = None
    tenant_id: str | None = None

    @classmethod
    def of(cls, headers: Mapping[str, str], body: bytes) -> Invocation:
        """Return the invocation in a reply to /next. The headers' names are in lower case."""
        deadline_ms = int(headers.get("lambda-runtime-deadline-ms", _LONGEST_MS))
        if deadline_ms < _EPOCH_MS:
            deadline_ms += time.time_ns() // 1_000_000
        return cls(
            request_id=headers["lambda-runtime-aws-request-id"],
            body=body,
            deadline_ms=deadline_ms,
            function_arn=headers.get("lambda-runtime-invoked-function-arn", ""),
            invocation_id=headers.get("lambda-runtime-invocation-id"),
            trace_id=headers.get("lambda-runtime-trace-id"),
            client_context=headers.get("lambda-runtime-client-context"),
            cognito_identity=headers.get("lambda-runtime-cognito-identity"),
            tenant_id=headers.get("lambda-runtime-aws-tenant-id"),
        )

    def event(self) -> Any:
        """Return the decoded body.

        Raises:
            RuntimeFault: it is not JSON.
        """
        return _parsed(self.body, "Runtime.UnmarshalError", "input")


def parse_header(value: str | None, name: str) -> dict[str, Any] | None:
    """Return the JSON object in a header of /next, None if there is none. `name` is for the error.

    Raises:
        RuntimeFault: it is not JSON.
    """
    if not value:
        return None
    parsed = _parsed(value, "Runtime.LambdaContextUnmarshalError", name)
    return parsed if isinstance(parsed, dict) else None


def _parsed(text: str | bytes, type_: str, name: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise RuntimeFault(type_, f"Unable to unmarshal {name}: {error}") from None
