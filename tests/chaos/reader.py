"""Readers that behave as browsers and A2A clients do, and record every event that they get."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.chaos.callers import Caller
from tests.chaos.http import Broken, StreamedResponse, ask

_TERMINAL = b"TASK_STATE_COMPLETED", b"TASK_STATE_FAILED", b"TASK_STATE_CANCELED", b"TASK_STATE_REJECTED"


@dataclass
class Visit:
    """One connection: its cursor, the events that it showed, and how it ended."""

    cursor: int
    shown: list[tuple[int, bytes]] = field(default_factory=list)
    gaps: list[tuple[int, int]] = field(default_factory=list)
    # The number of events before `sync`, which the reader had missed.
    missed: int | None = None
    end: dict[str, Any] | None = None
    after_end: int = 0
    status: int | None = None
    # The seqs of events that were shown before the log had them.
    early: list[int] = field(default_factory=list)

    @property
    def last(self) -> int:
        return self.shown[-1][0] if self.shown else self.cursor


@dataclass
class Reader:
    """A reader of a task. A `faithful` one reads to the end and reconnects after each cut; others leave early."""

    name: str
    task: str
    port: int
    faithful: bool = True
    a2a: bool = False
    cursor: int = 0
    # After so many events the reader leaves for good.
    leaves_after: int | None = None
    # Returns the newest seq in the log, which it does not get from a stream.
    in_log: Callable[[], int] | None = None
    caller: Caller = field(default_factory=Caller)
    visits: list[Visit] = field(default_factory=list)
    finished: bool = False

    async def read(self, *, past_input: Callable[[], bool]) -> None:
        """Read until the task has ended or the reader leaves; reconnect after every cut.

        When a stream ends because the task waits for input, `past_input` says whether a reply was sent or will be.
        """
        pause_s = 0.05
        while not self.finished:
            visit = Visit(self.visits[-1].last if self.visits else self.cursor)
            self.visits.append(visit)
            with contextlib.suppress(Broken):
                await (self._subscribe(visit) if self.a2a else self._stream(visit))
            waits = visit.end is not None and visit.end["state"] == "TASK_STATE_INPUT_REQUIRED"
            if (visit.end is not None or visit.status == 204) and not (waits and past_input()):
                self.finished = not (visit.status == 204 and past_input())
            if visit.status in (400, 404):
                self.finished = True  # The checker reports it.
            await self.caller.is_to_ask_again(visit.status)
            if self.leaves_after is not None and sum(len(v.shown) for v in self.visits) >= self.leaves_after:
                self.finished = True
            await asyncio.sleep(pause_s)

    async def _stream(self, visit: Visit) -> None:
        """Read as a browser does: GET, with the cursor in the header that EventSource sends."""
        headers = {"Accept": "text/event-stream", **self.caller.headers()}
        if visit.cursor:
            headers["Last-Event-ID"] = str(visit.cursor)
        async with ask(self.port, "GET", f"/api/stream/{self.task}", headers=headers) as response:
            visit.status = response.status
            if response.status == 200:
                await self._frames(visit, response)

    async def _subscribe(self, visit: Visit) -> None:
        """Read as an A2A client of the agent that runs the task."""
        body = {"jsonrpc": "2.0", "id": self.name, "method": "SubscribeToTask", "params": {"id": self.task}}
        headers = {"A2A-Version": "1.0", "Last-Event-ID": str(visit.cursor), "x-tailrace-owner": self.caller.owner}
        async with ask(self.port, "POST", "/", headers=headers, body=body) as response:
            if not response.headers.get("content-type", "").startswith("text/event-stream"):
                return  # An error, for example because the store is away. The reader tries again.
            visit.status = response.status
            try:
                await self._frames(visit, response)
            finally:  # An A2A stream has no end frame: it ends with the terminal event.
                if visit.shown and any(mark in visit.shown[-1][1] for mark in _TERMINAL):
                    visit.end = {"seq": visit.last, "state": _state(visit.shown[-1][1])}

    async def _frames(self, visit: Visit, response: StreamedResponse) -> None:
        rest = b""
        async for chunk in response.chunks():
            *frames, rest = (rest + chunk).split(b"\n\n")
            before = visit.last
            for frame in frames:
                self._frame(visit, frame)
            if self.in_log is not None and visit.last > before:
                newest = self.in_log()
                visit.early += [seq for seq in range(before + 1, visit.last + 1) if seq > newest]
            if self.leaves_after is not None and len(visit.shown) >= self.leaves_after:
                return

    def _frame(self, visit: Visit, frame: bytes) -> None:
        """Take an SSE frame: lines of `name: value`, and comments, which begin with a colon."""
        fields = dict(line.split(b": ", 1) for line in frame.split(b"\n") if b": " in line and line[:1] != b":")
        if b"data" not in fields:
            return
        visit.after_end += visit.end is not None
        name, data = fields.get(b"event", b"").decode(), fields[b"data"]
        if name == "sync":
            visit.missed = len(visit.shown)
        elif name == "end":
            visit.end = json.loads(data)
        elif name == "gap":
            gap = json.loads(data)
            visit.gaps.append((gap["from"], gap["to"]))
        elif not name:
            _, _, result = data.partition(b'"result":')
            visit.shown.append((int(fields.get(b"id", b"-1")), result[:-1]))


def _state(event: bytes) -> str:
    body = json.loads(event)
    state: str = (body.get("statusUpdate") or body["task"])["status"]["state"]
    return state
