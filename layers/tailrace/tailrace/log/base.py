"""The log: the append-only record of a task's events (docs/ARCHITECTURE.md, section 2).

One contract, several stores. `tests/contract/log_contract.py` is the contract as tests; a store is
right when it passes them.
"""

from __future__ import annotations

import re
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import msgspec

from tailrace.errors import Fenced, LeaseHeld, RequestError, TaskFinished, TaskUnknown, shorten
from tailrace.events import INTERRUPTED, TERMINAL, Source, State

# An item of DynamoDB holds 400 KB with its attribute names; this leaves room for ours. Every store keeps
# to it, so that what works on a laptop works on AWS.
MAX_ITEM_BYTES = 390_000

_PLACE = re.compile(r"\d{15}/.{1,1000}")

Clock = Callable[[], float]


class Batch(msgspec.Struct, frozen=True):
    """Consecutive events of one task, as the log stores them: `events[0]` is number `seq`.

    Each event is one A2A 1.0 `StreamResponse` as UTF-8 JSON without line breaks.
    """

    seq: int
    attempt: int
    events: Sequence[bytes]

    @property
    def last(self) -> int:
        """The seq of the last event."""
        return self.seq + len(self.events) - 1

    def after(self, cursor: int) -> Batch:
        """What of the batch a reader at `cursor` has not seen; possibly nothing of it."""
        if cursor < self.seq:
            return self
        return Batch(cursor + 1, self.attempt, self.events[cursor + 1 - self.seq :])


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """What is true of a task as a whole. Times are milliseconds since the epoch, by the store's clock.

    It changes with the task's state and with its lease, never with an event.

    `tries` counts the claims since an attempt has last begun, `dispatches` how often the sweeper has told the agent
    since then; it need not tell it again before `due`.
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

    @property
    def source(self) -> Source:
        """What the events of the head's attempt have in common."""
        return Source(self.task_id, self.context_id, self.agent, self.attempt)

    @property
    def place(self) -> str:
        """Where the head stands in its owner's list: by creation, then by id. Sorts as text."""
        return f"{self.created:015d}/{self.task_id}"

    @property
    def thread(self) -> str:
        """LangGraph's thread of the task. Its checkpoints may outlive it, and its id may come again."""
        return f"{self.task_id}-{self.created}"

    def leased(self, now: int) -> bool:
        """Whether somebody holds the lease at `now` (ms)."""
        return self.lease_owner is not None and self.lease_until > now

    def orphaned(self, now: int) -> bool:
        """Whether somebody should run the task, and at `now` (ms) nobody does.

        A lease that ran out instead of being let go of was a dead attempt's: then the state is what that
        attempt noted last, and what the task really waits for is in its events. A task that waits, and whose cancel
        was requested by a process that did not live to do it, has to be cancelled.
        """
        waits = self.state in INTERRUPTED and self.lease_owner is None and not self.cancel_requested
        return self.state not in TERMINAL and not waits and not self.leased(now)


class Page(msgspec.Struct, frozen=True):
    """Heads, newest first, and the token of the next page (empty: there is none)."""

    heads: list[Head]
    next_token: str = ""


