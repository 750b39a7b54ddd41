"""A task's stream as the checks read it: over many connections, every event once and in order."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import Any

import msgspec

from deploy.smoke.report import SmokeError
from tailrace.events import EXTENSION
from tailrace.stream.sse import Parser, ServerSentEvent

_EXACTLY_ONCE = "this is a bug, please report it, with `GET /api/stream/ID?cursor=0` and the gateway's log lines."


@dataclass
class StreamRecord:
    """What was received of a stream, over all its connections."""

    events: list[bytes] = field(default_factory=list)
    end: dict[str, Any] | None = None
    # How long to wait before the next connection, and how often the server asked for a pause because nothing came.
    retry_s: float = 2.0
    pauses: int = 0
    # For each connection, seconds from the request to the first byte and to the first event.
    first_byte_s: list[float] = field(default_factory=list)
    first_event_s: list[float] = field(default_factory=list)
    # For live events: seconds between chunks, and from each event's time (by the server's clock) to its arrival.
    gaps_s: list[float] = field(default_factory=list)
    delays_s: list[float] = field(default_factory=list)
    # Seconds for which connections were open, and from the request for the task to its end.
    open_s: float = 0.0
    lasted_s: float = 0.0

    @property
    def kinds(self) -> list[str]:
        """The kind of each event; empty for those that have none. A run that sleeps is not handed on."""
        kinds = [(str(each.get("kind", "")), each.get("reason")) for each in map(metadata_of, self.events)]
        return ["sleep" if each == ("handoff", "sleep") else each[0] for each in kinds]

    @property
    def cost(self) -> str:
        """What the last event says that the run took; empty if it does not say it."""
        cost = metadata_of(self.events[-1]).get("cost", {})
        return ", ".join(f"{value:,.5g} {name.replace('_', ' ')}" for name, value in cost.items())


class Connection:
    """One connection of a stream. Puts what comes through it into `record`, up to `stop_after` events in all."""

    def __init__(self, record: StreamRecord, stop_after: int | None) -> None:
        self.has_begun = False
        self._record = record
        self._stop_after = stop_after
        self._parser = Parser()
        self._started = time.monotonic()
        self._cursor = len(record.events)
        self._live = False
        self._last_live_s: float | None = None

    def note_chunk(self, chunk: bytes) -> bool:
        """Note a chunk, which has just arrived. Return whether nothing more is to be read.

        Raises:
            SmokeError: an event was lost or repeated.
        """
        now, record = time.monotonic(), self._record
        if not self.has_begun:
            self.has_begun = True
            record.first_byte_s.append(now - self._started)
        for message in self._parser.feed(chunk):
            if message.name == "gap":
                raise SmokeError(f"The stream has a gap: {message.data.decode()}.", _EXACTLY_ONCE)
            if message.name == "end":
                record.end = json.loads(message.data)
                return True
            if message.name == "pause":
                record.pauses += 1
            if message.name:
                self._live = True  # after `sync`, events come as they happen
                continue
            self._note_event(message, now)
            if len(record.events) == self._stop_after:
                return True
        if self._parser.retry_ms is not None:
            record.retry_s = self._parser.retry_ms / 1000
        return False

    def close(self) -> None:
        """Note that the connection is closed."""
        self._record.open_s += time.monotonic() - self._started

    def _note_event(self, message: ServerSentEvent, now: float) -> None:
        record = self._record
        if int(message.id) != len(record.events) + 1:
            raise SmokeError(f"Event {message.id} came after event {len(record.events)}.", _EXACTLY_ONCE)
        if len(record.events) == self._cursor:
            record.first_event_s.append(now - self._started)
        record.events.append(message.data)
        if self._live:
            record.delays_s.append(time.time() - float(metadata_of(message.data)["ts"]) / 1000)
            if self._last_live_s is not None and self._last_live_s != now:
                record.gaps_s.append(now - self._last_live_s)
            self._last_live_s = now


def metadata_of(event: bytes) -> dict[str, Any]:
    """Return our metadata of an event as it comes in a stream."""
    (result,) = msgspec.json.decode(event)["result"].values()
    metadata: dict[str, Any] = result["metadata"][EXTENSION]
    return metadata
