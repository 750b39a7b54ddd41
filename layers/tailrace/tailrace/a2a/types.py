"""What callers send over A2A 1.0, as types that refuse what does not fit (specification, sections 3 and 4).

What we answer is built as JSON directly (`tailrace.events`, `tailrace.a2a.task`): it is stored, not parsed.
"""

from __future__ import annotations

from typing import Any, Literal, TypeVar

import msgspec

from tailrace.errors import RequestError
from tailrace.events import State

T = TypeVar("T")


class _Wire(msgspec.Struct, rename="camel", omit_defaults=True, kw_only=True):
    """Unknown fields are ignored, as ProtoJSON readers do: a newer client may send more."""


class Part(_Wire):
    """One piece of a message; exactly one of `text`, `raw` (base64), `url` and `data`."""

    text: str | None = None
    raw: str | None = None
    url: str | None = None
    data: Any = msgspec.UNSET
    media_type: str | None = None
    filename: str | None = None
    metadata: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        given = [name for name in ("text", "raw", "url") if getattr(self, name) is not None]
        if self.data is not msgspec.UNSET:
            given.append("data")
        if len(given) != 1:
            found = " and ".join(f"`{name}`" for name in given) or "none of them"
            raise ValueError(f"Expected exactly one of `text`, `raw`, `url` and `data`, got {found}")


class Message(_Wire):
    """What a user sends: at least one part."""

    message_id: str
    role: Literal["ROLE_USER"]
    parts: list[Part]
    context_id: str | None = None
    task_id: str | None = None
    metadata: dict[str, Any] | None = None
    extensions: list[str] | None = None
    reference_task_ids: list[str] | None = None

    def __post_init__(self) -> None:
        if not self.message_id:
            raise ValueError("Expected a `messageId` that is not empty")
        # In ProtoJSON an empty string is one that was not given.
        self.context_id, self.task_id = self.context_id or None, self.task_id or None
        if not self.parts:
            raise ValueError("Expected `parts` with at least one part, got []")


class SendConfiguration(_Wire):
    accepted_output_modes: list[str] | None = None
    history_length: int | None = None
    return_immediately: bool = False


class SendMessage(_Wire):
    message: Message
    configuration: SendConfiguration = msgspec.field(default_factory=SendConfiguration)
    metadata: dict[str, Any] | None = None


class TaskId(_Wire):
    id: str
    history_length: int | None = None

    def __post_init__(self) -> None:
        if not self.id:
            raise ValueError("Expected an `id` that is not empty")


class ListTasks(_Wire):
    context_id: str = ""
    status: State | Literal["", "TASK_STATE_UNSPECIFIED"] = ""
    page_size: int = 50
    page_token: str = ""
    history_length: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.page_size <= 100:
            raise ValueError(f"Expected `pageSize` between 1 and 100, got {self.page_size}")


def convert(params: Any, kind: type[T]) -> T:
    """`params`, decoded JSON, as `kind`.

    Raises:
        RequestError: it does not fit. The message names the place, what was expected and what was there.
    """
    try:
        return msgspec.convert(params, kind)
    except (msgspec.ValidationError, ValueError) as error:
        raise RequestError(f"{error}.") from None


def to_json(value: msgspec.Struct) -> Any:
    """A wire type as plain JSON, what was not given left out."""
    return msgspec.to_builtins(value)
