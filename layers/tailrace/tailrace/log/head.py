"""The head of a task: its record beside its events, and who may change it."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from tailrace.errors import Fenced, LeaseHeld, TaskFinished, TaskUnknown
from tailrace.events import INTERRUPTED, TERMINAL, Source, State


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """A task's record beside its events: its owner, its state, and the process that runs it.

    It changes with the task's state and its lease, not with every event. Times are milliseconds since the epoch by the
    store's clock, except `ttl`, which is in seconds.

    `attempt` is the number of the latest attempt, and `lease_owner` the process that holds the lease until
    `lease_until`. `tries` counts the claims since an attempt last started. `dispatches` counts the sweeper's
    dispatches since then, and the next one comes at `due` or later. `fingerprint` distinguishes two requests for the
    same id.

    A task without a lease sleeps until `asleep_until`, while the delegated tasks in `awaits` (their ids, with spaces)
    work. `woken` is the attempt that was to be woken last. `wakes` says whom a delegated task wakes: a `Sleeper`.

    `summary` is the seq of the last event that the task's summary covers; 0 if there is none. `start` says where the
    task starts, as JSON, if its creator has claimed its conversation for it (`agent/threads.py`).

    `trace` is the trace that the task belongs to, as `tracing.context.carried` has it; "" if none.
    """

    task_id: str
    owner: str
    context_id: str
    agent: str
    state: State = "TASK_STATE_SUBMITTED"
    created: int = 0
    updated: int = 0
    attempt: int = 0
    lease_owner: str | None = None
    lease_until: int = 0
    cancel_requested: bool = False
    fingerprint: str = ""
    ttl: int = 0
    tries: int = 0
    dispatches: int = 0
    due: int = 0
    asleep_until: int = 0
    awaits: str = ""
    woken: int = 0
    wakes: str = ""
    summary: int = 0
    start: str = ""
    trace: str = ""

    @property
    def source(self) -> Source:
        """The fields that all events of the head's attempt share."""
        return Source(self.task_id, self.context_id, self.agent, self.attempt)

    @property
    def place(self) -> str:
        """The head's position in its owner's list: by creation, then by id. It sorts as text."""
        return f"{self.created:015d}/{self.task_id}"

    @property
    def thread(self) -> str:
        """The id of the thread that keeps the task's checkpoints.

        It contains the time of creation: checkpoints may outlive a task, and a task's id may be used again.
        """
        return f"{self.task_id}-{self.created}"

    def leased(self, now: int) -> bool:
        """Whether a process holds the lease at `now` (ms)."""
        return self.lease_owner is not None and self.lease_until > now

    def asleep(self, now: int) -> bool:
        """Whether the task sleeps at `now` (ms): it works, no process runs it, and another task is to wake it."""
        return (
            self.unattended(now) and self.lease_owner is None and self.asleep_until > now and not self.cancel_requested
        )

    def orphaned(self, now: int) -> bool:
        """Whether the task should be running but no process runs it at `now` (ms)."""
        return self.unattended(now) and not self.asleep(now)

    def unattended(self, now: int) -> bool:
        """Whether the task works but no process runs it at `now` (ms): it is orphaned or asleep.

        A lease that expired without being released belonged to an attempt that died. The head's state is then what that
        attempt noted last, and only the events say what the task waits for. A waiting task is orphaned too if its
        cancel was requested: the process that requested it has died before it cancelled the task.
        """
        waits = self.state in INTERRUPTED and self.lease_owner is None and not self.cancel_requested
        return self.state not in TERMINAL and not waits and not self.leased(now)


class NewOf(NamedTuple):
    """A task that nobody has claimed yet, of this owner at this agent."""

    owner: str
    agent: str


class NotNew(Exception):
    """A task is not what a claim expects (`NewOf`). `head` is its head."""

    def __init__(self, head: Head) -> None:
        super().__init__(head.task_id)
        self.head = head


def refuse_claim(head: Head | None, task_id: str, now: int, only: NewOf | None = None) -> None:
    """Raise `TaskUnknown`, `NotNew`, `TaskFinished` or `LeaseHeld` if `head` cannot be claimed at `now` (ms)."""
    if head is None:
        raise TaskUnknown(task_id)
    if only is not None and (head.attempt or (head.owner, head.agent) != only):
        raise NotNew(head)
    if head.state in TERMINAL:
        raise TaskFinished(task_id, head.state)
    if head.leased(now):
        raise LeaseHeld(task_id, str(head.lease_owner), head.lease_until)


def refuse_cancel(head: Head | None, task_id: str) -> None:
    """Raise `TaskUnknown` or `TaskFinished` if the task of `head` cannot be cancelled."""
    if head is None:
        raise TaskUnknown(task_id)
    if head.state in TERMINAL:
        raise TaskFinished(task_id, head.state)


def refuse_attempt(head: Head | None, task_id: str, attempt: int) -> None:
    """Raise `TaskUnknown` or `Fenced` if `attempt` may not change `head`."""
    if head is None:
        raise TaskUnknown(task_id)
    if head.attempt != attempt:
        raise Fenced(task_id, attempt, 0)
