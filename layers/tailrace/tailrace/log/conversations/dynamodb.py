"""Conversations in the log's DynamoDB table: one item each.

    task_id (S)      seq (N)  what it holds
    ───────────────  ───────  ──────────────────────────────────────────────────────────────────
    conversation#id  -1       every field of `Conversation`, two of them under other names; `place`

No task has an id that begins with `conversation#`, so these items do not meet the log's. No owner has an id that begins
with `conversations#`: an owner's conversations are in the index `by_owner` under that prefix and the owner's id.

A table's index keeps the attributes that it was made with, and `by_owner` holds those of a task. So that a list and a
search read the index only, a conversation's title is in the attribute `fingerprint`, and its task in `state`.

While a conversation is being deleted, it has `deleting`. It is not in `by_owner`, so its owner is in `former_owner`.
It is in the index `by_open` instead, under `DELETING`. Its last write lets it expire at once.

Cost: a claim takes one write unit, and two in the index (one for the first). A record takes one read unit.
"""

from __future__ import annotations

import asyncio
from typing import Any, Literal, cast

import msgspec

from tailrace.log import table
from tailrace.log.conversations.base import Conversation, ConversationPage, Conversations, Entry
from tailrace.stores.dynamodb import Item, Refused, Response, Transport, expressions, typed, unparsed

# The value of `open` of a conversation that is being deleted.
DELETING = "deleting"
_RENAMED = {"title": "fingerprint", "task": "state"}
_PLAIN = ("agent", "context_id", "title", "task", "version", "created", "updated", "ttl")


