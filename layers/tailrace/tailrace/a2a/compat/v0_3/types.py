"""A2A 0.3's nouns as its JSON has them (0.3.0 specification, section 6). `kind` says which noun it is."""

from __future__ import annotations

from typing import Any, Literal

import msgspec


class _Wire(msgspec.Struct, rename="camel", omit_defaults=True, tag_field="kind"):
    """An object whose `kind` says what it is."""


class TextPart(_Wire, tag="text", kw_only=True):
    """A part with text."""

    text: str
    metadata: dict[str, Any] | None = None


class DataPart(_Wire, tag="data", kw_only=True):
    """A part with JSON."""

    data: dict[str, Any]
    metadata: dict[str, Any] | None = None


class FileContent(msgspec.Struct, omit_defaults=True):
    """`bytes` is base64."""

    bytes: str | None = None
    uri: str | None = None
    name: str | None = None
    mime_type: str | None = msgspec.field(default=None, name="mimeType")


class FilePart(_Wire, tag="file", kw_only=True):
    """A part with a file."""

    file: FileContent
    metadata: dict[str, Any] | None = None


Part = TextPart | DataPart | FilePart


class Message(_Wire, tag="message", kw_only=True):
    """A message of a task, or an answer without a task."""

    message_id: str
    role: Literal["user", "agent"]
    parts: list[Part]
    context_id: str | None = None
    task_id: str | None = None
    metadata: dict[str, Any] | None = None
    extensions: list[str] | None = None
    reference_task_ids: list[str] | None = None


class Status(msgspec.Struct, omit_defaults=True):
    """`state` is 1.0's without its prefix, in lower case, with hyphens; or "unknown"."""

    state: str
    timestamp: str | None = None
    message: Message | None = None


class Artifact(msgspec.Struct, rename="camel", omit_defaults=True, kw_only=True):
    """A result of a task."""

    artifact_id: str
    name: str | None = None
    description: str | None = None
    parts: list[Part]
    metadata: dict[str, Any] | None = None
    extensions: list[str] | None = None


class Task(_Wire, tag="task", kw_only=True):
    """A task. `history` and `artifacts` may be left out."""

    id: str
    context_id: str
    status: Status
    history: list[Message] | msgspec.UnsetType = msgspec.UNSET
    artifacts: list[Artifact] | msgspec.UnsetType = msgspec.UNSET
    metadata: Any = msgspec.UNSET


class StatusUpdate(_Wire, tag="status-update", kw_only=True):
    """`final` says whether nothing follows until the user acts."""

    task_id: str
    context_id: str
    status: Status
    final: bool
    metadata: Any = msgspec.UNSET


class ArtifactUpdate(_Wire, tag="artifact-update", kw_only=True):
    """A new artifact, or a piece of one."""

    task_id: str
    context_id: str
    artifact: Artifact
    append: bool
    last_chunk: bool
    metadata: Any = msgspec.UNSET


class PushAuthentication(msgspec.Struct, omit_defaults=True):
    """How the agent is to authenticate itself at the webhook."""

    schemes: list[str]
    credentials: str = ""


class PushConfig(msgspec.Struct, omit_defaults=True, kw_only=True):
    """A webhook."""

    url: str
    id: str = ""
    token: str = ""
    authentication: PushAuthentication | None = None


class TaskPushConfig(msgspec.Struct, rename="camel"):
    """A webhook of one task."""

    task_id: str
    push_notification_config: PushConfig
