"""How a task gets its id: from who asks, whom, and under which key, so that asking twice is asking once."""

from __future__ import annotations

import hashlib
import uuid

import msgspec

from tailrace.a2a.types import UserMessage

_NAMESPACE = uuid.UUID("5f0b2a52-2a0f-5c44-9d5c-7a11aace0001")


def task_id_of(owner: str, agent: str, key: str) -> str:
    """The id of the task that `owner` asks of `agent` under `key` (a messageId or an idempotency key)."""
    return str(uuid.uuid5(_NAMESPACE, "\0".join((owner, agent, key))))


def fingerprint_of(message: UserMessage) -> str:
    """What two requests must have in common to be the same request."""
    return hashlib.sha256(msgspec.json.encode(message)).hexdigest()
