"""What another agent sends, as types: its card, its events, its tasks (specification, section 4).

Decoded once, where it arrives. As ProtoJSON readers do, these ignore fields they do not know, take null for "not given"
and take the proto's names of fields (`task_id`) too. Whatever else does not fit is refused with its place.
Shapes of 0.3 are taken as 1.0's (`v0_3_client`).
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

# How many values one answer or event may hold, as many as there are brackets and commas in it. Each takes some hundred
# bytes when it is decoded, and two in the JSON.
MOST_VALUES = 500_000
# What is kept of a name that an agent gives itself.
_LONGEST_NAME = 80


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
    role: str = ""
    parts: list[Part] = []

    @property
    def text(self) -> str:
        """What it says, as text."""
        return "\n".join(part.text for part in self.parts if part.text is not None)


class Status(_Incoming):
    """`state` may be one that we do not know: then the task goes on."""

    state: str
    message: Message | None = None


class Artifact(_Incoming):
    artifact_id: str
    name: str = ""
    parts: list[Part] = []


class Task(_Incoming):
    id: str
    status: Status
    context_id: str = ""
    artifacts: list[Artifact] = []

    @property
    def ended(self) -> bool:
        """Whether nothing more comes by itself: it is finished, or waits for an answer."""
        return ended(self.status.state)


class StatusUpdate(_Incoming):
    task_id: str
    status: Status
    metadata: dict[str, Any] = {}


class ArtifactUpdate(_Incoming):
    task_id: str
    artifact: Artifact
    append: bool = False
    last_chunk: bool = False


class Event(_Incoming):
    """A `StreamResponse`: exactly one of its four."""

    task: Task | None = None
    message: Message | None = None
    status_update: StatusUpdate | None = None
    artifact_update: ArtifactUpdate | None = None

    def __post_init__(self) -> None:
        given = [self.task, self.message, self.status_update, self.artifact_update]
        if sum(each is not None for each in given) != 1:
            raise ValueError("Expected one of `task`, `message`, `statusUpdate` and `artifactUpdate`")


class Skill(_Incoming):
    id: str = ""
    name: str = ""
    description: str = ""
    tags: list[str] = []
    examples: list[str] = []


class Extension(_Incoming):
    uri: str = ""
    params: dict[str, Any] = {}


class Capabilities(_Incoming):
    streaming: bool | None = None
    extensions: list[Extension] = []


class Interface(_Incoming):
    """Where and how an agent is called; `transport` is what 0.3 calls the binding."""

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
    supported_interfaces: list[Interface] = []
    url: str = ""
    preferred_transport: str = "JSONRPC"
    additional_interfaces: list[Interface] = []

    def __post_init__(self) -> None:
        printable = "".join(each if each.isprintable() else " " for each in self.name)
        self.name = shorten(" ".join(printable.split()), _LONGEST_NAME)
        if not self.name:
            raise ValueError("Expected a `name` that is not empty")


def decoded(body: bytes, source: str) -> Any:
    """JSON that `source` sent.

    Raises:
        AgentError: it is none, is nested too deep, or holds too much.
    """
    if body.count(b"[") + body.count(b"{") + body.count(b",") > MOST_VALUES:
        raise AgentError(f"{source} sent JSON with more than {MOST_VALUES:,} values.", malformed=True)
    try:
        return decode_json(body, "It")
    except JsonError as error:
        raise AgentError(f"{source} sent something that is no JSON: {error}", malformed=True) from None


def ended(state: str) -> bool:
    return state in TERMINAL or state in INTERRUPTED


def card_in(given: Any, source: str) -> AgentCard:
    """A card, from decoded JSON that `source` sent.

    Raises:
        AgentError: it is none. The message names the place.
    """
    return _read(given, AgentCard, f"{source} is no agent card")


def event_in(given: Any, source: str) -> Event:
    """An event of a stream, or what SendMessage answers. Raises as `card_in` does."""
    if isinstance(given, dict) and "kind" in given:
        given = v0_3_client.event_from_v0_3(given)
    return _read(given, Event, f"{source} sent something that is no event of A2A")


def task_in(given: Any, source: str) -> Task:
    """What GetTask answers. Raises as `card_in` does."""
    given = v0_3_client.result_from_v0_3("GetTask", given)
    return _read(given, Task, f"{source} sent something that is no task of A2A")


def _read(given: Any, kind: type[T], what: str) -> T:
    try:
        return convert(given, kind)
    except RequestError as error:
        raise AgentError(f"{what}: {shorten(str(error), 200)}", malformed=True) from None
