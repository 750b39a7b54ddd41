"""A gateway and one agent behind real HTTP servers in the test's own event loop, over one log."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import msgspec
from starlette.requests import Request

from tailrace.log import EventLog
from tailrace.stream.sse import Parser, ServerSentEvent

Until = Callable[["Seen"], bool]
# Headers of every request of the tests' client. The gateway wants the content type also without a body.
ALICE = {"x-test-owner": "alice", "content-type": "application/json"}
# A stream that has not ended after so long hangs, on any machine.
_HANGS_S = 120


def header_owner(request: Request) -> str | None:
    """Tests name the owner in a header; without it there is none."""
    return request.headers.get("x-test-owner") or None


@dataclass
class Seen:
    """What a reader saw of a stream: seqs and events in the order of arrival, and the control frames."""

    seqs: list[int] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    controls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def add(self, message: ServerSentEvent) -> None:
        data = msgspec.json.decode(message.data)
        if message.name:
            self.controls.append((message.name, data))
        else:
            self.seqs.append(int(message.id))
            self.events.append(data["result"])

    @property
    def ended(self) -> bool:
        return bool(self.controls) and self.controls[-1][0] == "end"

    @property
    def state(self) -> str:
        return str(self.controls[-1][1]["state"]) if self.ended else ""


async def post_task(http: httpx.AsyncClient, *parts: dict[str, Any], **headers: str) -> str:
    """Create a task at a gateway; return its id."""
    response = await http.post("/api/tasks", json={"message": {"parts": list(parts)}}, headers=headers)
    assert response.status_code == 201, response.text
    return str(response.json()["id"])


async def read_stream(
    http: httpx.AsyncClient,
    task_id: str,
    *,
    cursor: int = 0,
    until: Until = lambda seen: seen.ended,
) -> Seen:
    """Read a task's stream from a gateway until `until` holds or the server closes it."""
    seen, parser = Seen(), Parser()
    headers = {"Last-Event-ID": str(cursor)} if cursor else {}
    async with asyncio.timeout(_HANGS_S), http.stream("GET", f"/api/stream/{task_id}", headers=headers) as response:
        assert response.status_code == 200, await response.aread()
        async for chunk in response.aiter_bytes():
            for message in parser.feed(chunk):
                seen.add(message)
                if until(seen):
                    return seen
    return seen


@dataclass
class System:
    """A running gateway with one agent, and a client whose owner is `alice`."""

    url: str
    log: EventLog
    http: httpx.AsyncClient

    async def post(self, *parts: dict[str, Any], **headers: str) -> str:
        """Create a task; return its id."""
        return await post_task(self.http, *parts, **headers)

    async def read(self, task_id: str, *, cursor: int = 0, until: Until = lambda seen: seen.ended) -> Seen:
        """Read a stream until `until` holds or the server closes it."""
        return await read_stream(self.http, task_id, cursor=cursor, until=until)
