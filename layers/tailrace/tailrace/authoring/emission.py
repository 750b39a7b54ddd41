"""What travels from a node or a tool through LangGraph's custom stream to the attempt that runs the graph.

A status is checked where it is emitted, so that every reader of the log can rely on its types.
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

import msgspec

from tailrace.events import Details, Kind, Part, as_base, without_surrogates

# The kinds that a graph emits about its own work. Only the runner emits states, attempts and hand-offs.
OwnKind = Literal["route", "node_start", "node_end", "tool_start", "tool_complete", "progress"]
# The kinds that a graph may forward from another agent.
ForwardedKind = Literal[OwnKind, "attempt", "handoff"]


# msgspec would turn these into texts before they are checked: a decimal would not be a number, and errors would name
# the wrong type.
_NOT_TEXTS = (Decimal, UUID, bytes, datetime, date, time, timedelta)


# The artifact of an agent's answer.
RESPONSE = "response"


class EmittedStatus(msgspec.Struct, frozen=True):
    """A status update. `agent` is the agent that did it, if that is not the task's own."""

    kind: Kind
    text: str | None
    agent: str | None
    details: Details


class EmittedText(msgspec.Struct, frozen=True):
    """A piece of the streamed text artifact named `artifact`, written by `step`.

    `tried` counts how often LangGraph had begun the node when it wrote this: 1, or more after retries.
    `replaces` says that this replaces what the step has written into the artifact.
    """

    artifact: str
    text: str
    step: str | None
    tried: int = 1
    replaces: bool = False


class EmittedArtifact(msgspec.Struct, frozen=True):
    """The whole artifact named `artifact`, of one part, written by `step`."""

    artifact: str
    part: Part
    step: str | None


class _Own(msgspec.Struct):
    kind: OwnKind
    text: str | None
    agent: str | None


class _Forwarded(msgspec.Struct):
    kind: ForwardedKind
    text: str | None
    agent: str


def checked(status: EmittedStatus) -> EmittedStatus:
    """The status, after its values were checked. A status with an `origin` is forwarded from another agent.

    Raises:
        ValueError: a key has a value that it cannot have; the message names both.
    """
    details = status.details
    if details.origin is not None and status.agent is None:
        raise ValueError("emit() got an `origin` without an `agent`; name the agent that the event is forwarded from.")
    named: dict[str, Any] = {"kind": status.kind, "text": status.text, "agent": status.agent}
    try:
        msgspec.convert(named, _Own if details.origin is None else _Forwarded)
        checked_details = msgspec.to_builtins(details, builtin_types=_NOT_TEXTS, enc_hook=as_base)
        try:
            msgspec.json.encode((named, checked_details), enc_hook=as_base)
        except UnicodeEncodeError:
            named, checked_details = without_surrogates(named), without_surrogates(checked_details)
        details = msgspec.convert(checked_details, Details)
    except (msgspec.ValidationError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise ValueError(f"emit() cannot write this event: {error}.") from None
    return EmittedStatus(status.kind, named["text"], named["agent"], details)
