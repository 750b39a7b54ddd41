"""A task's history: what a new attempt has to know of its events."""

from __future__ import annotations

import asyncio
import logging

import msgspec

from tailrace.agent.answers import Exchange
from tailrace.errors import EventUnreadable, LogUnreadable
from tailrace.events import (
    INTERRUPTED,
    ArtifactUpdate,
    Cost,
    DelegatedTask,
    Message,
    Metadata,
    Origin,
    State,
    Usage,
    decode,
)
from tailrace.log import EventLog, Head
from tailrace.stream.writer import Piece

logger = logging.getLogger("tailrace.tasks")

WORKER_LOST, WORKER_STOPPED, HANDED_OFF, REPLIED = "worker lost", "worker stopped", "handoff", "reply"


class Step(msgspec.Struct):
    """One execution of a node, or of a tool in a node, by the task's own agent. `began` is the seq of its start.

    `graph` says which of the graphs it is in that its parent calls: 0, 1, 2 … `handles` is the step that has failed if
    this is its error handler; `parent` is that step's parent then, because both are in the same graph. `caller` is the
    step that has called it if it is a `@task`. `tried` says in which try of its caller or parent it began.
    """

    id: str
    name: str
    parent: str | None
    tool: bool
    began: int
    ended: bool = False
    superseded: bool = False
    graph: int = 0
    handles: str | None = None
    caller: str | None = None
    tried: int = 1

    @property
    def around(self) -> str | None:
        """The step that has called it, else the one whose graph it is in; None for a node of the agent's own graph."""
        return self.caller or self.parent

    @property
    def is_of_a_retry(self) -> bool:
        """Whether it has begun in a later try of the step around it, and not again since."""
        return self.tried > 1 and not self.superseded

    def is_within(self, around: Step | None) -> bool:
        """Whether the step is directly inside the step `around`; None stands for the graph itself."""
        return self.parent == (None if around is None else around.id)


class Fence(msgspec.Struct):
    """How an attempt started: the `checkpoint` that it resumed from ("" for none), and the `reason` for the attempt.

    `seq` is that of its first event.
    """

    checkpoint: str
    reason: str
    seq: int


