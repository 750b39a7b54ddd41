"""What a client gets of a task's stream."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from tailrace.a2a import incoming
from tailrace.a2a.client import RawEvent
from tailrace.authoring.ask import Question
from tailrace.client.task import Task, questions_of
from tailrace.errors import AgentError
from tailrace.events import EXTENSION, INTERRUPTED, TERMINAL, Details, Metadata
from tailrace.stream.reader import Gap

# Kinds beside those of docs/PROTOCOL.md, section 2.3.
SNAPSHOT, GAP, ANSWER = "snapshot", "gap", "answer"


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened to a task.

    - `kind`: what it reports: "state", "node_start", "token", "progress" … (docs/PROTOCOL.md, section 2.3). Three are
      the client's own. "gap": the events `details.first` … are gone, see `gap`. "snapshot": `task` is the whole task at
      this moment and replaces what came before; a server that cannot resume a stream sends it after a cut, and what
      happened in between is not told. "answer": the agent answers with one message, without a task.
    - `seq`: the event's number, 1, 2, 3 …, and the cursor to go on after it; None from a server without numbers.
    - `state`: the task's state, like "TASK_STATE_WORKING"; "" in an event about an artifact.
    - `agent`: who did it; "" if the server does not say.
    - `text`, `data`: the texts in it, put together, and the values of its data parts.
    - `artifact`: the name of the artifact that it is about; with `append` its parts are added to those before.
    - `details`: what else it says, like `step`, `parent`, `name`, `done` and `total`.
    - `questions`: what a task asks that waits for its user.
    - `json`: the event as it came, an A2A `StreamResponse`.
    """

    kind: str
    seq: int | None = None
    state: str = ""
    agent: str = ""
    artifact: str = ""
    append: bool = False
    parts: list[incoming.Part] = []
    details: Details = msgspec.field(default_factory=Details)
    task: Task | None = None
    gap: tuple[int, int] | None = None
    questions: list[Question] = []
    json: bytes = b""

    @property
    def text(self) -> str:
        """The texts in it, put together."""
        return "".join(part.text for part in self.parts if part.text is not None)

    @property
    def data(self) -> list[Any]:
        """The values of its data parts."""
        return [part.data for part in self.parts if part.data is not None]

    @property
    def ended(self) -> bool:
        """Whether the task is finished with it."""
        return self.kind in ("state", SNAPSHOT, ANSWER) and self.state in TERMINAL

    @property
    def waits(self) -> bool:
        """Whether the task waits for its user with it."""
        return self.kind in ("state", SNAPSHOT) and self.state in INTERRUPTED


class Broken(NamedTuple):
    """The event `seq` of a stream cannot be read; `reason` says why."""

    seq: int
    reason: str


def gap_event(gap: Gap) -> Event:
    """The event for events that are gone."""
    return Event(kind=GAP, seq=gap.last, gap=(gap.first, gap.last))


def numbered_event(raw: RawEvent, source: str) -> Event | Broken:
    """The event in a stream with seqs. `Broken` if it is not an event of A2A."""
    try:
        return event_of(raw.seq, incoming.event_in(incoming.decoded(raw.json, source), source), raw.json)
    except AgentError as error:
        return Broken(raw.seq or 0, str(error))


def event_of(seq: int | None, event: incoming.Event, json: bytes = b"", *, before: str = "") -> Event:
    """The event that a server sent. `before` is the task's state before it, for a server without our metadata."""
    if event.message is not None:
        return Event(kind=ANSWER, state="TASK_STATE_COMPLETED", parts=event.message.parts, json=json)
    if (update := event.artifact_update) is not None:
        metadata, artifact = metadata_in(update.metadata), update.artifact
        is_text = all(part.text is not None and part.filename is None for part in artifact.parts)
        return Event(
            kind=metadata.kind if metadata else "token" if is_text else "result",
            seq=seq,
            agent=metadata.agent if metadata else "",
            artifact=artifact.name or artifact.artifact_id,
            append=update.append,
            parts=artifact.parts,
            details=metadata or Details(),
            json=json,
        )
    if (begun := event.task) is not None:
        metadata, status = metadata_in(begun.metadata), begun.status
        return Event(
            kind=metadata.kind if metadata else SNAPSHOT,
            seq=seq,
            state=status.state,
            agent=metadata.agent if metadata else "",
            parts=status.message.parts if status.message else [],
            details=metadata or Details(),
            task=Task.of(begun),
            questions=questions_of(status),
            json=json,
        )
    changed = event.status_update
    assert changed is not None, "an event has one of the four"
    metadata, status = metadata_in(changed.metadata), changed.status
    return Event(
        kind=metadata.kind if metadata else "state" if status.state != before else "progress",
        seq=seq,
        state=status.state,
        agent=metadata.agent if metadata else "",
        parts=status.message.parts if status.message else [],
        details=metadata or Details(),
        questions=questions_of(status),
        json=json,
    )


def metadata_in(metadata: dict[str, Any]) -> Metadata | None:
    """Our metadata of an event; None if there is none, or if it is a snapshot's."""
    try:
        return msgspec.convert(metadata[EXTENSION], Metadata)
    except (KeyError, msgspec.ValidationError):
        return None
