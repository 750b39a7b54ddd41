"""The record of a conversation, and the store of these records.

`tests/contract/conversations_contract.py` is the contract as tests, and every store passes them.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable

import msgspec


class Conversation(msgspec.Struct, frozen=True, kw_only=True):
    """One conversation of an owner with an agent. Times are in ms since the epoch, `ttl` is in seconds.

    `task` is the latest task that claimed the conversation. `checkpoints` are the final checkpoints, by namespace, of
    the last task that was COMPLETED before `task`. `version` counts the claims; at 0 no task has the conversation, and
    `task` is the latest one that was noted there. The `id` is also the id of LangGraph's thread. `deleting` has the ids
    of its tasks while it is being deleted, and is None otherwise.
    """

    id: str
    owner: str
    agent: str
    context_id: str
    task: str
    title: str
    checkpoints: dict[str, str] = {}
    version: int = 0
    created: int = 0
    updated: int = 0
    ttl: int = 0
    deleting: list[str] | None = None

    @property
    def place(self) -> str:
        """The conversation's position in its owner's list: by its latest claim, then by id. It sorts as text."""
        return f"{self.updated:015d}/{self.id}"

    def claimed_by(self, task_id: str) -> bool:
        """Whether the task has the conversation."""
        return self.version > 0 and self.task == task_id


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A task's entry into the record of its conversation. It is refused if the record is not `seen` any more.

    `record` names the task, and `seen` is the record as it was read, None if there was none. With `exclusive` the task
    then has the conversation. Without it the task is only noted: a record that a task has keeps its task.
    """

    record: Conversation
    seen: Conversation | None
    exclusive: bool = True

    @property
    def id(self) -> str:
        """The conversation's id."""
        return self.record.id

    def sees(self, stored: Conversation | None) -> bool:
        """Whether `stored` is the record that was `seen`."""
        if stored is None or self.seen is None:
            return stored is self.seen
        return (stored.task, stored.version) == (self.seen.task, self.seen.version)


class ConversationPage(msgspec.Struct, frozen=True):
    """One page of a list: conversations, newest first, and the token of the next page ("" on the last page).

    The conversations of a list may lack their `checkpoints` and `version`.
    """

    conversations: list[Conversation]
    next_token: str = ""


class Conversations(ABC):
    """The records of all conversations. Safe for many processes. Every method may raise `LogUnavailable`.

    A record is kept for twice `ttl_s` seconds after its latest claim: its task may take long, and the task's events are
    kept for `ttl_s` after its end.
    """

    def __init__(self, *, ttl_s: float = 7 * 86_400, clock: Callable[[], float] = time.time) -> None:
        self._ttl_s = ttl_s
        self._clock = clock

    @abstractmethod
    async def get(self, conversation_id: str) -> Conversation | None:
        """Read the record, strongly consistent; None if there is none."""

    @abstractmethod
    async def claim(self, claimed: Conversation, seen: Conversation | None) -> Conversation | None:
        """Let the task of `claimed`, which exists, have the conversation, as an `Entry` does for a new task.

        Return the record as it is now: it names `claimed.task` unless another claim was faster; None if it was deleted.
        The same call again changes nothing.
        """

    @abstractmethod
    async def renew(self, conversation_id: str, task_id: str) -> None:
        """Keep the record, if it names the task, for as long again as after a claim."""

    async def keep(self, conversation_id: str, task_id: str, created: int) -> None:
        """Renew the record if its task is so old that the record might expire before it.

        This is for the start of each attempt. A task that is younger costs no request. `created` is when it was
        created, in ms since the epoch.
        """
        if self._now() - created > self._ttl_s * 1000 / 2:
            await self.renew(conversation_id, task_id)

    @abstractmethod
    async def rename(self, conversation_id: str, title: str) -> Conversation | None:
        """Set the title; return the record as it is now, None if there is none."""

    @abstractmethod
    async def begin_delete(self, seen: Conversation, tasks: list[str]) -> bool:
        """Note that the conversation is being deleted with these tasks, if the record is still the one that was `seen`.

        From then on no list has it, and a claim of what was `seen` before fails. Return whether it is noted. To go on
        with a deletion that was interrupted, note it again.
        """

    @abstractmethod
    async def being_deleted(self, *, idle_s: float, limit: int) -> list[Conversation]:
        """Up to `limit` conversations whose deletion was last noted at least `idle_s` seconds ago, the oldest first.

        The cost grows with their number, and not with the number of all conversations.
        """

    @abstractmethod
    async def delete(self, seen: Conversation) -> bool:
        """Delete the record if it is still the one that was `seen`. Return whether there is no record now."""

    @abstractmethod
    async def list(self, owner: str, *, limit: int = 50, token: str = "") -> ConversationPage:
        """Up to `limit` of the owner's conversations, newest first, from the page that `token` names.

        Raises:
            RequestError: `token` does not come from a `ConversationPage`.
        """

    def _now(self) -> int:
        return int(self._clock() * 1000)

    def _expiry(self) -> int:
        return int(self._clock() + 2 * self._ttl_s)

    def _entered(self, entry: Entry) -> Conversation:
        """The record after the entry. The `created` and `title` of a record that exists are not to be stored."""
        now, seen, record = self._now(), entry.seen, entry.record
        if seen is None:
            return msgspec.structs.replace(
                record, version=int(entry.exclusive), created=now, updated=now, ttl=self._expiry()
            )
        if seen.version > 0 and not entry.exclusive:
            return msgspec.structs.replace(seen, ttl=self._expiry())
        return msgspec.structs.replace(
            seen,
            task=record.task,
            context_id=record.context_id,
            checkpoints=record.checkpoints,
            version=seen.version + int(entry.exclusive),
            updated=now,
            ttl=self._expiry(),
        )
