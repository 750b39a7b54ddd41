"""The requests of A2A 1.0 as types; they refuse a value that does not fit (specification, sections 3 and 4).

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

    A `data` of null is the value null if it is alone. Beside one of the others it counts as absent.
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
        # In ProtoJSON an empty string counts as absent.
        self.context_id, self.task_id = self.context_id or None, self.task_id or None
        if not self.parts:
            raise ValueError("Expected `parts` with at least one part, got []")
        _check_levels("metadata", self.metadata)

    def stored(self, task_id: str | None = None, context_id: str | None = None) -> Message:
        """The message as its task keeps it, with these ids; where one is None, it keeps its own."""
        message = msgspec.convert(to_json(self), Message)
        message.task_id, message.context_id = task_id or self.task_id, context_id or self.context_id
        return message


class AuthenticationInfo(Wire, kw_only=True):
    """How we authenticate to a webhook (section 4.3.2)."""

    scheme: str
    credentials: str = ""


class PushConfig(Wire, kw_only=True):
    """A webhook for a task's updates (`TaskPushNotificationConfig`, section 4.3.1)."""

    url: str
    id: str = ""
    task_id: str = ""
    token: str = ""
    authentication: AuthenticationInfo | None = None


class PushConfigId(Wire, kw_only=True):
    """The task and the id of a webhook, to get or delete it (sections 3.1.8 and 3.1.10)."""

    task_id: str
    id: str

    def __post_init__(self) -> None:
        if not self.task_id or not self.id:
            raise ValueError("Expected a `taskId` and an `id` that are not empty")


class ListPushConfigs(Wire, kw_only=True):
    """`ListTaskPushNotificationConfigs` (section 3.1.9)."""

    task_id: str
    page_size: int = 0
    page_token: str = ""


class SendConfiguration(Wire, kw_only=True):
    """`SendMessageConfiguration` (section 3.2.2)."""

    accepted_output_modes: list[str] | None = None
    task_push_notification_config: PushConfig | None = None
    history_length: int | None = None
    return_immediately: bool = False

    def __post_init__(self) -> None:
        _check_length(self.history_length)


class SendMessage(Wire, kw_only=True):
    """`SendMessage` and `SendStreamingMessage` (sections 3.1.1 and 3.1.2)."""

    message: UserMessage
    configuration: SendConfiguration = msgspec.field(default_factory=SendConfiguration)
    metadata: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        _check_levels("metadata", self.metadata)


class ContextId(Wire, kw_only=True):
    """`DeleteThread`."""

    context_id: str


class TaskId(Wire, kw_only=True):
    """`GetTask`, `CancelTask` and `SubscribeToTask`."""

    id: str
    history_length: int | None = None

    def __post_init__(self) -> None:
        if not self.id:
            raise ValueError("Expected an `id` that is not empty")
        _check_length(self.history_length)


class ListTasks(Wire, kw_only=True):
    """`ListTasks` (section 3.1.4). An empty filter matches every task."""

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
        """`statusTimestampAfter` in µs since the epoch; None if it is absent."""
        return _microseconds(self.status_timestamp_after) if self.status_timestamp_after else None


def _check_length(length: int | None) -> None:
    if length is not None and length < 0:
        raise ValueError(f"Expected `historyLength` from 0 up, got {length}")


def _check_levels(name: str, value: Any) -> None:
    if too_deep(value):
        raise ValueError(f"Expected `{name}` nested at most {MAX_DEPTH} levels deep, got one that is nested deeper")


def _microseconds(text: str) -> int:
    """A time in the form of section 5.6.1, in µs since the epoch; finer digits are cut off."""
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
    """Convert `params`, decoded JSON, to `kind`. Unless `strict`, numbers and booleans may be text, as in a query.

    As the ProtoJSON format (protobuf.dev) requires, fields may have their proto names (`task_id`): "Parsers accept both
    the lowerCamelCase name and the original proto field name". And a null field counts as absent: "`null` is an
    accepted value for all field types and treated as the default value". Only `data`, and everything inside `data` and
    `metadata`, may be null: any JSON is allowed there.

    Raises:
        RequestError: `params` do not fit. The message names the place, what was expected, and what was there.
    """
    try:
        return msgspec.convert(_as_named(params, kind), kind, strict=strict)
    except (msgspec.ValidationError, ValueError) as error:
        raise RequestError(f"{error}.") from None


class _Field(NamedTuple):
    """A field's names in the proto and in JSON. `inner` is the type of the message, or of the `many`, that it holds."""

    proto: str
    json: str
    inner: type | None
    many: bool


class _Fields(NamedTuple):
    """The fields of a message type. `open` has the names of those that may be null.

    `plain` has the JSON names of those that hold no message.
    """

    all: list[_Field]
    open: frozenset[str]
    plain: frozenset[str]


def _as_named(value: Any, kind: type) -> Any:
    """The value with JSON's field names and without null fields, as deep as `kind` goes.

    If a field is there under both names, the value under JSON's name counts.
    """
    if not isinstance(value, dict):
        return value
    fields = _fields(kind)
    if value.keys() <= fields.plain and None not in value.values():
        return value  # The quick way for most parts; a message may have many thousands.
    named = {name: member for name, member in value.items() if member is not None or name in fields.open}
    for proto, json, inner, many in fields.all:
        if proto in named and json not in named:
            named[json] = named.pop(proto)
        if inner is not None and json in named:
            member = named[json]
            if many and isinstance(member, list):
                named[json] = [_as_named(each, inner) for each in member]
            else:
                named[json] = _as_named(member, inner)
    return named


@cache
def _fields(kind: type) -> _Fields:
    all_fields: list[_Field] = []
    holding_any: set[str] = set()
    hints = get_type_hints(kind)
    for each in msgspec.structs.fields(kind):
        hint = hints[each.name]
        options = [hint, *get_args(hint)]
        inner = next((option for option in options if isinstance(option, type) and issubclass(option, Struct)), None)
        all_fields.append(_Field(each.name, each.encode_name, inner, get_origin(hint) is list))
        if hint is Any:
            holding_any |= {each.name, each.encode_name}
    plain = frozenset(field.json for field in all_fields if field.inner is None)
    return _Fields(all_fields, frozenset(holding_any), plain)


def to_json(value: msgspec.Struct) -> Any:
    """The struct as JSON values. Fields without a value are left out."""
    return msgspec.to_builtins(value)
