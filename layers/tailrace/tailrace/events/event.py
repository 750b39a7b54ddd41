"""An event: something that happened to a task, as A2A 1.0 JSON (docs/PROTOCOL.md, section 2).

An event is encoded once, when it gets its seq. From then on it travels as bytes; `decode` reads it where its content
matters.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tailrace.decoding import nested_too_deep
from tailrace.errors import EventUnreadable
from tailrace.events.messages import Artifact, Message, Part, Status, Wire
from tailrace.events.metadata import NO_DETAILS, Details, Extensions, Metadata
from tailrace.events.plain import as_base, without_surrogates
from tailrace.events.states import INTERRUPTED, TERMINAL, Kind, State
from tailrace.events.times import now_ms, timestamp

_encode = msgspec.json.Encoder(enc_hook=as_base).encode  # authors name steps and files by texts of any class
# Inside a JSON string the quotes would be escaped, so these bytes stand in an event only as a key and a value.
_STATE_MARK = b'"kind":"state"'


class Source(msgspec.Struct, frozen=True):
    """What all events of one attempt have in common. `agent` is the agent that the task belongs to."""

    task_id: str
    context_id: str
    agent: str
    attempt: int


class Submitted(Wire, kw_only=True):
    """Event 1: the task as its user began it."""

    id: str
    context_id: str
    status: Status
    history: list[Message] = msgspec.field(default_factory=list)
    metadata: Extensions


class StatusUpdate(Wire, kw_only=True):
    """Something happened; if its kind is `state`, the task's state changed."""

    task_id: str
    context_id: str
    status: Status
    metadata: Extensions


class ArtifactUpdate(Wire, kw_only=True):
    """An artifact, or a piece of one: `append` adds its parts to those that the artifact has."""

    task_id: str
    context_id: str
    artifact: Artifact
    append: bool
    last_chunk: bool
    metadata: Extensions


class Event(Wire, kw_only=True):
    """Exactly one of the three; an A2A `StreamResponse`."""

    task: Submitted | None = None
    status_update: StatusUpdate | None = None
    artifact_update: ArtifactUpdate | None = None

    def __post_init__(self) -> None:
        if (self.task is None) + (self.status_update is None) + (self.artifact_update is None) != 2:
            raise ValueError("Expected exactly one of `task`, `statusUpdate` and `artifactUpdate`")

    @property
    def metadata(self) -> Metadata:
        """Our metadata, whichever of the three it is."""
        return self._any.metadata.ours

    @property
    def status(self) -> Status | None:
        """The task's status; None for an artifact update."""
        return None if isinstance(self._any, ArtifactUpdate) else self._any.status

    @property
    def user_messages(self) -> list[Message]:
        """The user's messages in it: the one that began the task, or a reply."""
        messages = list(self.task.history) if self.task is not None else []
        if self.status is not None and self.status.message is not None:
            messages.append(self.status.message)
        return [message for message in messages if message.role == "ROLE_USER"]

    @property
    def _any(self) -> Submitted | StatusUpdate | ArtifactUpdate:
        any_of_them = self.status_update or self.artifact_update or self.task
        assert any_of_them is not None, "__post_init__ has refused an event without one"
        return any_of_them


_decode = msgspec.json.Decoder(Event).decode


def encode(event: Any) -> bytes:
    """An event as JSON. A lone surrogate, which UTF-8 cannot have, becomes a question mark.

    Raises:
        TypeError, ValueError: its data is not JSON.
    """
    try:
        return _encode(event)
    except UnicodeEncodeError:
        return _encode(without_surrogates(msgspec.to_builtins(event, str_keys=True, enc_hook=as_base)))


def submitted(source: Source, message: Message) -> bytes:
    """Event 1 of a task: the task itself, with the user's message."""
    ts = now_ms()
    return encode(
        {
            "task": Submitted(
                id=source.task_id,
                context_id=source.context_id,
                status=Status(state="TASK_STATE_SUBMITTED", timestamp=timestamp(ts)),
                history=[message],
                metadata=Extensions(Metadata(seq=1, ts=ts, attempt=source.attempt, agent=source.agent, kind="state")),
            )
        }
    )