class DynamoDBConversations(Conversations):
    """The conversations in the table that `transport` reaches."""

    def __init__(self, transport: Transport, **options: Any) -> None:
        super().__init__(**options)
        self._transport = transport

    async def get(self, conversation_id: str) -> Conversation | None:
        request = {"Key": _key(conversation_id), "ConsistentRead": True}
        return self._live(await self._transport.call("get_item", request, lambda response: response.get("Item")))

    async def claim(self, claimed: Conversation, seen: Conversation | None) -> Conversation | None:
        operation, request = self.entering(Entry(record=claimed, seen=seen))
        try:
            if operation == "Put":
                await self._transport.call("put_item", request, unparsed)
                return self._live(request["Item"])
            request["ReturnValues"] = "ALL_NEW"
            return self._live(await self._transport.call("update_item", request, _attributes))
        except Refused as refused:
            return self._live(refused.item)

    def entering(self, entry: Entry) -> tuple[Literal["Put", "Update"], dict[str, Any]]:
        """The write that stores the entry, on the condition that it is not refused: its operation and parameters."""
        entered, seconds = self._entered(entry), int(self._clock())
        if entry.seen is None:
            condition = "attribute_not_exists(#task_id) OR #ttl <= :seconds"
            put = {"Item": _item(entered), **expressions({"seconds": seconds}, ConditionExpression=condition)}
            return "Put", {**put, "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}
        values = {
            "seconds": seconds,
            "task": entered.task,
            "context_id": entered.context_id,
            "checkpoints": _json(entered),
            "updated": entered.updated,
            "place": entered.place,
            "ttl": entered.ttl,
            "version": entered.version,
            "seen_task": entry.seen.task,
            "seen_version": entry.seen.version,
        }
        change = (
            "SET #state = :task, #context_id = :context_id, #checkpoints = :checkpoints, #updated = :updated, "
            "#place = :place, #ttl = :ttl, #version = :version"
        )
        condition = "#ttl > :seconds AND #state = :seen_task AND #version = :seen_version"
        return "Update", _update(entry.id, change, condition, values)

    async def renew(self, conversation_id: str, task_id: str) -> None:
        values = {"ttl": self._expiry(), "task": task_id}
        await self._change(conversation_id, "SET #ttl = :ttl", "#state = :task", values)

    async def rename(self, conversation_id: str, title: str) -> Conversation | None:
        return await self._change(
            conversation_id, "SET #fingerprint = :title", "attribute_exists(#task_id)", {"title": title}
        )

    async def begin_delete(self, seen: Conversation, tasks: list[str]) -> bool:
        now = self._now()
        values = {
            "deleting": msgspec.json.encode(tasks),
            "none": "",
            "open": DELETING,
            "owner": _partition(seen.owner),
            "updated": now,
            "place": msgspec.structs.replace(seen, updated=now).place,
            "ttl": self._expiry(),
            "one": 1,
            "before": seen.task,
            "version": seen.version,
        }
        change = (
            "SET #deleting = :deleting, #fingerprint = :none, #ttl = :ttl, #version = #version + :one, #open = :open, "
            "#former_owner = :owner, #updated = :updated, #place = :place REMOVE #owner, #checkpoints"
        )
        record = await self._change(seen.id, change, "#state = :before AND #version = :version", values)
        # An earlier try of the same call may have written it, and its response was lost.
        return record is not None and (record.task, record.version, record.deleting) == (
            seen.task,
            seen.version + 1,
            tasks,
        )

    async def being_deleted(self, *, idle_s: float, limit: int) -> list[Conversation]:
        before = f"{self._now() - int(idle_s * 1000) + 1:015d}"
        condition = "#open = :open AND #place < :before"
        request = {
            "IndexName": table.BY_OPEN,
            "Limit": limit,
            **expressions({"open": DELETING, "before": before}, KeyConditionExpression=condition),
        }
        records: list[Conversation] = []
        async for items in self._transport.pages(request):
            ids = [item["task_id"]["S"].removeprefix(_key_of("")) for item in items]
            kept = await asyncio.gather(*map(self.get, ids))
            # The index may be a moment behind the record.
            records += [each for each in kept if each is not None and each.deleting is not None]
            if len(records) >= limit:
                break
        return records[:limit]

    async def delete(self, seen: Conversation) -> bool:
        values = {"ttl": int(self._clock()), "before": seen.task, "version": seen.version}
        change = "SET #ttl = :ttl REMOVE #place, #open, #fingerprint, #checkpoints, #deleting"
        return await self._change(seen.id, change, "#state = :before AND #version = :version", values) is None

    async def list(self, owner: str, *, limit: int = 50, token: str = "") -> ConversationPage:
        """As in `Conversations`, but eventually consistent, and without `checkpoints` and `version`."""
        records = await table.newest_of(self._transport, _partition(owner), limit, token, self._live)
        return ConversationPage(records[:limit], records[limit - 1].place if len(records) > limit else "")

    async def _change(
        self, conversation_id: str, change: str, condition: str, values: dict[str, Any]
    ) -> Conversation | None:
        """Change the record if it exists and the condition holds; return it as it is now, None if there is none."""
        condition = f"#ttl > :seconds AND {condition}"
        request = _update(conversation_id, change, condition, {"seconds": int(self._clock()), **values})
        try:
            item = await self._transport.call("update_item", {**request, "ReturnValues": "ALL_NEW"}, _attributes)
        except Refused as refused:
            return self._live(refused.item)
        return self._live(item)

    def _live(self, item: Item | None) -> Conversation | None:
        return _conversation(item) if item is not None and table.ttl_of(item) > self._clock() else None


def _partition(owner: str) -> str:
    return f"conversations#{owner}"


def _key_of(conversation_id: str) -> str:
    return f"conversation#{conversation_id}"


def _key(conversation_id: str) -> Item:
    return table.key(_key_of(conversation_id), -1)


def _update(conversation_id: str, change: str, condition: str, values: dict[str, Any]) -> dict[str, Any]:
    """The parameters of an update of the record. If its condition does not hold, the error has the item."""
    return {
        "Key": _key(conversation_id),
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        **expressions(values, UpdateExpression=change, ConditionExpression=condition),
    }


def _attributes(response: Response) -> Item:
    """The item as an update has left it."""
    return cast(Item, response["Attributes"])


def _item(conversation: Conversation) -> Item:
    return {
        **_key(conversation.id),
        **{_RENAMED.get(name, name): typed(getattr(conversation, name)) for name in _PLAIN},
        "owner": typed(_partition(conversation.owner)),
        "place": typed(conversation.place),
        "checkpoints": typed(_json(conversation)),
    }


def _json(conversation: Conversation) -> bytes:
    return msgspec.json.encode(conversation.checkpoints)


def _conversation(item: Item) -> Conversation:
    fields = {name: table.plain(item[_RENAMED.get(name, name)]) for name in _PLAIN if _RENAMED.get(name, name) in item}
    return Conversation(
        id=item["task_id"]["S"].removeprefix(_key_of("")),
        owner=item.get("owner", item.get("former_owner"))["S"].removeprefix(_partition("")),  # type: ignore[index]
        checkpoints=msgspec.json.decode(item["checkpoints"]["B"], type=dict[str, str]) if "checkpoints" in item else {},
        deleting=msgspec.json.decode(item["deleting"]["B"], type=list[str]) if "deleting" in item else None,
        **fields,
    )
