"""Forwards a specialist's events as events of the task that asks it (docs/PROTOCOL.md, section 2.6)."""

from __future__ import annotations

from typing import Any

import msgspec

from tailrace.a2a.incoming import StatusUpdate
from tailrace.a2a.remote_task import AgentEvent
from tailrace.authoring.emission import ForwardedKind
from tailrace.authoring.emit import emit
from tailrace.errors import shorten
from tailrace.events import EXTENSION, INTERRUPTED, ForwardedDetails, Origin, Time, now_ms

# The most forwarded events of one specialist that is not our own.
MAX_EVENTS = 5_000
# Limits of what is forwarded, in characters and in step ids.
_LONGEST_TEXT, _LONGEST_VALUE, _LONGEST_ID, _MOST_IDS = 4_000, 500, 200, 1_000


class _ForeignMetadata(ForwardedDetails, kw_only=True):
    """Another agent's metadata of one of its events, as far as it is forwarded."""

    kind: ForwardedKind
    agent: str | None = None
    ts: Time | None = None


class _Kind(msgspec.Struct):
    kind: str


class Forwarding:
    """Forwards the events of another agent, which is named `agent` and asked in the step `below`.

    Only an own agent (`trusted`) may say which agent did something and in which step. All events of any other agent are
    its own, and its steps get names that none of our steps has. No event is said to be of `me`, the agent that asks.
    `since` is when the specialist was asked, in ms since the epoch: another agent's times before that, or in the
    future, are dropped. `notes` say what is not forwarded.
    """

    def __init__(self, agent: str, below: str, *, me: str, trusted: bool, since: int) -> None:
        self.agent = another(agent, me)
        self.notes: list[str] = []
        self._below = below
        self._me = me
        self.trusted = trusted
        self._since = since
        self._parents: dict[str, str] = {}
        self._forwarded = 0
        self._noted_unreadable = False

    def forward(self, task: str | None, event: AgentEvent) -> None:
        """Emit one event of the specialist's `task` as one of ours. States and artifacts are not forwarded."""
        update = event.event.status_update
        if update is None or task is None:
            return
        metadata = self._metadata(update, event.seq)
        text = update.status.message.text if update.status.message is not None else ""
        if metadata is None and not text:
            return
        self._forwarded += 1
        if not self.trusted and self._forwarded > MAX_EVENTS:
            if self._forwarded == MAX_EVENTS + 1:
                self.notes.append(f"Only the first {MAX_EVENTS:,} of its steps are shown.")
            return
        text = shorten(text, _LONGEST_TEXT)
        if metadata is None or event.seq is None:
            # What it says with a state, or while it works without the extension, is its progress.
            # Of a question, the event that passes it on has the origin.
            asks = update.status.state in INTERRUPTED
            origin = None if event.seq is None or asks else Origin(task, event.seq)
            emit("progress", text=text, step=self._below, agent=self.agent, origin=origin)
        else:
            self._emit(metadata, text, Origin(task, event.seq))

    def _metadata(self, update: StatusUpdate, seq: int | None) -> _ForeignMetadata | None:
        """Return the extension's metadata of an event; None if it has none that can be forwarded."""
        metadata = update.metadata.get(EXTENSION)
        if metadata is None or seq is None:
            return None
        try:
            return msgspec.convert(metadata, _ForeignMetadata)
        except msgspec.ValidationError as error:
            if not self._noted_unreadable and not _is_of_another_kind(metadata):
                self._noted_unreadable = True
                self.notes.append(f"Some of its events could not be read: {shorten(str(error), 200)}.")
            return None

    def _emit(self, metadata: _ForeignMetadata, text: str, origin: Origin) -> None:
        superseded = metadata.supersedes
        emit(
            metadata.kind,
            text=text or None,
            step=self._step(metadata.step),
            parent=self._parent(metadata),
            agent=another(metadata.agent, self._me) if self.trusted and metadata.agent else self.agent,
            at=self._time(metadata),
            origin=origin,  # for the cursor of a new attempt
            name=_short(metadata.name, _LONGEST_ID),
            done=metadata.done,
            total=metadata.total,
            input=_short(metadata.input, _LONGEST_VALUE),
            output=_short(metadata.output, _LONGEST_VALUE),
            error=_short(metadata.error, _LONGEST_VALUE),
            reason=_short(metadata.reason, _LONGEST_ID),
            supersedes=None if superseded is None else [self._named(step) for step in superseded[:_MOST_IDS]],
        )

    def _parent(self, metadata: _ForeignMetadata) -> str:
        """Return the parent step of an event. For another agent it is one that it has started before, or `below`."""
        parent = self._step(metadata.parent) or self._below
        if self.trusted:
            return parent
        if parent not in self._parents:
            parent = self._below
        step = self._step(metadata.step)
        if step is None or metadata.kind not in ("node_start", "tool_start"):
            return parent
        # A step keeps its first parent, so that no step can be its own ancestor.
        return self._parents.setdefault(step, parent)

    def _time(self, metadata: _ForeignMetadata) -> int | None:
        """Return when an event happened, in ms since the epoch by the specialist's clock; None if unknown."""
        at = metadata.ts if metadata.at is None else metadata.at
        return at if self.trusted or at is None or self._since <= at <= now_ms() else None

    def _step(self, step: str | None) -> str | None:
        return None if step is None else self._named(step)

    def _named(self, step: str) -> str:
        """Return the step's name: an own agent's as it is, another agent's below our step."""
        return step if self.trusted else f"{self._below}/{shorten(step, _LONGEST_ID)}"


def another(name: str, me: str) -> str:
    """Return the name of another agent, changed if it is `me`."""
    return f"{name} (another)" if name == me else name


def _is_of_another_kind(metadata: Any) -> bool:
    """Return whether it is a kind of event that is not forwarded: a state, a route, an artifact, or a new one."""
    try:
        kind = msgspec.convert(metadata, _Kind).kind
    except msgspec.ValidationError:
        return False
    return kind not in ForwardedKind.__args__  # type: ignore[attr-defined]


def _short(text: str | None, limit: int) -> str | None:
    return None if text is None else shorten(text, limit)
