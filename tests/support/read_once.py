"""What libraries read or find out again for each object that they make, they do once in a process."""

from __future__ import annotations

import functools
import os
import ssl
from typing import Any

import botocore.hooks
import botocore.session
import certifi

# What `httpx` reads for each client.
_CERTIFICATES = os.environ.get("SSL_CERT_FILE") or certifi.where()
_create_default_context = ssl.create_default_context

_names: dict[str, str] = {}
_init_aliaser = botocore.hooks.EventAliaser.__init__
_accepts_kwargs = functools.cache(botocore.hooks.accepts_kwargs)


def read_only_once() -> None:
    """Let botocore and httpx share in this process what they read.

    Every log, store and checkpointer of a test makes a session of botocore, and each session would parse the
    descriptions of AWS's services again, which takes longer than most tests do, and look at the names and signatures of
    its four hundred hooks. Every HTTP client would read the certificates of all authorities again, too.
    """
    botocore.session.create_loader = functools.cache(botocore.session.create_loader)
    hooks: Any = botocore.hooks
    hooks.EventAliaser.__init__ = _share_names
    hooks.accepts_kwargs = lambda hook: _accepts_kwargs(getattr(hook, "__func__", hook))
    ssl.create_default_context = _create_context


@functools.cache
def with_all_authorities() -> ssl.SSLContext:
    """The TLS settings of a client that trusts all authorities."""
    return _create_default_context(cafile=_CERTIFICATES)


def _share_names(aliaser: Any, emitter: Any, aliases: Any = None) -> None:
    _init_aliaser(aliaser, emitter, aliases)
    if aliases is None:
        vars(aliaser)["_alias_name_cache"] = _names


def _create_context(*args: Any, **options: Any) -> ssl.SSLContext:
    if not args and options == {"cafile": _CERTIFICATES}:
        return with_all_authorities()
    return _create_default_context(*args, **options)
