"""The types of what other agents send: cards, events and tasks (specification, section 4).

JSON is decoded once, where it arrives. These types have only the fields that we read. As ProtoJSON readers do, they
ignore unknown fields, treat a null field as absent, and accept the proto's field names (`task_id`). Anything else
that does not fit is refused, with its place. Shapes of 0.3 are converted first (`compat/v0_3/client.py`).
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from tailrace.a2a.compat.v0_3 import client as v0_3_client
from tailrace.a2a.types import convert
from tailrace.decoding import decode_json
from tailrace.errors import AgentError, JsonError, RequestError, shorten
from tailrace.events import INTERRUPTED, TERMINAL

T = TypeVar("T")

# Maximum number of values in one answer or event, counted by its brackets and commas. A value of two bytes in the JSON
# takes some hundred bytes when it is decoded.
MAX_VALUES = 500_000
# Maximum length of an agent's name; the rest is cut off.
_MAX_NAME_CHARS = 80


class _Incoming(msgspec.Struct, rename="camel", omit_defaults=True, kw_only=True):
    pass


class Part(_Incoming):
    """One piece of a message or an artifact: text, data, or a file by its content (`raw`, base64) or `url`.

    A part of a kind we do not know has none of them.
    """

    text: str | None = None
    raw: str | None = None
    url: str | None = None
    data: Any = None
    filename: str | None = None
    media_type: str | None = None


class Message(_Incoming):
    """A message of the agent, or of its user."""

    role: str = ""
    parts: list[Part] = []
    message_id: str = ""

    @property
    def text(self) -> str:
        """The text of its text parts, joined by line breaks."""
        return "\n".join(part.text for part in self.parts if part.text is not None)


class Status(_Incoming):
    """A task's state and the message with it. A state that we do not know is not an end of the task."""

    state: str
    message: Message | None = None


class Artifact(_Incoming):
    """A result of a task."""

    artifact_id: str
    name: str = ""
    parts: list[Part] = []


class Task(_Incoming):
    """A task at another agent (section 4.1.1). `id` is that agent's id for it."""

    id: str
    status: Status
    context_id: str = ""
    artifacts: list[Artifact] = []
    metadata: dict[str, Any] = {}

    @property
    def ended(self) -> bool:
        """Whether the task is finished, or waits for its user."""
        return ended(self.status.state)


class StatusUpdate(_Incoming):
    """A change of a task's status, or progress: A2A's `TaskStatusUpdateEvent`."""

    task_id: str
    status: Status
    metadata: dict[str, Any] = {}


class ArtifactUpdate(_Incoming):
    """An artifact, or with `append` more parts of one: A2A's `TaskArtifactUpdateEvent`."""

    task_id: str
    artifact: Artifact
    append: bool = False
    last_chunk: bool = False
    metadata: dict[str, Any] = {}


class Event(_Incoming):
    """A `StreamResponse`: exactly one of its four members."""

    task: Task | None = None
    message: Message | None = None
    status_update: StatusUpdate | None = None
    artifact_update: ArtifactUpdate | None = None

    def __post_init__(self) -> None:
        members = [self.task, self.message, self.status_update, self.artifact_update]
        if sum(each is not None for each in members) != 1:
            raise ValueError("Expected one of `task`, `message`, `statusUpdate` and `artifactUpdate`")


class Skill(_Incoming):
    """What another agent can do, as its card says. `input_modes` replace the card's, if there are any."""

    id: str = ""
    name: str = ""
    description: str = ""
    tags: list[str] = []
    examples: list[str] = []
    input_modes: list[str] = []


class Extension(_Incoming):
    """An extension of A2A that another agent supports."""

    uri: str = ""
    params: dict[str, Any] = {}


class Capabilities(_Incoming):
    """The optional parts of A2A that another agent supports. `streaming` is None if its card does not say."""

    streaming: bool | None = None
    extensions: list[Extension] = []


class Interface(_Incoming):
    """An address of an agent and the protocol there. In 0.3 the binding is called `transport`."""

    url: str = ""
    protocol_binding: str = ""
    protocol_version: str = ""
    transport: str = ""


class AgentCard(_Incoming):
    """The card of another agent, of 1.0 or 0.3. `name` is one line of at most 80 characters."""

    name: str
    description: str = ""
    skills: list[Skill] = []
    capabilities: Capabilities = msgspec.field(default_factory=Capabilities)
    default_input_modes: list[str] = []
    supported_interfaces: list[Interface] = []
    url: str = ""
    preferred_transport: str = "JSONRPC"
    additional_interfaces: list[Interface] = []

    def __post_init__(self) -> None:
        printable = "".join(each if each.isprintable() else " " for each in self.name)
        self.name = shorten(" ".join(printable.split()), _MAX_NAME_CHARS)
        if not self.name:
            raise ValueError("Expected a `name` that is not empty")


def decoded(body: bytes, source: str) -> Any:
    """Decode JSON that `source` sent.

    Raises:
        AgentError: it is not JSON, is nested too deep, or has too many values.
    """
    if body.count(b"[") + body.count(b"{") + body.count(b",") > MAX_VALUES:
        raise AgentError(f"{source} sent JSON with more than {MAX_VALUES:,} values.", malformed=True)
    try:
        return decode_json(body, "It")
    except JsonError as error:
        raise AgentError(f"{source} sent something that is not JSON: {error}", malformed=True) from None


def ended(state: str) -> bool:
    """Whether a task in this state is finished, or waits for its user. An unknown state is neither."""
    return state in TERMINAL or state in INTERRUPTED


def card_in(value: Any, source: str) -> AgentCard:
    """Convert decoded JSON that `source` sent to a card.

    Raises:
        AgentError: it is not a card. The message names the place.
    """
    return _read(value, AgentCard, f"{source} is not an agent card")


def event_in(value: Any, source: str) -> Event:
    """Convert decoded JSON, from a stream or the answer of SendMessage, to an event. Raises as `card_in` does."""
    if isinstance(value, dict) and "kind" in value:
        value = v0_3_client.event_from_v0_3(value)
    return _read(value, Event, f"{source} sent something that is not an event of A2A")


def task_in(value: Any, source: str) -> Task:
    """Convert the decoded answer of GetTask to a task. Raises as `card_in` does."""
    value = v0_3_client.result_from_v0_3("GetTask", value)
    return _read(value, Task, f"{source} sent something that is not a task of A2A")


def _read(value: Any, kind: type[T], what: str) -> T:
    try:
        return convert(value, kind)
    except RequestError as error:
        raise AgentError(f"{what}: {shorten(str(error), 200)}", malformed=True) from None
