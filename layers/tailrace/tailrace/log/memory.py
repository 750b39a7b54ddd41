"""A log in memory, for tests. It is the shortest statement of what a log does."""

from __future__ import annotations

from typing import Any

import msgspec

from tailrace.errors import ConversationChanged, Fenced, TaskConflict, TaskUnknown
from tailrace.events import State
from tailrace.log.base import Batch, EventLog, Page, check_token, dispatch_order
from tailrace.log.conversations import Entry
from tailrace.log.conversations.memory import MemoryConversations
from tailrace.log.head import Head, NewOf, refuse_attempt, refuse_cancel, refuse_claim
from tailrace.log.packing import pack
from tailrace.log.summaries.memory import MemorySummaries


class MemoryLog(EventLog):
    """A log inside one process. No method awaits, so each is atomic."""

    conversations: MemoryConversations
    summaries: MemorySummaries

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._heads: dict[str, Head] = {}
        self._items: dict[str, list[tuple[Batch, int]]] = {}
        self.conversations = MemoryConversations(ttl_s=self._ttl_s, clock=self._clock)
        self.summaries = MemorySummaries(self._enter_summary, self._clock)

    async def create_or_find(self, head: Head, event: bytes, entry: Entry | None = None) -> tuple[Head, bool]:
        pack(head.task_id, 1, [event])
        existing = self._live(head.task_id)
        if existing is not None:
            if existing.fingerprint != head.fingerprint:
                raise TaskConflict(head.task_id)
            return existing, False
        if entry is not None and not await self.conversations.enter(entry):
            raise ConversationChanged(entry.id)
        now = self.now()
        self._items[head.task_id] = [(Batch(1, 0, [event]), self._expiry())]
        return self._put(head, created=now, updated=now, ttl=self._expiry()), True

    async def append(self, task_id: str, batch: Batch) -> None:
        pack(task_id, batch.seq, batch.events)
        items = self._items.setdefault(task_id, [])
        for item, _ in items:
            if item.seq == batch.seq:
                if (item.attempt, item.events) != (batch.attempt, list(batch.events)):
                    raise Fenced(task_id, batch.attempt, batch.seq)
                return
        items.append((Batch(batch.seq, batch.attempt, list(batch.events)), self._expiry()))
        items.sort(key=lambda item: item[0].seq)

    async def claim(self, task_id: str, owner: str, lease_s: float, only: NewOf | None = None) -> Head:
        now, head = self.now(), self._live(task_id)
        refuse_claim(head, task_id, now, only)
        assert head is not None
        return self._put(
            head,
            attempt=head.attempt + 1,
            tries=head.tries + 1,
            lease_owner=owner,
            lease_until=now + int(lease_s * 1000),
            updated=now,
        )

    async def renew(self, task_id: str, attempt: int, lease_s: float) -> Head:
        head = self._live(task_id)
        refuse_attempt(head, task_id, attempt)
        return self._put(head, lease_until=self.now() + int(lease_s * 1000))

    async def update_state(self, task_id: str, attempt: int, state: State, *, release: bool) -> Head:
        head = self._live(task_id)
        refuse_attempt(head, task_id, attempt)
        lease: dict[str, Any] = {"lease_owner": None, "lease_until": 0} if release else {}
        counts = {"tries": 0, "dispatches": 0, "due": 0, "asleep_until": 0}
        return self._put(head, state=state, updated=self.now(), ttl=self._expiry(), **counts, **lease)

    async def take_back_try(self, task_id: str) -> None:
        if (head := self._live(task_id)) is not None and head.tries:
            self._put(head, tries=head.tries - 1)

    async def put_off(self, head: Head, due: int) -> Head:
        refuse_attempt(stored := self._live(head.task_id), head.task_id, head.attempt)
        return self._put(stored, dispatches=head.dispatches + 1, due=due)

    async def sleep(self, task_id: str, attempt: int, until: int, awaits: str) -> Head:
        head = await self.update_state(task_id, attempt, "TASK_STATE_WORKING", release=True)
        return self._put(head, awaits=awaits, asleep_until=0 if head.woken == attempt else until)

    async def wake(self, task_id: str, attempt: int) -> Head:
        head = self._live(task_id)
        refuse_attempt(head, task_id, attempt)
        return self._put(head, asleep_until=0, woken=attempt)

    async def request_wake(self, task_id: str, sleeper: str) -> Head:
        return self._put(await self.head(task_id), wakes=sleeper)

    async def request_cancel(self, task_id: str) -> Head:
        head = self._live(task_id)
        refuse_cancel(head, task_id)
        return self._put(head, cancel_requested=True)

    async def delete_head(self, task_id: str) -> None:
        self._heads.pop(task_id, None)

    async def delete_events(self, task_id: str) -> None:
        self._items.pop(task_id, None)
        self.summaries.forget(task_id)

    async def head(self, task_id: str) -> Head:
        head = self._live(task_id)
        if head is None:
            raise TaskUnknown(task_id)
        return head

    async def read(self, task_id: str, cursor: int = 0, limit: int = 1_000_000) -> list[Batch]:
        batches: list[Batch] = []
        size = 0
        for batch, ttl in self._items.get(task_id, ()):
            if batch.last <= cursor or ttl <= self._clock():
                continue
            batches.append(batch.after(cursor))
            size += sum(map(len, batches[-1].events))
            if size >= limit:
                break
        return batches

    async def last(self, task_id: str) -> int:
        items = self._items.get(task_id)
        return items[-1][0].last if items and items[-1][1] > self._clock() else 0

    async def unattended(self, *, idle_s: float, limit: int = 100) -> list[Head]:
        now = self.now()
        live = [head for head in self._heads.values() if self._live(head.task_id) and head.unattended(now)]
        due = [head for head in live if head.updated <= now - idle_s * 1000 and head.due <= now]
        return sorted(due, key=dispatch_order)[:limit]

    async def list(self, owner: str, *, limit: int = 50, token: str = "") -> Page:
        check_token(token)
        owned = [head for head in self._heads.values() if head.owner == owner and self._live(head.task_id)]
        newest_first = sorted(owned, key=lambda head: head.place, reverse=True)
        rest = [head for head in newest_first if not token or head.place < token]
        return Page(rest[:limit], rest[limit - 1].place if len(rest) > limit else "")

    async def close(self) -> None:
        pass

    def _enter_summary(self, task_id: str, attempt: int, last: int) -> int:
        head = self._live(task_id)
        refuse_attempt(head, task_id, attempt)
        self._put(head, summary=last)
        return self._expiry()

    def _live(self, task_id: str) -> Head | None:
        head = self._heads.get(task_id)
        return head if head is not None and head.ttl > self._clock() else None

    def _put(self, head: Head | None, **changes: Any) -> Head:
        assert head is not None
        changed = msgspec.structs.replace(head, **changes)
        self._heads[head.task_id] = changed
        return changed
