"""The A2A types of which events consist: part, message, artifact, status (A2A 1.0, section 4.1).

These types are for what is stored and what we send, and refuse nothing. `tailrace.a2a.types` checks what callers send,
and `tailrace.a2a.incoming` reads what other agents send.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from tailrace.events.states import State

Role = Literal["ROLE_USER", "ROLE_AGENT"]


class Wire(msgspec.Struct, rename="camel", omit_defaults=True):
    """A message of A2A in JSON: camelCase names, and no field without a value. Unknown fields are ignored."""


class Part(Wire, kw_only=True):
    """One piece of a message or an artifact: `text`, `raw` (base64), `url` or `data` (any JSON, also null)."""

    text: str | None = None
    raw: str | None = None
    url: str | None = None
    data: Any = msgspec.UNSET
    media_type: str | None = None
    filename: str | None = None
    metadata: dict[str, Any] | None = None


class Message(Wire, kw_only=True):
    """What the user or the agent says."""

    message_id: str
    role: Role
    parts: list[Part]
    context_id: str | None = None
    task_id: str | None = None
    metadata: dict[str, Any] | None = None
    extensions: list[str] | None = None
    reference_task_ids: list[str] | None = None


class Artifact(Wire, kw_only=True):
    """A result of a task, or a piece of one."""

    artifact_id: str
    name: str | None = None
    description: str | None = None
    parts: list[Part]
    metadata: dict[str, Any] | None = None
    extensions: list[str] | None = None


class Status(Wire, kw_only=True):
    """A task's state, the time of its last change (ISO 8601), and the message of the agent or the user with it."""

    state: State
    timestamp: str | None = None
    message: Message | None = None
