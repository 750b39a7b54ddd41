"""What callers send over A2A 1.0, as types that refuse what does not fit (specification, sections 3 and 4).

What is stored and sent is made of the types in `tailrace.events.messages`, which refuse nothing.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Literal, NamedTuple, TypeVar, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Struct

from tailrace.decoding import MAX_DEPTH, too_deep
from tailrace.errors import RequestError, shorten
from tailrace.events import Message, Part, State, Wire

T = TypeVar("T")

# The versions of A2A that are spoken here.
Version = Literal["1.0", "0.3"]


class UserPart(Part, kw_only=True):
    """A part that a user sends; exactly one of `text`, `raw` (base64), `url` and `data`.

    A `data` of null is the value null where it stands alone, and is not given beside one of the others.
    """

    def __post_init__(self) -> None:
        contents = [name for name in ("text", "raw", "url") if getattr(self, name) is not None]
        if contents and self.data is None:
            self.data = msgspec.UNSET
        if self.data is not msgspec.UNSET:
            contents.append("data")
        if len(contents) != 1:
            names = " and ".join(f"`{name}`" for name in contents) or "none of them"
            raise ValueError(f"Expected exactly one of `text`, `raw`, `url` and `data`, got {names}")
        _check_levels("data", self.data)
        _check_levels("metadata", self.metadata)


class UserMessage(Wire, kw_only=True):
    """What a user sends: at least one part. `stored` makes it the `Message` that the task keeps."""

    message_id: str
    role: Literal["ROLE_USER"]
    parts: list[UserPart]
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
        _check_levels("metadata", self.metadata)

    def stored(self, task_id: str | None = None, context_id: str | None = None) -> Message:
        """The message as its task keeps it, with the ids of the task and its context if they are given."""
        message = msgspec.convert(to_json(self), Message)
        message.task_id, message.context_id = task_id or self.task_id, context_id or self.context_id
        return message


class AuthenticationInfo(Wire, kw_only=True):
    """How a webhook knows us (section 4.3.2)."""

    scheme: str
    credentials: str = ""


class PushConfig(Wire, kw_only=True):
    """Where to tell of a task's updates (`TaskPushNotificationConfig`, section 4.3.1)."""

    url: str
    id: str = ""
    task_id: str = ""
    token: str = ""
    authentication: AuthenticationInfo | None = None


class PushConfigId(Wire, kw_only=True):
    task_id: str
    id: str

    def __post_init__(self) -> None:
        if not self.task_id or not self.id:
            raise ValueError("Expected a `taskId` and an `id` that are not empty")


class ListPushConfigs(Wire, kw_only=True):
    task_id: str
    page_size: int = 0
    page_token: str = ""


class SendConfiguration(Wire, kw_only=True):
    accepted_output_modes: list[str] | None = None
    task_push_notification_config: PushConfig | None = None
    history_length: int | None = None
    return_immediately: bool = False

    def __post_init__(self) -> None:
        _check_length(self.history_length)


class SendMessage(Wire, kw_only=True):
    message: UserMessage
    configuration: SendConfiguration = msgspec.field(default_factory=SendConfiguration)
    metadata: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        _check_levels("metadata", self.metadata)


class TaskId(Wire, kw_only=True):
    id: str
    history_length: int | None = None

    def __post_init__(self) -> None:
        if not self.id:
            raise ValueError("Expected an `id` that is not empty")
        _check_length(self.history_length)


class ListTasks(Wire, kw_only=True):
    """What is left out leaves nothing out. `since_us` is `statusTimestampAfter` in µs since the epoch."""

    context_id: str = ""
    status: State | Literal["", "TASK_STATE_UNSPECIFIED"] = ""
    page_size: int = 50
    page_token: str = ""
    history_length: int | None = None
    status_timestamp_after: str = ""
    include_artifacts: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.page_size <= 100:
            raise ValueError(f"Expected `pageSize` between 1 and 100, got {self.page_size}")
        _check_length(self.history_length)
        _ = self.since_us

    @property
    def since_us(self) -> int | None:
        return _microseconds(self.status_timestamp_after) if self.status_timestamp_after else None


