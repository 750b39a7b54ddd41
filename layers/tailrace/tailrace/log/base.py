"""The log: the append-only record of a task's events (docs/ARCHITECTURE.md, section 2).

One contract, several stores. `tests/contract/log_contract.py` is the contract as tests, and every store passes them.
"""

from __future__ import annotations

import re
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from tailrace.errors import RequestError, shorten
from tailrace.events import State
from tailrace.log.conversations import Conversations, Entry
from tailrace.log.head import Head, NewOf
from tailrace.log.summaries import Summaries

# Maximum size of a batch as stored. An item of DynamoDB holds 400 KB with its attribute names; this leaves room for
# ours. Every store has this limit, so that what works on a laptop works on AWS.
MAX_ITEM_BYTES = 390_000

_PLACE = re.compile(r"\d{15}/.{1,1000}")

# Returns the time in seconds since the epoch.
Clock = Callable[[], float]


class Batch(msgspec.Struct, frozen=True):
    """Consecutive events of one task, as the log stores them: `events[0]` has the seq `seq`.

    Each event is one A2A 1.0 `StreamResponse` as UTF-8 JSON without line breaks. `attempt` is the number of the writer.
    """

    seq: int
    attempt: int
    events: Sequence[bytes]

    @property
    def last(self) -> int:
        """The seq of the last event."""
        return self.seq + len(self.events) - 1

    def after(self, cursor: int) -> Batch:
        """The part of the batch that comes after `cursor`; its `events` may be empty."""
        if cursor < self.seq:
            return self
        return Batch(cursor + 1, self.attempt, self.events[cursor + 1 - self.seq :])


class Page(msgspec.Struct, frozen=True):
    """One page of a list: heads, newest first, and the token of the next page ("" on the last page)."""

    heads: list[Head]
    next_token: str = ""


