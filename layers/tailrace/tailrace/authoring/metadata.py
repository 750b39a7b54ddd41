"""What may stand in the metadata of an event that a graph tells, beside what the writer puts there.

`emit` checks what it is given by these types, so that whoever reads the log (`agent.past`, a page) can rely on them.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from tailrace.authoring.run_context import DelegatedTask
from tailrace.decoding import MAX_DEPTH, too_deep

# What JavaScript can count to.
_MOST = 2**53

Count = Annotated[int, msgspec.Meta(ge=-_MOST, le=_MOST)] | float
Time = Annotated[int, msgspec.Meta(ge=0, le=_MOST)]
# What a graph tells by itself, and what it may pass on besides of another agent. States are the runner's to tell.
Own = Literal["route", "node_start", "node_end", "tool_start", "tool_complete", "progress"]
PassedOn = Literal[Own, "attempt", "handoff"]

_WRITERS = frozenset({"seq", "ts", "attempt", "checkpoint", "checkpoints"})


class Target(msgspec.Struct):
    """An agent that is asked, and why."""

    agent: str
    reason: str


class Origin(msgspec.Struct):
    """Where an event comes from that is passed on: the task at the other agent, and the seq there."""

    task: str
    seq: Annotated[int, msgspec.Meta(ge=1, le=_MOST)]


class Details(msgspec.Struct, kw_only=True):
    """The further keys of docs/PROTOCOL.md, sections 2.3 and 2.6. None is left out."""

    text: str | None = None
    step: str | None = None
    parent: str | None = None
    name: str | None = None
    done: Count | None = None
    total: Count | None = None
    input: str | None = None
    output: str | None = None
    error: str | None = None
    interrupted: bool | None = None
    targets: list[Target] | None = None
    asked: DelegatedTask | None = None
    agent: str | None = None
    at: Time | None = None


class _Told(Details):
    kind: Own


class _PassedOn(Details):
    kind: PassedOn
    agent: str
    origin: Origin
    reason: str | None = None
    supersedes: list[str] | None = None


def check(told: dict[str, Any]) -> None:
    """Refuse what must not become an event. What has an `origin` is passed on from another agent.

    Raises:
        ValueError: a key has a value that it cannot have, or is the writer's own.
    """
    if taken := _WRITERS & told.keys():
        raise ValueError(f"emit() got {sorted(taken)[0]!r}, which is not for the caller to say.")
    passed_on = told.get("origin") is not None
    try:
        msgspec.convert(told, _PassedOn if passed_on else _Told)
        msgspec.json.encode(told)
    except (msgspec.ValidationError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise ValueError(f"emit() cannot tell this: {error}.") from None
    if too_deep(told):
        raise ValueError(f"emit() cannot tell this: it is nested deeper than {MAX_DEPTH} levels.")
