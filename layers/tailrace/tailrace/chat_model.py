"""The chat model that `TAILRACE_MODEL` names, with the key that `TAILRACE_MODEL_KEY` names.

The key is in AWS Secrets Manager. It is read when a request needs it and not when the process starts, so no snapshot
and no environment variable has it. A key that is replaced there is used within minutes.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from tailrace.config import Settings
from tailrace.errors import ConfigError

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

_KEPT_S = 300.0
# The run that needs the key waits, and goes on without the model if there is none.
_CONNECT_S, _READ_S, _TRIES = 1.0, 2.0, 2


def chat_model() -> BaseChatModel | None:
    """Return the model that `TAILRACE_MODEL` names (`openai:gpt-5.1`, `bedrock_converse:…`), None if it is unset.

    The provider's package is imported here, so that agents without a model do not pay for it.

    Raises:
        ConfigError: the provider is unknown or its package is not installed.
    """
    settings = Settings.load(os.environ)
    return _load(settings.model, settings.model_key) if settings.model else None


@cache
def _load(name: str, secret: str) -> BaseChatModel:
    # Bedrock is asked with the function's role. A key is another provider's, from before.
    takes_key = bool(secret) and not name.startswith("bedrock")
    key: dict[str, Any] = {"api_key": key_in(secret)} if takes_key else {}
    try:
        from langchain.chat_models import init_chat_model

        model: BaseChatModel = init_chat_model(name, **key)
    except (ImportError, ValueError) as error:
        raise ConfigError("TAILRACE_MODEL", name, f"provider:model of an installed provider ({error})") from None
    return model


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
