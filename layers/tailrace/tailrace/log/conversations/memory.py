"""Conversations in memory, for tests."""

from __future__ import annotations

from typing import Any

import msgspec

from tailrace.log.base import check_token
from tailrace.log.conversations.base import Conversation, ConversationPage, Conversations, Entry


class MemoryConversations(Conversations):
    """Conversations inside one process. No method awaits, so each is atomic."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._records: dict[str, Conversation] = {}

    async def get(self, conversation_id: str) -> Conversation | None:
        record = self._records.get(conversation_id)
        return record if record is not None and record.ttl > self._clock() else None

    async def claim(self, claimed: Conversation, seen: Conversation | None) -> Conversation | None:
        await self.enter(Entry(record=claimed, seen=seen))
        return await self.get(claimed.id)

    async def enter(self, entry: Entry) -> bool:
        """Store the entry unless it is refused; return whether it is stored."""
        stored = await self.get(entry.id)
        if not entry.sees(stored):
            return False
        entered = self._entered(entry)
        if stored is not None:
            entered = msgspec.structs.replace(entered, title=stored.title)
        self._records[entry.id] = entered
        return True

    async def renew(self, conversation_id: str, task_id: str) -> None:
        stored = await self.get(conversation_id)
        if stored is not None and stored.task == task_id:
            self._records[conversation_id] = msgspec.structs.replace(stored, ttl=self._expiry())

    async def rename(self, conversation_id: str, title: str) -> Conversation | None:
        stored = await self.get(conversation_id)
        if stored is not None:
            self._records[conversation_id] = msgspec.structs.replace(stored, title=title)
        return await self.get(conversation_id)

    async def begin_delete(self, seen: Conversation, tasks: list[str]) -> bool:
        stored = await self.get(seen.id)
        if stored is None or (stored.task, stored.version) != (seen.task, seen.version):
            return False
        self._records[seen.id] = msgspec.structs.replace(
            stored,
            deleting=tasks,
            title="",
            checkpoints={},
            version=stored.version + 1,
            updated=self._now(),
            ttl=self._expiry(),
        )
        return True

    async def being_deleted(self, *, idle_s: float, limit: int) -> list[Conversation]:
        before = self._now() - idle_s * 1000
        live = [each for each in self._records.values() if each.ttl > self._clock() and each.updated <= before]
        return sorted((each for each in live if each.deleting is not None), key=lambda each: each.place)[:limit]

    async def delete(self, seen: Conversation) -> bool:
        stored = await self.get(seen.id)
        if stored is not None and (stored.task, stored.version) == (seen.task, seen.version):
            del self._records[seen.id]
        return await self.get(seen.id) is None

    async def list(self, owner: str, *, limit: int = 50, token: str = "") -> ConversationPage:
        check_token(token)
        owned = [each for each in self._records.values() if each.owner == owner and each.ttl > self._clock()]
        owned = [each for each in owned if each.deleting is None]
        newest_first = sorted(owned, key=lambda each: each.place, reverse=True)
        rest = [each for each in newest_first if not token or each.place < token]
        return ConversationPage(rest[:limit], rest[limit - 1].place if len(rest) > limit else "")