class EventLog(ABC):
    """The record of all tasks' events. Safe for many readers and writers in many processes.

    Any method may raise `LogUnavailable`. An `append` that raised it has written all of the batch or
    nothing; the same call made again settles which.
    """

    def __init__(self, *, ttl_s: float = 7 * 86_400, clock: Clock = time.time) -> None:
        self._ttl_s = ttl_s
        self._clock = clock

    # Writing

    @abstractmethod
    async def create(self, head: Head, event: bytes) -> Head:
        """Record a new task with its first event; return the head as stored.

        Idempotent: if the task is there and has the same `fingerprint`, its head is returned and
        nothing is written twice.

        Raises:
            TaskConflict: the task is there with another fingerprint.
            EventTooLarge: nothing was written.
        """

    @abstractmethod
    async def append(self, task_id: str, batch: Batch) -> None:
        """Put a batch where nothing is yet: the compare-and-swap every writer goes through.

        Raises:
            Fenced: something of another attempt stands at `batch.seq`.
            EventTooLarge: nothing was written.
        """

    @abstractmethod
    async def claim(self, task_id: str, owner: str, lease_s: float) -> Head:
        """Take the lease and become the next attempt, which is one try more; return the head as it is then.

        Raises:
            LeaseHeld, TaskFinished, TaskUnknown: nothing was changed.
        """

    @abstractmethod
    async def renew(self, task_id: str, attempt: int, lease_s: float) -> Head:
        """Hold the lease for another `lease_s` from now. The head tells whether to cancel.

        Raises:
            Fenced: a newer attempt has the task.
        """

    @abstractmethod
    async def update_state(self, task_id: str, attempt: int, state: State, *, release: bool) -> Head:
        """Note a new state in the head, and let go of the lease if `release`.

        The attempt has begun, so tries and dispatches are counted anew.

        Raises:
            Fenced: a newer attempt has the task.
        """

    @abstractmethod
    async def excuse(self, task_id: str, attempt: int) -> Head:
        """Do not count the attempt as a try: it could not begin because a store was away. It keeps its lease.

        Raises:
            Fenced: a newer attempt has the task.
        """

    @abstractmethod
    async def put_off(self, task_id: str, attempt: int, due: int) -> Head:
        """Note that the agent is told now to look at the task, and need not be told again before `due` (ms).

        `attempt` is the last that is known.

        Raises:
            Fenced: a newer attempt has the task.
        """

    @abstractmethod
    async def request_cancel(self, task_id: str) -> Head:
        """Ask whoever runs the task to stop.

        Raises:
            TaskFinished, TaskUnknown: nothing was changed.
        """

    # Reading

    @abstractmethod
    async def head(self, task_id: str) -> Head:
        """Raises `TaskUnknown` when there is no such task, or its time to live is over."""

    @abstractmethod
    async def read(self, task_id: str, after: int = 0, limit: int = 1_000_000) -> list[Batch]:
        """What comes after the cursor `after`, in order, strongly consistent; `[]` when nothing does.

        Returns about `limit` bytes of events at a time, at least one batch. A cursor inside a batch
        gets the rest of that batch. A first batch later than `after + 1` means that what lies
        between is gone for good (its time to live was over).

        Raises:
            LogUnreadable: the batch that comes next is damaged; the error's `last` is a cursor behind it.
        """

    @abstractmethod
    async def last(self, task_id: str) -> int:
        """The seq of the newest event, 0 when there is none."""

    @abstractmethod
    async def orphaned(self, *, idle_s: float, limit: int = 100) -> list[Head]:
        """Tasks that are `Head.orphaned`, due, and were not touched for `idle_s`: up to `limit`.

        First come those that were never put off, the oldest first, then those that have been due the longest.

        Never a scan of all tasks: the price grows with the tasks that are unfinished now.
        """

    @abstractmethod
    async def list(self, owner: str, *, limit: int = 50, token: str = "") -> Page:
        """The owner's tasks, newest first, from the place that `token` names.

        Raises:
            RequestError: `token` is none that a page has given.
        """

    @abstractmethod
    async def close(self) -> None:
        """Let go of what the store holds open. What was acknowledged stays."""

    # What the stores share

    def now(self) -> int:
        """The store's clock, in milliseconds since the epoch: what leases are compared with."""
        return self._now()

    def _now(self) -> int:
        return int(self._clock() * 1000)

    def _expiry(self) -> int:
        """The `ttl` of something written now, in seconds since the epoch, as DynamoDB wants it."""
        return int(self._clock() + self._ttl_s)


def in_turn(head: Head) -> tuple[int, str]:
    """What `EventLog.orphaned` sorts by."""
    return head.due, head.place


def check_token(token: str) -> str:
    """`token` if it names a place in a list, or is empty.

    Raises:
        RequestError: it does neither.
    """
    if token and not _PLACE.fullmatch(token):
        raise RequestError(f"The page token is {shorten(token)!r}, which is none that a list has given.")
    return token


def refuse_claim(head: Head | None, task_id: str, now: int) -> None:
    """Raise the reason why `head` cannot be claimed at `now` (ms), if there is one."""
    if head is None:
        raise TaskUnknown(task_id)
    if head.state in TERMINAL:
        raise TaskFinished(task_id, head.state)
    if head.leased(now):
        raise LeaseHeld(task_id, str(head.lease_owner), head.lease_until)


def refuse_cancel(head: Head | None, task_id: str) -> None:
    """Raise the reason why the task of `head` cannot be cancelled, if there is one."""
    if head is None:
        raise TaskUnknown(task_id)
    if head.state in TERMINAL:
        raise TaskFinished(task_id, head.state)


def refuse_attempt(head: Head | None, task_id: str, attempt: int) -> None:
    """Raise the reason why `attempt` may not change `head`, if there is one."""
    if head is None:
        raise TaskUnknown(task_id)
    if head.attempt != attempt:
        raise Fenced(task_id, attempt, 0)