def status_update(
    source: Source,
    seq: int,
    kind: Kind,
    details: Details = NO_DETAILS,
    *,
    state: State = "TASK_STATE_WORKING",
    text: str | None = None,
    data: Any = msgspec.UNSET,
    message: Message | None = None,
    agent: str | None = None,
) -> bytes:
    """A `statusUpdate`, encoded.

    Args:
        state: the task's state; with `kind` "state", the state that it changes to.
        text, data: the agent's text, and data of JSON's types; they become the message of the status.
        message: the message of the status as it is, in place of `text` and `data`.
        agent: the agent that did it, if that is not the task's own (docs/PROTOCOL.md, section 2.6).
    """
    ts = now_ms()
    if text is not None or data is not msgspec.UNSET:
        parts = [*([] if text is None else [Part(text=text)]), *([] if data is msgspec.UNSET else [Part(data=data)])]
        message = agent_message(source, seq, *parts)
    metadata = Metadata(
        *msgspec.structs.astuple(details),
        seq=seq,
        ts=ts,
        attempt=source.attempt,
        agent=source.agent if agent is None else agent,
        kind=kind,
    )
    return encode(
        {
            "statusUpdate": StatusUpdate(
                task_id=source.task_id,
                context_id=source.context_id,
                status=Status(state=state, timestamp=timestamp(ts), message=message),
                metadata=Extensions(metadata),
            )
        }
    )


def artifact_update(
    source: Source,
    seq: int,
    kind: Kind,
    name: str,
    part: Part,
    *,
    append: bool = False,
    last: bool = False,
    step: str | None = None,
    parent: str | None = None,
    message: str | None = None,
) -> bytes:
    """An `artifactUpdate` with one part, encoded.

    Args:
        name: the artifact's name, which is also its id.
        append: whether the part is added to the artifact; otherwise the artifact begins anew with it.
        last: whether the artifact is complete with it.
        step, parent: the step that wrote it, and the step around that.
        message: the id of the model's message that the part belongs to.

    Raises:
        TypeError, ValueError: the part's data is not JSON.
    """
    metadata = Metadata(
        step=step,
        parent=parent,
        message=message,
        seq=seq,
        ts=now_ms(),
        attempt=source.attempt,
        agent=source.agent,
        kind=kind,
    )
    return encode(
        {
            "artifactUpdate": ArtifactUpdate(
                task_id=source.task_id,
                context_id=source.context_id,
                artifact=Artifact(artifact_id=name, name=name, parts=[part]),
                append=append,
                last_chunk=last,
                metadata=Extensions(metadata),
            )
        }
    )


def agent_message(source: Source, seq: int, *parts: Part) -> Message:
    """The agent's message in the event `seq`."""
    return Message(
        message_id=f"{source.task_id}-{seq}",
        role="ROLE_AGENT",
        parts=list(parts),
        context_id=source.context_id,
        task_id=source.task_id,
    )


def decode(event: bytes) -> Event:
    """The event in its JSON, as the log has it.

    Raises:
        EventUnreadable: it is not JSON, does not have the shape of an event, or is nested too deep.
    """
    if nested_too_deep(event):
        raise EventUnreadable("it is nested too deep")
    try:
        return _decode(event)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise EventUnreadable(str(error)) from None


def state_of(event: bytes) -> State | None:
    """The state that an event puts its task in; None if it does not change the state, or cannot be read.

    Only a change of state is decoded. For any other event this is one search of its bytes.
    """
    if _STATE_MARK not in event:
        return None
    try:
        status = decode(event).status
    except EventUnreadable:
        return None  # A reader of the stream goes on: the task's head has the state too.
    return None if status is None else status.state


def written_at(event: bytes) -> int | None:
    """When an event was written, in ms since the epoch by its writer's clock; None if it cannot be read."""
    try:
        return decode(event).metadata.ts
    except EventUnreadable:
        return None


def ends(event: bytes) -> State | None:
    """The state of an event after which nothing comes until the user acts: terminal, or waiting for input."""
    state = state_of(event)
    return state if state in TERMINAL or state in INTERRUPTED else None
