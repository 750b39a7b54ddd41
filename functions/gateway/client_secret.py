"""The secret of the gateway as a client of the issuer: a setting names where it is, and it is read when it is needed.

So no snapshot, argument or setting has it. One that is replaced is used within minutes.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tailrace.config import Settings
from tailrace.errors import ConfigError

_KEPT_S = 300.0
_CONNECT_S, _READ_S, _TRIES = 1.0, 2.0, 2


class ClientSecret:
    """What `TAILRACE_OIDC_CLIENT_SECRET` refers to; an empty text if it refers to nothing."""

    def __init__(self, settings: Settings) -> None:
        self._kind, self._name = settings.oidc_secret_place
        self._secret, self._read_at = "", 0.0

    async def current(self) -> str:
        """The secret.

        Raises:
            ConfigError: it cannot be read.
        """
        if self._kind and (not self._secret or time.monotonic() > self._read_at + _KEPT_S):
            self._secret, self._read_at = await asyncio.to_thread(self._read), time.monotonic()
        return self._secret

    def _read(self) -> str:
        try:
            secret = _READERS[self._kind](self._name).strip()
        except Exception as error:  # botocore makes its errors at run time, and their texts name accounts
            secret, reason = "", type(error).__name__
        else:
            reason = "it is empty"
        if not secret:
            right = f"a reference to a secret that this process may read ({reason})"
            raise ConfigError("TAILRACE_OIDC_CLIENT_SECRET", f"{self._kind}:{self._name}", right)
        return secret


def _from_secrets_manager(name: str) -> str:
    return str(_client("secretsmanager").get_secret_value(SecretId=name)["SecretString"])


def _from_ssm(name: str) -> str:
    return str(_client("ssm").get_parameter(Name=name, WithDecryption=True)["Parameter"]["Value"])


def _client(service: Any) -> Any:
    import boto3
    from botocore.config import Config

    retries: Any = {"mode": "standard", "total_max_attempts": _TRIES}
    return boto3.client(service, config=Config(connect_timeout=_CONNECT_S, read_timeout=_READ_S, retries=retries))


_READERS: dict[str, Callable[[str], str]] = {
    "secretsmanager": _from_secrets_manager,
    "ssm": _from_ssm,
    "file": lambda name: Path(name).read_text(),
    "env": lambda name: os.environ.get(name, ""),
}