class History(msgspec.Struct):
    """A task so far.

    - `messages`: the user's messages, the oldest first.
    - `last`: the seq of the newest event.
    - `steps`: the steps by id; `superseded`: by step id, the attempt that ran the step again.
    - `texts`: by artifact id, the streamed text in pieces. `results`: the ids of other artifacts, from steps.
    - `usage`: the tokens of all models so far, and `models`: those of each model. `cost`: what the attempts have taken.
    - `began`: when the latest attempt began, `heard`: when it last wrote; in ms since the epoch. `began` is 0 when it
      has said what it took.
    - `delegated`: the delegated tasks by the tool step that started them; `ended_delegations`: the steps whose task has
      ended.
    - `exchanges`: the messages in which the task asked, each with the user's reply.
    - `questions`: by step id, how many messages there were when the step first asked the user.
    - `fences`: the attempts since the user's newest message.
    - `attempt`: the number of the latest attempt; `pins`: by namespace, the id of the checkpoint that it resumed from.
    - `thread`: the id of LangGraph's thread; None before the first attempt, and for a task of an earlier version.
    - `base`: as `pins`, of the first attempt: where the task before this one had left the thread.
    - `question`: the agent's newest message that waits for input.
    - `handed_off`: whether the latest attempt ended with a hand-off.
    """

    messages: list[Message] = []
    last: int = 0
    state: State = "TASK_STATE_SUBMITTED"
    steps: dict[str, Step] = {}
    superseded: dict[str, int] = {}
    texts: dict[str, list[Piece]] = {}
    results: set[str] = set()
    usage: Usage = Usage(calls=0)
    models: dict[str, Usage] = {}
    cost: Cost = Cost()
    began: int = 0
    heard: int = 0
    delegated: dict[str, DelegatedTask] = {}
    ended_delegations: set[str] = set()
    exchanges: list[Exchange] = []
    questions: dict[str, int] = {}
    fences: list[Fence] = []
    attempt: int = 0
    pins: dict[str, str] = {}
    thread: str | None = None
    base: dict[str, str] = {}
    question: Message | None = None
    handed_off: bool = False

    def reply(self, message: Message, at: int) -> None:
        """Note the user's first message, or the reply to the task's question. `at` is when, in ms since the epoch."""
        self.messages.append(message)
        self.fences.clear()
        if self.exchanges and self.exchanges[-1].reply is None:
            self.exchanges[-1].reply, self.exchanges[-1].at = message, at

    def ask(self, message: Message) -> None:
        """Note that the task waits with this message. After a lost attempt it may say the same message again."""
        self.question = message
        if not self.exchanges or self.exchanges[-1].message.message_id != message.message_id:
            self.exchanges.append(Exchange(message))

    def note_cost(self, metadata: Metadata) -> None:
        """Note what the attempts took. One that was lost has taken the time from its first event to its last."""
        if metadata.attempt > self.attempt:
            if self.began:
                lost_s = max(0, self.heard - self.began) / 1000
                self.cost = msgspec.structs.replace(self.cost, seconds=self.cost.seconds + lost_s)
            self.began = metadata.ts
        self.heard = metadata.ts
        if metadata.cost is not None:
            self.cost, self.began = metadata.cost, 0

    @property
    def open_delegated_tasks(self) -> dict[str, DelegatedTask]:
        """The delegated tasks that have not ended, by the tool step that started them."""
        return {step: task for step, task in self.delegated.items() if step not in self.ended_delegations}

    @property
    def asking_delegations(self) -> set[str]:
        """The tool steps whose delegated task has asked the user, and that have not begun again since."""
        ended = {step for step in self.delegated if step in self.steps and self.steps[step].ended}
        return ended - self.ended_delegations

    def attempts_lost_at(self, checkpoint: str, reason: str) -> int:
        """How many of the latest attempts in a row started at `checkpoint` and were lost before they got further.

        `reason` is the reason for the next attempt. Attempts that were stopped do not count. One that handed off ends
        the row: it has lived.
        """
        lost = 0
        for fence in reversed(self.fences):
            if fence.checkpoint != checkpoint or reason == HANDED_OFF:
                break
            lost += reason == WORKER_LOST
            reason = fence.reason
        return lost

    @property
    def attempts_without_a_step(self) -> int:
        """How many of the latest attempts in a row have begun no step."""
        newest = max((step.began for step in self.steps.values()), default=0)
        return sum(fence.seq > newest for fence in self.fences)


def add_tokens(models: dict[str, Usage], model: str | None, usage: Usage) -> None:
    """Add the tokens of a call to those of its model."""
    models[model or ""] = models.get(model or "", Usage(calls=0)) + usage


# Events that decide how a run goes on: users' messages, and fences. Inside a JSON string the quotes would be escaped.
_DECISIVE = (b'"kind":"state"', b'"kind":"attempt"')

_ORIGIN, _TIME, _DIGITS = b'"origin":', b'"ts":', 13

# After about this many events, other tasks of the process have a turn.
_AT_ONCE = 200


async def history_of(log: EventLog, head: Head, history: History | None = None, *, only_first: bool = False) -> History:
    """Read the history of the head's task; with an earlier `history`, add to it what came since.

    `only_first` says that the task has no event but the first one, so that one read is enough.

    An event that cannot be decoded is skipped with a warning, unless it may decide how the run goes on.

    Raises:
        LogUnreadable: such an event cannot be decoded, or a part of the log cannot be unpacked.
    """
    history = history or History()
    breath = history.last + _AT_ONCE
    while batches := await log.read(head.task_id, history.last):
        for batch in batches:
            end = _progress_end(head, history.attempt)
            for seq, event in enumerate(batch.events, batch.seq):
                if (at := _progress_at(event, end)) is not None:
                    history.heard, history.handed_off = at, False
                    continue
                try:
                    _note(history, head, seq, event)
                except EventUnreadable as error:
                    if any(mark in event for mark in _DECISIVE):
                        raise LogUnreadable(head.task_id, seq, error) from None
                    logger.warning(
                        "task %s: event %d is skipped, because it cannot be read: %s", head.task_id, seq, error
                    )
            history.last = batch.last
            if history.last >= breath:
                breath = history.last + _AT_ONCE
                await asyncio.sleep(0)
        if only_first:
            break
    return history


