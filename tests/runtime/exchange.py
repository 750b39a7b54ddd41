"""An invocation and its parts, between the caller of a function and the environment that answers."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from tests.runtime.sandbox import Environment


@dataclass
class Prelude:
    status: int
    headers: dict[str, str]
    cookies: list[str]


@dataclass
class Whole:
    """A response in one piece."""

    body: bytes
    content_type: str


@dataclass
class End:
    """The end of a response. `error` is set if the invocation failed before or during the response."""

    error: dict[str, Any] | None = None


Part = Prelude | Whole | bytes | End


@dataclass
class Invocation:
    """One invocation, from its caller to the environment that handles it."""

    event: dict[str, Any]
    streamed: bool
    timeout_s: float
    client_context: str | None = None
    identity: str | None = None
    tenant: str | None = None
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    echo: str = field(default_factory=lambda: uuid.uuid4().hex)
    trace: str | None = field(
        default_factory=lambda: f"Root=1-{uuid.uuid4().hex[:8]}-{uuid.uuid4().hex[:24]};Sampled=0"
    )
    # Bounded: a slow reader makes the runtime wait, as on AWS.
    parts: asyncio.Queue[Part] = field(default_factory=lambda: asyncio.Queue(2))
    chunks: list[int] = field(default_factory=list)
    """The size of every chunk of the body."""
    state: Literal["queued", "running", "answering", "answered"] = "queued"
    environment: Environment | None = None
    over: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the runtime requests the next invocation: only then is this one finished."""
    failed: dict[str, Any] | None = None
    """Why the runtime never requested the next invocation."""
    given_s: float = 0.0
    over_s: float = 0.0
    """When the environment got it and when it was over, by `time.monotonic`: Lambda bills what is between."""
