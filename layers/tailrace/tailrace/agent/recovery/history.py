"""What happened in a task before an attempt begins, as far as the attempt has to know it."""

from __future__ import annotations

import logging
from typing import Any

import msgspec

from tailrace.authoring.run_context import DelegatedTask
from tailrace.errors import LogUnreadable
from tailrace.events import EXTENSION, INTERRUPTED, State, state_of
from tailrace.log import EventLog, Head

logger = logging.getLogger("tailrace.tasks")

WORKER_LOST, WORKER_STOPPED, HANDED_OFF = "worker lost", "worker stopped", "handoff"


class Step(msgspec.Struct):
    """One execution of a node, or of a tool in it, by the task's own agent. `began` is the seq of its start."""

    id: str
    name: str
    parent: str | None
    tool: bool
    began: int
    ended: bool = False
    superseded: bool = False


class Fence(msgspec.Struct):
    """How an attempt began: from which `checkpoint` (empty: from none), and for what `reason`."""

    checkpoint: str
    reason: str


class History(msgspec.Struct):
    """A task so far. `last` is the seq of its newest event, `messages` what the user said, oldest first.

    `superseded` tells of a step which attempt began it again, `texts` has the streamed text of each artifact by
    the step that wrote it, `asked` the tasks at other agents by the tool step that asked, `answered` those of them
    that are over, `questions` how many messages there were when a step first asked the user, `fences` the attempts
    since the user said something, of which `attempt` is the number of the last and `pins` what it went on from: a
    checkpoint's id by its namespace. `question` is what the agent last asked.
    """

    messages: list[dict[str, Any]] = []
    last: int = 0
    state: State = "TASK_STATE_SUBMITTED"
    steps: dict[str, Step] = {}
    superseded: dict[str, int] = {}
    texts: dict[str, list[tuple[str | None, str]]] = {}
    asked: dict[str, DelegatedTask] = {}
    answered: set[str] = set()
    questions: dict[str, int] = {}
    fences: list[Fence] = []
    attempt: int = 0
    pins: dict[str, str] = {}
    question: dict[str, Any] | None = None
    handed_off: bool = False

    @property
    def open_delegated_tasks(self) -> dict[str, DelegatedTask]:
        """What other agents were asked and have not answered."""
        return {step: asked for step, asked in self.asked.items() if step not in self.answered}

    def attempts_lost_at(self, checkpoint: str, reason: str) -> int:
        """How many attempts in a row were lost that began at `checkpoint` and came no further.

        `reason` is why the next one is to begin. One that handed off or was stopped is not counted.
        """
        lost = 0
        for fence in reversed(self.fences):
            if fence.checkpoint != checkpoint:
                break
            lost += reason == WORKER_LOST
            reason = fence.reason
        return lost


class _Origin(msgspec.Struct):
    """Where a forwarded event comes from: the task at the other agent, and the seq there."""

    task: str
    seq: int


class _Meta(msgspec.Struct):
    """Our metadata of an event, as far as it matters here."""

    kind: str
    agent: str
    attempt: int
    step: str | None = None
    parent: str | None = None
    name: str = ""
    interrupted: bool = False
    checkpoint: str = ""
    checkpoints: dict[str, str] = {}
    reason: str = ""
    supersedes: list[str] = []
    asked: DelegatedTask | None = None
    origin: _Origin | None = None


class _Metadata(msgspec.Struct):
    ours: _Meta = msgspec.field(name=EXTENSION)


class _Artifact(msgspec.Struct):
    artifactId: str
    parts: list[dict[str, Any]]


class _Status(msgspec.Struct, frozen=True):
    message: dict[str, Any] | None = None


class _Update(msgspec.Struct):
    metadata: _Metadata
    status: _Status = _Status()
    artifact: _Artifact | None = None
    append: bool = False
    history: list[dict[str, Any]] = []


class _Event(msgspec.Struct):
    task: _Update | None = None
    statusUpdate: _Update | None = None
    artifactUpdate: _Update | None = None


_decode = msgspec.json.Decoder(_Event).decode
# What comes of an event of a shape, or a depth, that is not ours.
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, LookupError, TypeError, AttributeError)
# What users said, and how attempts began. Inside a JSON string the quotes would be escaped.
_DECISIVE = (b'"kind":"state"', b'"kind":"attempt"')


async def history_of(log: EventLog, head: Head, history: History | None = None) -> History:
    """Read the history of the head's task; with an earlier `history`, add to it what came since.

    An event that cannot be decoded is skipped with a warning, unless it may decide how the run goes on.

    Raises:
        LogUnreadable: such an event cannot be decoded, or a part of the log cannot be unpacked.
    """
    history = history or History()
    while batches := await log.read(head.task_id, history.last):
        for batch in batches:
            for seq, event in enumerate(batch.events, batch.seq):
                try:
                    _note(history, head, seq, event)
                except _UNREADABLE as error:
                    if any(mark in event for mark in _DECISIVE):
                        raise LogUnreadable(head.task_id, seq, error) from None
                    logger.warning("task %s: event %d is passed over, it cannot be read: %s", head.task_id, seq, error)
            history.last = batch.last
    return history


def _note(history: History, head: Head, seq: int, event: bytes) -> None:
    decoded = _decode(event)
    update = decoded.statusUpdate or decoded.artifactUpdate or decoded.task
    if update is None:
        return
    meta = update.metadata.ours
    _note_messages(history, [*update.history, update.status.message], meta)
    if meta.attempt > history.attempt:
        history.attempt, history.pins = meta.attempt, meta.checkpoints
        history.fences.append(Fence(meta.checkpoint, meta.reason))
    if update.artifact is not None and meta.kind == "token":
        _note_text(history, update.artifact, meta.step, append=update.append)
    elif meta.origin is not None:  # whatever name it gives itself, another agent did that
        _note_forwarded(history, meta.origin)
    elif meta.agent == head.agent:
        _note_own(history, meta, seq)
    if state := state_of(event):
        history.state = state
        history.question = update.status.message if state in INTERRUPTED else None


def _note_messages(history: History, messages: list[dict[str, Any] | None], meta: _Meta) -> None:
    said = [message for message in messages if message and message["role"] == "ROLE_USER"]
    if said and meta.kind == "state":
        history.messages += said
        history.fences.clear()


def _note_text(history: History, artifact: _Artifact, step: str | None, *, append: bool) -> None:
    texts = history.texts.setdefault(artifact.artifactId, [])
    if not append:
        texts.clear()
    texts += [(step, part["text"]) for part in artifact.parts]


def _note_own(history: History, meta: _Meta, seq: int) -> None:
    history.handed_off = meta.kind == "handoff"
    if meta.kind == "attempt":
        for superseded in meta.supersedes:
            if superseded in history.steps:
                history.steps[superseded].superseded = True
            history.superseded[superseded] = meta.attempt
    elif meta.step is None:
        return
    elif meta.kind in ("node_start", "tool_start"):
        tool = meta.kind == "tool_start"
        history.steps[meta.step] = Step(meta.step, meta.name, meta.parent, tool, seq)
        if meta.asked is not None:
            history.asked[meta.step] = meta.asked
    elif meta.kind in ("node_end", "tool_complete") and (step := history.steps.get(meta.step)):
        step.ended = True
        if meta.interrupted:
            history.questions.setdefault(meta.step, len(history.messages))
        if meta.step in history.asked:
            history.answered.add(meta.step)


def _note_forwarded(history: History, origin: _Origin) -> None:
    for asked in history.asked.values():
        if asked.task == origin.task:
            asked.cursor = max(asked.cursor, origin.seq)
