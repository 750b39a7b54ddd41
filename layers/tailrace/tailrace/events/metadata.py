"""Our metadata of an event, under the key `EXTENSION` (docs/PROTOCOL.md, sections 2.2, 2.3 and 2.6)."""

from __future__ import annotations

from typing import Annotated

import msgspec

from tailrace.events.states import EXTENSION

# Up to here, every integer is exact in JavaScript.
MAX_INTEGER = 2**53

Count = Annotated[int, msgspec.Meta(ge=-MAX_INTEGER, le=MAX_INTEGER)] | float
Time = Annotated[int, msgspec.Meta(ge=0, le=MAX_INTEGER)]


class Target(msgspec.Struct, frozen=True):
    """An agent that is asked, and why."""

    agent: str
    reason: str


class Origin(msgspec.Struct, frozen=True):
    """The event of another agent that was forwarded: that agent's task, and the seq there."""

    task: str
    seq: Annotated[int, msgspec.Meta(ge=1, le=MAX_INTEGER)]


class Usage(msgspec.Struct, frozen=True):
    """The tokens that chat models have read and written, in so many calls."""

    input: Annotated[int, msgspec.Meta(ge=0, le=MAX_INTEGER)] = 0
    output: Annotated[int, msgspec.Meta(ge=0, le=MAX_INTEGER)] = 0
    calls: Annotated[int, msgspec.Meta(ge=0, le=MAX_INTEGER)] = 1

    def __add__(self, other: Usage) -> Usage:
        return Usage(self.input + other.input, self.output + other.output, self.calls + other.calls)


class Cost(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a run has taken so far: seconds of its processes, requests to DynamoDB, and the units that these consumed.

    These are None without DynamoDB. `model_dollars` is what the tokens of its models cost; None if the price of one of
    them is not configured.
    """

    seconds: float = 0.0
    requests: int | None = None
    read_units: float | None = None
    write_units: float | None = None
    model_dollars: float | None = None


class DelegatedTask(msgspec.Struct, omit_defaults=True):
    """A task that a step of a run has at another agent.

    `url` is the agent's URL. `since` is when the agent was first asked, in ms since the epoch; 0 if that is unknown.
    `cursor` is the seq there of the last event that was forwarded. No event contains it: a reader of the log finds it.
    """

    url: str
    task: str
    cursor: int = 0
    since: int = 0


class ForwardedDetails(msgspec.Struct, omit_defaults=True):
    """The keys that an event has in common with one that is forwarded from another agent.

    `step` is the execution of a node or tool, `parent` the step around it. `at` is when it happened at the other agent,
    in ms since the epoch.
    """

    step: str | None = None
    parent: str | None = None
    name: str | None = None
    done: Count | None = None
    total: Count | None = None
    input: str | None = None
    output: str | None = None
    error: str | None = None
    reason: str | None = None
    supersedes: list[str] | None = None
    at: Time | None = None


class Details(ForwardedDetails, omit_defaults=True):
    """All keys beside the five that every event has. A key without a value is left out of the JSON.

    `checkpoint` and `checkpoints` are a fence's: how far the run had come, and the checkpoint's id for each namespace.
    A task's COMPLETED event has its final `checkpoints`. Both have the id of LangGraph's `thread`.
    `message` is the id of the model's message that a text is part of, and `call` the id that a model gave to its call
    of a tool. `input_size` and `output_size` are the lengths, in characters, of an `input` or `output` that is cut.
    `graph` belongs to the start of a node: of the graphs that its parent calls, the number of the one that it is in,
    from 1. The first graph has none. `caller` belongs to the start of a `@task`: the step that has called it. `tried`
    says in which try of its caller, else of its parent, a node begins; in the first one it has none.
    """

    interrupted: bool | None = None
    targets: list[Target] | None = None
    asked: DelegatedTask | None = None
    origin: Origin | None = None
    checkpoint: str | None = None
    checkpoints: dict[str, str] | None = None
    thread: str | None = None
    message: str | None = None
    call: str | None = None
    input_size: int | None = None
    output_size: int | None = None
    usage: Usage | None = None
    cost: Cost | None = None
    cached: bool | None = None
    graph: int | None = None
    caller: str | None = None
    tried: int | None = None


# For an event without any of them. Never changed.
NO_DETAILS = Details()


class Metadata(Details, omit_defaults=True, kw_only=True):
    """All of an event's metadata. `kind` may be one that we do not know: a newer version may have written it."""

    seq: int
    ts: int
    attempt: int
    agent: str
    kind: str


class Extensions(msgspec.Struct):
    """The `metadata` of an event: ours among those of other extensions, which are ignored."""

    ours: Metadata = msgspec.field(name=EXTENSION)
