"""The A2A Task that a task's events add up to."""

from __future__ import annotations

import logging
from typing import NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from tailrace.a2a.streamed_text import join_text
from tailrace.a2a.work import Work, WorkSoFar
from tailrace.errors import EventUnreadable, LogUnreadable, TaskUnknown
from tailrace.events import (
    EXTENSION,
    Artifact,
    ArtifactUpdate,
    Event,
    Message,
    Metadata,
    Status,
    Wire,
    decode,
    timestamp,
)
from tailrace.log import EventLog, Head

logger = logging.getLogger("tailrace.a2a")


class TaskMetadata(msgspec.Struct, omit_defaults=True):
    """Our metadata of a task: who has it, and since when (ms). `seq` is the last event in it, and missing in a list."""

    seq: int | None = None
    agent: str | None = None
    created: int | None = None
    work: Work | None = None


class Task(Wire, kw_only=True):
    """A task as A2A shows it (specification, section 4.1.1). `artifacts` and `history` may be left out."""

    id: str
    context_id: str
    status: Status
    artifacts: list[Artifact] | UnsetType = UNSET
    history: list[Message] | UnsetType = UNSET
    metadata: dict[str, TaskMetadata]


class Snapshot(NamedTuple):
    """A task, and the seq of the last event that is in it."""

    task: Task
    seq: int


async def snapshot(log: EventLog, task_id: str, *, history_length: int | None = None) -> Snapshot:
    """The task as its events so far add up to it. An event that cannot be read is left out, and logged.

    The history has the messages of the user, and the agent's questions and answers. Progress is in the events only.
    `history_length` is how many of the newest messages it keeps; None keeps all, 0 leaves out the `history`.

    Raises:
        TaskUnknown: there is no such task.
    """
    sum_of_events = _Sum()
    seq = 0
    while True:
        try:
            batches = await log.read(task_id, seq)
        except LogUnreadable as error:
            logger.warning("task %s is shown without the events that cannot be read: %s", task_id, error)
            seq = error.last
            continue
        if not batches:
            break
        for batch in batches:
            for number, event in enumerate(batch.events, batch.seq):
                try:
                    sum_of_events.add(decode(event))
                except EventUnreadable as error:
                    logger.warning("task %s: event %d is left out, it cannot be read: %s", task_id, number, error)
            seq = batch.last
    if not seq:
        raise TaskUnknown(task_id)
    task = sum_of_events.task or summary(await log.head(task_id))
    if sum_of_events.artifacts:
        task.artifacts = list(sum_of_events.artifacts.values())
        for artifact in task.artifacts:
            artifact.parts = join_text(artifact.parts)
    if history_length != 0:
        task.history = _newest(sum_of_events.history, history_length)
    task.metadata = {EXTENSION: sum_of_events.metadata(seq)}
    return Snapshot(task, seq)


def summary(head: Head) -> Task:
    """A task as a list shows it: without its messages and artifacts."""
    return Task(
        id=head.task_id,
        context_id=head.context_id,
        status=Status(state=head.state, timestamp=timestamp(head.updated)),
        metadata={EXTENSION: TaskMetadata(agent=head.agent, created=head.created)},
    )


class _Sum:
    """What a task's events add up to, as they are added in order."""

    def __init__(self) -> None:
        self.task: Task | None = None
        self.history: list[Message] = []
        self.artifacts: dict[str, Artifact] = {}
        self._first: Metadata | None = None
        self._work = WorkSoFar()

    def metadata(self, seq: int) -> TaskMetadata:
        metadata = TaskMetadata(seq=seq, work=self._work.sum)
        if self._first is not None:
            metadata.agent, metadata.created = self._first.agent, self._first.ts
        return metadata

    def add(self, event: Event) -> None:
        self._work.add(event.metadata)
        if event.metadata.seq == 1:
            self._first = event.metadata
        if event.task is not None:
            task = event.task
            self.task = Task(id=task.id, context_id=task.context_id, status=task.status, metadata={})
            self.history = list(task.history)
        elif event.artifact_update is not None:
            self._add_artifact(event.artifact_update)
        elif (update := event.status_update) is not None:
            if event.metadata.kind != "state":
                update.status.message = self.task.status.message if self.task is not None else None
            elif update.status.message is not None:
                self.history.append(update.status.message)
            if self.task is None:  # event 1 has expired
                self.task = Task(id=update.task_id, context_id=update.context_id, status=update.status, metadata={})
            self.task.status = update.status

    def _add_artifact(self, update: ArtifactUpdate) -> None:
        artifact = self.artifacts.get(update.artifact.artifact_id)
        if artifact is None or not update.append:
            self.artifacts[update.artifact.artifact_id] = update.artifact
        else:
            artifact.parts += update.artifact.parts


def _newest(history: list[Message], length: int | None) -> list[Message]:
    if length is None or length >= len(history):
        return history
    return history[len(history) - max(length, 0) :]
