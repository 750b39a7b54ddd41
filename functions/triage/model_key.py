"""The key of a model's provider, from AWS Secrets Manager (`TAILRACE_MODEL_KEY`).

It is read when a request needs it and not when the process starts, so no snapshot and no environment variable has it.
A key that is replaced in Secrets Manager is used within minutes.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Any

from tailrace.errors import ConfigError

_KEPT_S = 300.0
# The run that needs the key waits, and goes on without the model if there is none.
_CONNECT_S, _READ_S, _TRIES = 1.0, 2.0, 2


def key_in(secret: str) -> Callable[[], str]:
    """Return a function that returns the key in the secret of this name. It may block, and raises `ConfigError`.

    The secret is the key itself, or JSON with one field, as the AWS console makes it.
    """
    lock = threading.Lock()
    key, read_at = "", 0.0

    def current() -> str:
        nonlocal key, read_at
        with lock:
            if not key or time.monotonic() > read_at + _KEPT_S:
                key, read_at = _read(secret), time.monotonic()
            return key

    return current


def _read(secret: str) -> str:
    from boto3 import client
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    right = "the name of a secret in AWS Secrets Manager that holds a key and that this function may read"
    retries: Any = {"mode": "standard", "total_max_attempts": _TRIES}
    config = Config(connect_timeout=_CONNECT_S, read_timeout=_READ_S, retries=retries)
    try:
        found = client("secretsmanager", config=config).get_secret_value(SecretId=secret)
    except (BotoCoreError, ClientError) as error:
        # The user sees it: AWS's text has names and account numbers.
        reason = error.response["Error"]["Code"] if isinstance(error, ClientError) else type(error).__name__
        raise ConfigError("TAILRACE_MODEL_KEY", secret, f"{right} ({reason})") from None
    text: str = found.get("SecretString", "").strip()
    try:
        fields = json.loads(text)
    except ValueError:
        fields = None
    if isinstance(fields, dict):
        text = str(next(iter(fields.values()))) if len(fields) == 1 else ""
    if not text:
        raise ConfigError("TAILRACE_MODEL_KEY", secret, f"{right}: a text, or JSON with one field")
    return text
