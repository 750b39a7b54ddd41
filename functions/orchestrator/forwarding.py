"""What a specialist does while it works, told as events of the task that asked it (docs/PROTOCOL.md, section 2.6)."""

from __future__ import annotations

from typing import Any

import msgspec

from tailrace.a2a.conversation import AgentEvent
from tailrace.a2a.incoming import StatusUpdate
from tailrace.authoring.emission import ForwardedKind
from tailrace.authoring.emit import emit
from tailrace.errors import shorten
from tailrace.events import EXTENSION, ForwardedDetails, Origin, Time, now_ms

# Of one specialist that is not our own.
_MOST_EVENTS = 5_000
# What is shown of it is not archived.
_LONGEST_TEXT, _LONGEST_VALUE, _LONGEST_ID, _MOST_IDS = 4_000, 500, 200, 1_000


class _ForeignMetadata(ForwardedDetails, kw_only=True):
    """What another agent says of one of its events, as far as it is forwarded."""

    kind: ForwardedKind
    agent: str = ""
    ts: Time | None = None


class _Kind(msgspec.Struct):
    kind: str


class Forwarding:
    """Tells what the specialist `agent` does, below the step `below`, on which it is asked.

    Only one of our own is believed when it says who did something and on which step: what any other tells is its own,
    and its steps have names that no step of ours can have. `me` is who tells it, and is never said to have done it.
    `since` is when it was asked, in ms since the epoch: an event of another agent is from between then and now, or has
    no time of its own. `notes` say what is not told.
    """

    def __init__(self, agent: str, below: str, *, me: str, trusted: bool, since: int) -> None:
        self.agent = another(agent, me)
        self.notes: list[str] = []
        self._below = below
        self._me = me
        self._trusted = trusted
        self._since = since
        self._parents: dict[str, str] = {}
        self._told = 0
        self._unread = False

    def forward(self, task: str | None, told: AgentEvent) -> None:
        """One event of the specialist's task as one of ours. Its states and artifacts are not told."""
        update = told.event.status_update
        if update is None or task is None:
            return
        metadata = self._metadata(update, told.seq)
        text = update.status.message.text if update.status.message is not None else ""
        if metadata is None and not text:
            return
        self._told += 1
        if not self._trusted and self._told > _MOST_EVENTS:
            if self._told == _MOST_EVENTS + 1:
                self.notes.append(f"Only the first {_MOST_EVENTS:,} of its steps are shown.")
            return
        text = shorten(text, _LONGEST_TEXT)
        if metadata is None or told.seq is None:
            # An agent that knows nothing of the extension: what it says while it works is its progress.
            emit("progress", text=text, step=self._below, agent=self.agent)
        else:
            self._pass_on(metadata, text, Origin(task, told.seq))

    def _metadata(self, update: StatusUpdate, seq: int | None) -> _ForeignMetadata | None:
        """What the extension says of an event; None for one that is told by its text, if that."""
        given = update.metadata.get(EXTENSION)
        if given is None or seq is None:
            return None
        given = {key: value for key, value in given.items() if value is not None} if isinstance(given, dict) else given
        try:
            return msgspec.convert(given, _ForeignMetadata)
        except msgspec.ValidationError as error:
            if not self._unread and not _is_of_another_kind(given):
                self._unread = True
                self.notes.append(f"What it says of its steps could not all be read: {shorten(str(error), 200)}.")
            return None

    def _pass_on(self, metadata: _ForeignMetadata, text: str, origin: Origin) -> None:
        superseded = metadata.supersedes
        emit(
            metadata.kind,
            text=text or None,
            step=self._step(metadata.step),
            parent=self._parent(metadata),
            agent=another(metadata.agent, self._me) if self._trusted and metadata.agent else self.agent,
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
        """The step below which an event stands. Of another agent that is one which it has begun before, or ours."""
        parent = self._step(metadata.parent) or self._below
        if self._trusted:
            return parent
        if parent not in self._parents:
            parent = self._below
        step = self._step(metadata.step)
        if step is None or metadata.kind not in ("node_start", "tool_start"):
            return parent
        # A step stays where it was first, so none can stand below itself.
        return self._parents.setdefault(step, parent)

    def _time(self, metadata: _ForeignMetadata) -> int | None:
        """When an event happened, by the clock of where it did."""
        at = metadata.ts if metadata.at is None else metadata.at
        return at if self._trusted or at is None or self._since <= at <= now_ms() else None

    def _step(self, step: str | None) -> str | None:
        return None if step is None else self._named(step)

    def _named(self, step: str) -> str:
        """The step under a name that no step of ours has, unless it is an own agent's."""
        return step if self._trusted else f"{self._below}/{shorten(step, _LONGEST_ID)}"


def another(name: str, me: str) -> str:
    """The name of another agent, told apart from `me`."""
    return f"{name} (another)" if name == me else name


def _is_of_another_kind(given: Any) -> bool:
    """Whether it is a kind of event that is not told here: a state, a route, an artifact, or one that is new."""
    try:
        kind = msgspec.convert(given, _Kind).kind
    except msgspec.ValidationError:
        return False
    return kind not in ForwardedKind.__args__  # type: ignore[attr-defined]


def _short(text: str | None, limit: int) -> str | None:
    return None if text is None else shorten(text, limit)
