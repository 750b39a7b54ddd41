"""The context of an invocation (AWS: "Using the Lambda context object to retrieve Python function information").

The attributes are those of awslambdaric, and our own `deadline_ms`, `trace_id` and `pending`.
"""

from __future__ import annotations

import asyncio
import os
import time
from types import SimpleNamespace
from typing import Any

from tailrace_runtime.invocation import Invocation, parse_header

_CLIENT = ("installation_id", "app_title", "app_version_name", "app_version_code", "app_package_name")
_W3C = ("traceparent", "tracestate", "baggage")


class Context:
    """The second argument of a handler, and `scope["aws.context"]` of an app.

    An app adds its unfinished asyncio tasks and futures to `pending`. The runtime asks for the next invocation only
    when all of them are done, because Lambda may then freeze the process (`tailrace_runtime.pending`). `deadline_ms` is
    when Lambda ends the invocation, in ms since the epoch.
    """

    def __init__(self, invocation: Invocation) -> None:
        """
        Raises:
            RuntimeFault: the client context or the identity is not JSON.
        """
        self.aws_request_id = invocation.request_id
        self.invoked_function_arn = invocation.function_arn
        self.tenant_id = invocation.tenant_id
        self.trace_id = invocation.trace_id
        self.deadline_ms = invocation.deadline_ms
        self.pending: set[asyncio.Future[Any]] = set()
        self.function_name = os.environ.get("AWS_LAMBDA_FUNCTION_NAME")
        self.function_version = os.environ.get("AWS_LAMBDA_FUNCTION_VERSION")
        self.memory_limit_in_mb = os.environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
        self.log_group_name = os.environ.get("AWS_LAMBDA_LOG_GROUP_NAME")
        self.log_stream_name = os.environ.get("AWS_LAMBDA_LOG_STREAM_NAME")
        client = parse_header(invocation.client_context, "Client Context")
        self._w3c = _strings((client or {}).pop("w3c", None))
        self.client_context = None if client is None else _client_context(client)
        identity = parse_header(invocation.cognito_identity, "Cognito Identity") or {}
        self.identity = SimpleNamespace(
            cognito_identity_id=identity.get("cognitoIdentityId"),
            cognito_identity_pool_id=identity.get("cognitoIdentityPoolId"),
        )

    def get_remaining_time_in_millis(self) -> int:
        """Return the ms until Lambda ends the invocation, at least 0."""
        return max(0, self.deadline_ms - time.time_ns() // 1_000_000)

    def w3c(self) -> dict[str, str]:
        """Return the W3C trace context that the caller sent."""
        return dict(self._w3c)

    def log(self, message: object) -> None:
        """Write `message` to the function's log without a line break."""
        print(message, end="", flush=True)


def _client_context(fields: dict[str, Any]) -> SimpleNamespace:
    client = fields.get("client")
    if isinstance(client, dict):
        client = SimpleNamespace(**{name: client.get(name) for name in _CLIENT})
    return SimpleNamespace(custom=fields.get("custom"), env=fields.get("env"), client=client)


def _strings(value: Any) -> dict[str, str]:
    fields = value if isinstance(value, dict) else {}
    return {name: fields[name] for name in _W3C if isinstance(fields.get(name), str)}
