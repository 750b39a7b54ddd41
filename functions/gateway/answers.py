"""What the API answers about tasks, streams and agents, as JSON (docs/PROTOCOL.md, section 6.1)."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from gateway.streams import OpenStream
from tailrace.a2a.task import Task


class Begun(msgspec.Struct, rename="camel"):
    """A task that exists now."""

    id: str
    context_id: str
    stream_url: str


class Accepted(msgspec.Struct, rename="camel"):
    """A task whose reply was accepted."""

    id: str
    context_id: str


class Cancelling(msgspec.Struct):
    """A task that is cancelled, or whose runner was asked to cancel it."""

    id: str


class TaskPage(msgspec.Struct, rename="camel"):
    """A page of the caller's tasks, newest first; the last page has the token ""."""

    tasks: list[Task]
    next_page_token: str


class OpenStreams(msgspec.Struct):
    """The caller's streams that this process has open, and how many it has places for."""

    streams: list[OpenStream]
    limit: int


class AgentList(msgspec.Struct):
    """The agents' cards, the default one's first, and the prices of models by name, in dollars per million tokens."""

    agents: list[dict[str, Any]]
    prices: dict[str, Any]


class Health(msgspec.Struct):
    """The gateway answers."""

    status: Literal["ok"] = "ok"