class EventLog(ABC):
    """The record of all tasks' events. Safe for many readers and writers in many processes.

    Every method may raise `LogUnavailable`. An `append` that raised it has written the whole batch or nothing; the same
    call again makes sure that the batch is there.

    `ttl_s` is how long a task and its events are kept after their last change, in seconds. `conversations` has the
    records of the conversations that tasks belong to, `summaries` those of long tasks' events.
    """

    conversations: Conversations
    summaries: Summaries

    def __init__(self, *, ttl_s: float = 7 * 86_400, clock: Clock = time.time) -> None:
        self._ttl_s = ttl_s
        self._clock = clock

    # Writing

    @abstractmethod
    async def create_or_find(self, head: Head, event: bytes, entry: Entry | None = None) -> tuple[Head, bool]:
        """Store a new task with its first event; return the head as stored, and whether this call has stored it.

        With `entry` the task enters the record of its conversation too. All of this is stored, or nothing.

        Idempotent: if the task exists with the same `fingerprint`, its head is returned and nothing is written. A call
        whose earlier try was carried out, and its response lost, may take the task for another call's.

        Raises:
            TaskConflict: the task exists with another fingerprint.
            ConversationChanged: the entry was refused. Nothing was written.
            EventTooLarge: nothing was written.
        """

    @abstractmethod
    def append(self, task_id: str, batch: Batch) -> Awaitable[None]:
        """Store a batch if nothing is stored at its seq. All writers go through this compare-and-swap.

        Idempotent: storing the same batch again changes nothing.

        Raises:
            Fenced: another batch is stored at `batch.seq`.
            EventTooLarge: nothing was written.
        """

    @abstractmethod
    async def claim(self, task_id: str, owner: str, lease_s: float, only: NewOf | None = None) -> Head:
        """Take the task's lease for `lease_s` seconds as the next attempt; return the head after that.

        `owner` names the process. The claim is counted as a try. With `only` the task is claimed only if it is that.

        Raises:
            NotNew: it is another one than `only` says. Nothing was written.
            LeaseHeld: another process holds the lease.
            TaskFinished, TaskUnknown: the task cannot be run.
        """

    @abstractmethod
    async def renew(self, task_id: str, attempt: int, lease_s: float) -> Head:
        """Extend the lease to `lease_s` seconds from now. The returned head says whether a cancel was requested.

        Raises:
            Fenced: a newer attempt has claimed the task.
        """

    @abstractmethod
    async def update_state(self, task_id: str, attempt: int, state: State, *, release: bool) -> Head:
        """Set the head's state, and release the lease if `release`.

        Tries and dispatches are counted from 0 again, since the attempt has started.

        Raises:
            Fenced: a newer attempt has claimed the task.
        """

    @abstractmethod
    async def take_back_try(self, task_id: str) -> None:
        """Take back a try that a claim has counted: the attempt could not start because a store was unavailable.

        A newer attempt may have claimed the task since. Nothing changes if an attempt has started since, or if there is
        no such task. The lease stays as it is.
        """

    @abstractmethod
    async def put_off(self, head: Head, due: int) -> Head:
        """Count a dispatch of the task, and set `due` (ms): the sweeper does not dispatch it again before then.

        `head` is what the caller knows. Who counts the same dispatch again changes nothing.

        Raises:
            Fenced: a newer attempt has claimed the task.
        """

    @abstractmethod
    async def sleep(self, task_id: str, attempt: int, until: int, awaits: str) -> Head:
        """Release the lease, and let the task sleep until `until` (ms) or until `wake`; see `Head.asleep`.

        The state becomes WORKING. If the attempt was to be woken already, the task does not sleep: it is orphaned.

        Raises:
            Fenced: a newer attempt has claimed the task.
        """

    @abstractmethod
    async def wake(self, task_id: str, attempt: int) -> Head:
        """End the task's sleep, or keep the attempt from going to sleep. Called again, it changes nothing.

        Raises:
            Fenced: a newer attempt has claimed the task, so it is awake.
        """

    @abstractmethod
    async def request_wake(self, task_id: str, sleeper: str) -> Head:
        """Set the head's `wakes`. The process that runs the task sees it when it renews its lease.

        Raises:
            TaskUnknown
        """

    @abstractmethod
    async def request_cancel(self, task_id: str) -> Head:
        """Set the head's `cancel_requested`. The process that runs the task sees it when it renews its lease.

        Raises:
            TaskFinished, TaskUnknown: the task cannot be cancelled.
        """

    @abstractmethod
    async def delete_head(self, task_id: str) -> None:
        """Delete the head of a finished task, if there is one: from then on the task is unknown.

        Its events can be read until `delete_events`.
        """

    @abstractmethod
    async def delete_events(self, task_id: str) -> None:
        """Delete the events of a task whose head was deleted, and their summary. Called again, it goes on."""

    # Reading

    @abstractmethod
    async def head(self, task_id: str) -> Head:
        """Read the task's head, strongly consistent.

        Raises:
            TaskUnknown: there is no such task, or its time to live is over.
        """

    @abstractmethod
    async def read(self, task_id: str, cursor: int = 0, limit: int = 1_000_000) -> list[Batch]:
        """Read the events after the seq `cursor`, in order, strongly consistent; `[]` if there are none.

        One call returns about `limit` bytes of events and at least one batch. If the cursor is inside a batch, the rest
        of that batch comes first. If the first batch begins after `cursor + 1`, the events between are gone for good:
        their time to live is over.

        Raises:
            LogUnreadable: the next batch is damaged. The error's `last` is the cursor to go on from.
        """

    async def tail(self, task_id: str, cursor: int) -> list[Batch]:
        """As `read`, for a reader that looks again and again: the newest events may be missing.

        What comes begins right after `cursor`, or is what `read` returns. So nothing is skipped that is not gone for
        good. A store whose consistent reads cost more than others overrides this.
        """
        return await self.read(task_id, cursor)

    @abstractmethod
    async def last(self, task_id: str) -> int:
        """The seq of the task's newest event; 0 if there is none."""

    @abstractmethod
    async def unattended(self, *, idle_s: float, limit: int = 100) -> list[Head]:
        """Up to `limit` tasks that are `Head.unattended` and due, and whose head has not changed for `idle_s` seconds.

        Tasks that were never put off come first, the oldest first; then the others by how long they have been due.
        The cost grows with the number of unfinished tasks, not with the number of all tasks.
        """

    @abstractmethod
    async def list(self, owner: str, *, limit: int = 50, token: str = "") -> Page:
        """Up to `limit` of the owner's tasks, newest first, from the page that `token` names.

        Raises:
            RequestError: `token` does not come from a `Page`.
        """

    @abstractmethod
    async def close(self) -> None:
        """Close files, threads and connections. What was acknowledged is stored."""

    # What the stores share

    async def create(self, head: Head, event: bytes) -> Head:
        """As `create_or_find`, for those who need not know who has stored the task."""
        stored, _ = await self.create_or_find(head, event)
        return stored

    async def newest(self, task_id: str) -> bytes | None:
        """The task's newest event, as JSON; None if there is none. This takes two reads, in DynamoDB one.

        Raises:
            LogUnreadable: the event is damaged.
        """
        batches = await self.read(task_id, max(await self.last(task_id) - 1, 0))
        return batches[-1].events[-1] if batches else None

    def now(self) -> int:
        """The store's clock in milliseconds since the epoch. Leases are compared with it."""
        return int(self._clock() * 1000)

    def _expiry(self) -> int:
        """The `ttl` of an item written now: when it expires, in seconds since the epoch, as DynamoDB wants it."""
        return int(self._clock() + self._ttl_s)


def dispatch_order(head: Head) -> tuple[int, str]:
    """The sort key of `EventLog.unattended`."""
    return head.due, head.place


def check_token(token: str) -> str:
    """Return `token` if it is a page token or "".

    Raises:
        RequestError: it is neither.
    """
    if token and not _PLACE.fullmatch(token):
        raise RequestError(f"The page token has value {shorten(token)!r}, but must be the `nextPageToken` of a list.")
    return token