def _check_length(length: int | None) -> None:
    if length is not None and length < 0:
        raise ValueError(f"Expected `historyLength` from 0 up, got {length}")


def _check_levels(name: str, value: Any) -> None:
    if too_deep(value):
        raise ValueError(f"Expected `{name}` nested at most {MAX_DEPTH} levels deep, got one that is nested deeper")


def _microseconds(text: str) -> int:
    """A time as section 5.6.1 writes it, in µs since the epoch; what is finer is cut off."""
    try:
        time = datetime.fromisoformat(text)
        if time.tzinfo is None:
            raise ValueError
        return (time - datetime.fromtimestamp(0, UTC)) // timedelta(microseconds=1)
    except (ValueError, OverflowError):
        raise ValueError(
            f"Expected `statusTimestampAfter` like 2026-11-22T10:30:00.000Z, got {shorten(text)!r}"
        ) from None


def convert(params: Any, kind: type[T], *, strict: bool = True) -> T:
    """`params`, decoded JSON, as `kind`. Unless `strict`, numbers and booleans may be text, as in a query.

    Fields may have the names of the proto (`task_id`) too: "Parsers accept both the lowerCamelCase name and the
    original proto field name" (ProtoJSON format, protobuf.dev). And what is null is what was not given: "`null` is an
    accepted value for all field types and treated as the default value". Only in what may hold any JSON, as `data` does
    and what is inside `data` and `metadata`, it is a value.

    Raises:
        RequestError: it does not fit. The message names the place, what was expected and what was there.
    """
    try:
        return msgspec.convert(_as_named(params, kind), kind, strict=strict)
    except (msgspec.ValidationError, ValueError) as error:
        raise RequestError(f"{error}.") from None


class _Field(NamedTuple):
    """A field by the proto's name and by JSON's, and the message that it holds if it holds one, or `many`."""

    proto: str
    json: str
    inner: type | None
    many: bool


class _Fields(NamedTuple):
    """The fields of a message; `open` are the names of those in which null is a value, `plain` the names in JSON of
    those that hold no message."""

    all: list[_Field]
    open: frozenset[str]
    plain: frozenset[str]


def _as_named(given: Any, kind: type) -> Any:
    """`given` under JSON's names of fields and without what is null, as deep as `kind` goes.

    A field that is there by both of its names keeps the one of JSON's name.
    """
    if not isinstance(given, dict):
        return given
    fields = _fields(kind)
    if given.keys() <= fields.plain and None not in given.values():
        return given  # as most parts are, of which a message may have many thousands
    named = {name: value for name, value in given.items() if value is not None or name in fields.open}
    for proto, json, inner, many in fields.all:
        if proto in named and json not in named:
            named[json] = named.pop(proto)
        if inner is not None and json in named:
            value = named[json]
            if many and isinstance(value, list):
                named[json] = [_as_named(each, inner) for each in value]
            else:
                named[json] = _as_named(value, inner)
    return named


@cache
def _fields(kind: type) -> _Fields:
    found: list[_Field] = []
    holding_any: set[str] = set()
    hints = get_type_hints(kind)
    for each in msgspec.structs.fields(kind):
        hint = hints[each.name]
        options = [hint, *get_args(hint)]
        inner = next((option for option in options if isinstance(option, type) and issubclass(option, Struct)), None)
        found.append(_Field(each.name, each.encode_name, inner, get_origin(hint) is list))
        if hint is Any:
            holding_any |= {each.name, each.encode_name}
    plain = frozenset(field.json for field in found if field.inner is None)
    return _Fields(found, frozenset(holding_any), plain)


def to_json(value: msgspec.Struct) -> Any:
    """A wire type as plain JSON, what was not given left out."""
    return msgspec.to_builtins(value)
