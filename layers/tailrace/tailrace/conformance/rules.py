"""The rules that hold for every frame of every stream, in every scenario. Each one names its requirement."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from tailrace.conformance.interfaces import TERMINAL, WAITING, Event, Interface, event_of
from tailrace.conformance.wire import UNREADABLE, Frame, Wire


class Broken(AssertionError):
    """A server violates the requirement `rule` of PROTOCOL.md."""

    def __init__(self, rule: str, what: str) -> None:
        super().__init__(f"({rule}) {what}")
        self.rule = rule


@dataclass
class Known:
    """What the streams of a scenario have shown of a task so far. `events` are its events by version and seq."""

    events: dict[tuple[bool, int], Any] = field(default_factory=dict)
    attempts: dict[int, int] = field(default_factory=dict)
    last: int = 0
    terminal: int | None = None
    origins: dict[str, dict[int, int]] = field(default_factory=dict)


@dataclass
class Stream:
    """One connection: its request's parameters and what has arrived."""

    via: Interface
    task: str
    cursor: int | None
    wire: Wire
    known: Known
    frames: list[Frame] = field(default_factory=list)
    seqs: list[int] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    gaps: list[dict[str, int]] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)
    ended: str = ""
    paused: bool = False

    @property
    def last(self) -> int | None:
        """The seq of the last event, or the cursor if there was none; None before the snapshot."""
        if self.seqs:
            return self.seqs[-1]
        return self.cursor

    def take(self, frame: Frame) -> None:
        """Check and add the next frame. Raises `Broken`."""
        if self.ended and (self.via.browser or self.ended in TERMINAL):
            raise Broken("4.6b", f"a {frame.kind} frame after the stream had ended ({self.ended})")
        if self.paused:
            raise Broken("6.8b", f"a {frame.kind} frame after a pause")
        if frame.odd:
            raise Broken("4.1a", f"a line that is not of an event stream: {frame.odd[0]!r}")
        if self.via.browser and not self.frames and frame.kind != "retry":
            raise Broken("6.4a", f"the first frame is {frame.kind}, not retry")
        self.frames.append(frame)
        if frame.kind == "event":
            self._event(frame)
        elif frame.data:
            self._control(frame)
        elif frame.ids:
            raise Broken("4.2d", f"a {frame.kind} frame has the id {frame.ids[0]!r}")

    def _event(self, frame: Frame) -> None:
        if len(frame.data) != 1:
            raise Broken("4.1b", f"an event has {len(frame.data)} data lines")
        if len(frame.ids) != 1 or not frame.ids[0].isdigit():
            raise Broken("4.2a", f"an event has the ids {frame.ids}, not one seq")
        seq, event = int(frame.ids[0]), self._unwrapped(frame.data[0])
        snapshot = self.last is None
        self._place(seq, snapshot)
        self._metadata(seq, event, snapshot)
        if not snapshot:
            self._same(seq, event)
        self._state(seq, event)
        self.seqs.append(seq)
        self.events.append(event)
        self._add(event)
        self.known.last = max(self.known.last, seq)

    def _unwrapped(self, data: str) -> Event:
        try:
            payload = json.loads(data)
            if not self.via.bare:
                expected = self.task if self.via.browser else self.via.rpc_id
                if payload.get("jsonrpc") != "2.0" or payload.get("id") != expected or "result" not in payload:
                    raise Broken("4.2c", f"an event's data is not the JSON-RPC response to {expected!r}: {data[:120]}")
                payload = payload["result"]
            event = event_of(payload)
        except UNREADABLE as error:
            raise Broken("2.1b", f"an event cannot be read ({error!r}): {data[:120]}") from None
        if event.task != self.task:
            raise Broken("2.1b", f"an event is of task {event.task!r}")
        return event

    def _place(self, seq: int, snapshot: bool) -> None:
        if snapshot:
            return
        assert self.last is not None
        expected = max(self.last, self.gaps[-1]["to"] if self.gaps else 0) + 1
        if seq < expected:
            raise Broken("3.1b", f"event {seq} came instead of {expected}: it is repeated")
        if seq > expected:
            raise Broken("3.1b", f"event {seq} came instead of {expected}: events are skipped")

    def _metadata(self, seq: int, event: Event, snapshot: bool) -> None:
        if event.meta.get("seq") != seq:
            raise Broken("4.2b", f"the id is {seq}, and the seq in the metadata is {event.meta.get('seq')!r}")
        if snapshot:
            if event.form != "task":
                raise Broken("5.3a", f"the first event is a {event.form}, not the task")
            return
        kinds = {"ts": int, "attempt": int, "agent": str, "kind": str}
        for key, kind in kinds.items():
            if not isinstance(event.meta.get(key), kind):
                raise Broken("2.2a", f"event {seq} has {key} {event.meta.get(key)!r} in its metadata")
        if seq == 1 and (event.form != "task" or event.state != "SUBMITTED" or not event.body.get("history")):
            raise Broken("2.1a", f"event 1 is a {event.form} in the state {event.state}")
        if seq > 1 and event.form not in ("statusUpdate", "artifactUpdate"):
            raise Broken("2.1b", f"event {seq} is a {event.form}")

    def _same(self, seq: int, event: Event) -> None:
        known = self.known
        before = known.events.setdefault((self.via.via == "0.3", seq), event.body)
        if before != event.body:
            raise Broken("2.1c", f"event {seq} differs from what an earlier stream showed")
        attempt = known.attempts.setdefault(seq, int(event.meta["attempt"]))
        if attempt < known.attempts.get(seq - 1, 0):
            raise Broken("2.2b", f"event {seq} is of attempt {attempt}, event {seq - 1} of a later one")
        if known.terminal is not None and seq > known.terminal:
            raise Broken("2.5a", f"event {seq} comes after the terminal event {known.terminal}")
        if origin := event.meta.get("origin"):
            forwarded = known.origins.setdefault(origin["task"], {})
            forwarded[seq] = origin["seq"]
            if any(other >= origin["seq"] for at, other in forwarded.items() if at < seq):
                raise Broken("2.6a", f"event {seq} forwards {origin} a second time")

    def _state(self, seq: int, event: Event) -> None:
        if event.state in TERMINAL | WAITING and event.kind not in ("state", ""):
            raise Broken("2.3a", f"event {seq} of kind {event.kind} has the state {event.state}")
        if event.state in TERMINAL and event.kind == "state":
            self.known.terminal = seq
        if not self.via.browser:
            # A stream goes on after a question that was answered before it was sent.
            ends = event.state in TERMINAL or (event.state in WAITING and self.via.sends)
            self.ended = str(event.state) if ends else ""
        if (
            self.via.via == "0.3"
            and event.form == "statusUpdate"
            and event.body["final"] is not (event.state in TERMINAL | WAITING)
        ):
            raise Broken("5.7a", f"event {seq} has the state {event.state} and final {event.body['final']}")

    def _add(self, event: Event) -> None:
        if event.form == "task":
            for artifact in event.body.get("artifacts") or []:
                self.texts[artifact["artifactId"]] = "".join(part.get("text", "") for part in artifact["parts"])
        if update := event.text:
            artifact, text, appended = update
            if appended and artifact not in self.texts and self.cursor in (None, 0):
                raise Broken("2.4a", f"text is appended to {artifact!r}, which does not exist")
            self.texts[artifact] = self.texts.get(artifact, "") + text if appended else text
        if event.kind == "result" and (event.body["append"] or not event.body["lastChunk"]):
            raise Broken("2.4c", "a result has `append` or lacks `lastChunk`")

    def _control(self, frame: Frame) -> None:
        if frame.ids:
            raise Broken("4.2d", f"a {frame.kind} frame has the id {frame.ids[0]!r}")
        if not self.via.browser:
            raise Broken("4.2a", f"an event has the line `event: {frame.name}`")
        payload = json.loads(frame.data[0])
        if frame.kind == "ping" and frame.data != ["{}"]:
            raise Broken("4.3c", f"a ping has the data {frame.data}")
        if frame.kind == "pause":
            self.paused = True
            retries = self.frames[-2].retries if len(self.frames) > 1 else []
            if retries != [str(payload["ms"])] or not any(each.kind == "sync" for each in self.frames):
                raise Broken("6.8b", f"a pause of {payload['ms']} ms after {self.frames[-2].kind} {retries}")
        if frame.kind == "sync":
            if sum(each.kind == "sync" for each in self.frames) > 1:
                raise Broken("6.4b", "a second sync")
            if payload != {"seq": self._position}:
                raise Broken("6.4b", f"sync has {payload}, and the reader is at {self._position}")
        elif frame.kind == "gap":
            if payload["from"] != self._position + 1 or payload["to"] < payload["from"]:
                raise Broken("6.5a", f"a gap {payload} at {self._position}")
            self.gaps.append(payload)
        elif frame.kind == "end":
            self.ended = str(payload["state"]).removeprefix("TASK_STATE_")
            if payload["seq"] != self._position:
                raise Broken("6.6a", f"end has the seq {payload['seq']}, and the reader is at {self._position}")
            if self.events and self.events[-1].state != self.ended:
                raise Broken("6.6a", f"end has the state {self.ended}, and the last event {self.events[-1].state}")
            if self.ended not in TERMINAL | WAITING:
                raise Broken("6.6a", f"end has the state {self.ended}")

    @property
    def _position(self) -> int:
        return max(self.last or 0, self.gaps[-1]["to"] if self.gaps else 0)