def _progress_end(head: Head, attempt: int) -> bytes:
    """How this attempt's events of the kind `progress` end, of which most long logs consist."""
    return b',"attempt":%d,"agent":%b,"kind":"progress"}}}}' % (attempt, msgspec.json.encode(head.agent))


def _progress_at(event: bytes, end: bytes) -> int | None:
    """When an event was written that ends with `end`: it says nothing else to a history, so it need not be decoded.

    None for any other event, for one that is forwarded, and for one of which the bytes do not tell it.
    """
    if not event.endswith(end) or _ORIGIN in event:
        return None
    time = event[-len(end) - _DIGITS : -len(end)]
    return int(time) if time.isdigit() and event.endswith(_TIME, 0, -len(end) - _DIGITS) else None


def _note(history: History, head: Head, seq: int, encoded: bytes) -> None:
    event = decode(encoded)
    metadata = event.metadata
    if metadata.kind == "state":
        for message in event.user_messages:
            history.reply(message, metadata.ts)
    history.note_cost(metadata)
    if metadata.attempt > history.attempt:
        if not history.attempt:
            history.base = metadata.checkpoints or {}
        history.attempt, history.pins = metadata.attempt, metadata.checkpoints or {}
        history.thread = metadata.thread or history.thread
        history.fences.append(Fence(metadata.checkpoint or "", metadata.reason or "", seq))
    if event.artifact_update is not None and metadata.kind == "token":
        _note_text(history, event.artifact_update, metadata)
    elif event.artifact_update is not None and metadata.step is not None:
        history.results.add(event.artifact_update.artifact.artifact_id)
    elif metadata.origin is not None:  # Another agent's event, whatever agent it names.
        _note_forwarded(history, metadata.origin)
    elif metadata.agent == head.agent:
        _note_own(history, metadata, seq)
    if metadata.kind == "state" and event.status is not None:
        history.state, history.question = event.status.state, None
        if history.state in INTERRUPTED and event.status.message is not None:
            history.ask(event.status.message)


def _note_text(history: History, update: ArtifactUpdate, metadata: Metadata) -> None:
    pieces = history.texts.setdefault(update.artifact.artifact_id, [])
    if not update.append:
        pieces.clear()
    texts = [part.text for part in update.artifact.parts if part.text]
    pieces += [Piece(text, metadata.step, metadata.parent, metadata.message) for text in texts]


def _note_own(history: History, metadata: Metadata, seq: int) -> None:
    kind, step_id = metadata.kind, metadata.step
    history.handed_off = kind == "handoff"
    if kind == "attempt":
        for superseded in metadata.supersedes or []:
            if superseded in history.steps:
                history.steps[superseded].superseded = True
            history.superseded[superseded] = metadata.attempt
    elif kind == "usage" and metadata.usage is not None:
        history.usage += metadata.usage
        add_tokens(history.models, metadata.name, metadata.usage)
    elif step_id is None:
        return
    elif kind in ("node_start", "tool_start"):
        tool = kind == "tool_start"
        step = Step(step_id, metadata.name or "", metadata.parent, tool, seq, graph=metadata.graph or 0)
        step.caller, step.tried = metadata.caller, metadata.tried or 1
        failed = history.steps.get(metadata.parent or "")
        if failed is not None and failed.ended and not tool:
            step.parent, step.graph, step.handles = failed.parent, failed.graph, failed.id
        history.steps[step_id] = step
        if metadata.asked is not None:
            before = history.delegated.get(step_id)
            if before is None or before.task != metadata.asked.task:
                history.delegated[step_id] = metadata.asked
            history.ended_delegations.discard(step_id)
    elif kind in ("node_end", "tool_complete") and (ended := history.steps.get(step_id)):
        ended.ended = True
        if metadata.interrupted:
            history.questions.setdefault(step_id, len(history.messages))
        elif step_id in history.delegated:
            history.ended_delegations.add(step_id)


def _note_forwarded(history: History, origin: Origin) -> None:
    for task in history.delegated.values():
        if task.task == origin.task:
            task.cursor = max(task.cursor, origin.seq)
