"""`sam local` runs functions, but not what they need. So there a function says which command is missing."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from tailrace.aws import on_sam_local

Handler = Callable[[Any, Any], Any]

_CONNECT_S = 2.0


def checked(handler: Handler) -> Handler:
    """The `handler`; on `sam local` it answers 503, with the reason, while the emulated AWS is not there."""
    if not on_sam_local():
        return handler

    def check_and_handle(event: Any, context: Any) -> Any:
        missing = _missing(os.environ.get("AWS_ENDPOINT_URL_DYNAMODB", ""))
        return _unavailable(missing) if missing else handler(event, context)

    return check_and_handle


def _missing(endpoint: str) -> str:
    if not endpoint:
        return (
            "The functions do not know where DynamoDB is emulated. Start `sam local start-api` in the project's "
            "folder, where samconfig.toml names deploy/sam-local.json, or run `make sam-local` instead."
        )
    url = urlsplit(endpoint)
    try:
        socket.create_connection((url.hostname or "", url.port or 80), _CONNECT_S).close()
    except OSError:
        return (
            f"Nothing answers at {endpoint}, where DynamoDB is emulated. Run `make sam-services` in another terminal."
        )
    return ""


def _unavailable(detail: str) -> dict[str, Any]:
    return {
        "statusCode": 503,
        "headers": {"content-type": "application/problem+json", "cache-control": "no-store"},
        "body": json.dumps({"title": "Service Unavailable", "status": 503, "detail": detail}),
        "isBase64Encoded": False,
    }
