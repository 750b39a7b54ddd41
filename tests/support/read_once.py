"""Files that libraries read again for each object that they make are read once in a process."""

from __future__ import annotations

import functools
import os
import ssl
from typing import Any

import botocore.session
import certifi

# What `httpx` reads for each client.
_CERTIFICATES = os.environ.get("SSL_CERT_FILE") or certifi.where()
_create_default_context = ssl.create_default_context


def read_only_once() -> None:
    """Let botocore and httpx share in this process what they read.

    Every log, store and checkpointer of a test makes a session of botocore, and each session would parse the
    descriptions of AWS's services again, which takes longer than most tests do. Every HTTP client would read the
    certificates of all authorities again, too.
    """
    botocore.session.create_loader = functools.cache(botocore.session.create_loader)
    ssl.create_default_context = _create_context


@functools.cache
def with_all_authorities() -> ssl.SSLContext:
    """The TLS settings of a client that trusts all authorities."""
    return _create_default_context(cafile=_CERTIFICATES)


def _create_context(*args: Any, **options: Any) -> ssl.SSLContext:
    if not args and options == {"cafile": _CERTIFICATES}:
        return with_all_authorities()
    return _create_default_context(*args, **options)
