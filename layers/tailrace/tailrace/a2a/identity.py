"""How tasks and conversations get their ids: from the owner, the agent and a key, so that the same request twice is one
task.
"""

from __future__ import annotations

import hashlib
import uuid

import msgspec

from tailrace.a2a.types import UserMessage

_NAMESPACE = uuid.UUID("5f0b2a52-2a0f-5c44-9d5c-7a11aace0001")


def task_id_of(owner: str, agent: str, key: str) -> str:
    """The id of the task that `owner` begins at `agent` under `key`: a messageId or an idempotency key."""
    return str(uuid.uuid5(_NAMESPACE, "\0".join((owner, agent, key))))


def conversation_id_of(owner: str, agent: str, key: str) -> str:
    """The id of the owner's conversation with the agent under `key`: the context's id, or what the agent's author says.

    It is the id of LangGraph's thread too. No task has it.
    """
    return str(uuid.uuid5(_NAMESPACE, "\0".join(("conversation", owner, agent, key))))


def fingerprint_of(message: UserMessage) -> str:
    """A hash of the message. Two requests with one task id must have the same."""
    return hashlib.sha256(msgspec.json.encode(message)).hexdigest()
