"""Webhooks in the log's DynamoDB table: one item each, all of a task's under one key.

    task_id (S)  seq (N)              what it holds
    ───────────  ───────────────────  ─────────────────────────────────────────────
    push#t       a hash of the id     every field of `Webhook`; `hook_id` is its id, `place` its `due`

No task has such an id, so nothing of the log's ever meets these items. While a webhook is due, its `open` is "owed",
and the index `by_open` holds it by its `place`. A webhook is forgotten by letting it expire, its secrets with it, so
that a function needs no right to delete. Noting a delivery is one write unit.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tailrace.log import table
from tailrace.push.store import Webhooks
from tailrace.push.webhook import Webhook
from tailrace.stores.dynamodb import Item, Refused, Transport, typed, unparsed

_OWED = "owed"
_NUMBERS = {"delivered", "lease_until", "failures"}
_ELSEWHERE = {"task_id", "id", "due"}
_SECRETS = ("url", "token", "scheme", "credentials")


class DynamoDBWebhooks(Webhooks):
    """The webhooks in the table `table_name`. A method gives up with `LogUnavailable` after `patience_s`."""

    def __init__(
        self,
        table_name: str,
        *,
        ttl_s: float = 7 * 86_400,
        clock: Callable[[], float] = time.time,
        patience_s: float = 8.0,
        threads: int = 4,
    ) -> None:
        super().__init__(ttl_s=ttl_s, clock=clock)
        self._transport = Transport(table_name, holds="The webhooks", patience_s=patience_s, threads=threads)

    async def put(self, hook: Webhook) -> None:
        fields = {name: typed(getattr(hook, name)) for name in Webhook.__struct_fields__ if name not in _ELSEWHERE}
        item = {**_key(hook.task_id, hook.id), **fields, "hook_id": typed(hook.id), "ttl": typed(self._expiry())}
        if hook.due:
            item |= {"open": typed(_OWED), "place": typed(_place(hook.due))}
        await self._transport.call("put_item", {"Item": item}, unparsed)

    async def list(self, task_id: str) -> list[Webhook]:
        if not table.is_key(_partition(task_id)):
            return []
        request: dict[str, Any] = {
            "ConsistentRead": True,
            "KeyConditionExpression": "task_id = :task_id",
            "ExpressionAttributeValues": {":task_id": typed(_partition(task_id))},
        }
        found: list[Webhook] = []
        async for items in self._transport.pages(request):
            found += [_hook(task_id, item) for item in items if table.ttl_of(item) > self._clock()]
        return sorted(found, key=lambda hook: hook.id)

    async def delete(self, task_id: str, hook_id: str) -> None:
        change = f"SET #ttl = :now REMOVE #open, #place, {', '.join(f'#{name}' for name in _SECRETS)}"
        await self._change(task_id, hook_id, change, "#ttl > :now", {"now": int(self._clock())}, _SECRETS)

    async def claim(self, task_id: str, hook_id: str, holder: str, lease_s: float) -> Webhook | None:
        now = self._now()
        return await self._change(
            task_id,
            hook_id,
            "SET #holder = :holder, #lease_until = :until, #open = :owed, #place = if_not_exists(#place, :place)",
            "#ttl > :seconds AND (#holder = :holder OR #lease_until <= :now)",
            {
                "holder": holder,
                "until": self._until(lease_s),
                "owed": _OWED,
                "place": _place(now),
                "now": now,
                "seconds": int(self._clock()),
            },
        )

    async def advance(self, task_id: str, hook_id: str, holder: str, delivered: int, lease_s: float) -> bool:
        change = "SET #delivered = :delivered, #lease_until = :until, #failures = :none, #ttl = :ttl"
        values = {"delivered": delivered, "until": self._until(lease_s), "none": 0, "ttl": self._expiry()}
        return await self._change_held(task_id, hook_id, holder, change, values)

    async def release(self, task_id: str, hook_id: str, holder: str, *, due: int, failures: int) -> bool:
        change = "SET #lease_until = :none, #failures = :failures"
        values: dict[str, str | int] = {"none": 0, "failures": failures}
        if due:
            change += ", #open = :owed, #place = :place"
            values |= {"owed": _OWED, "place": _place(due)}
        else:
            change += " REMOVE #open, #place"
        return await self._change_held(task_id, hook_id, holder, change, values)

    async def due_tasks(self, limit: int) -> Sequence[str]:
        """As in `Webhooks`: the index tells which are due, each one's item whether somebody holds it."""
        request: dict[str, Any] = {
            "IndexName": table.BY_OPEN,
            "KeyConditionExpression": "#open = :owed AND #place <= :now",
            "ExpressionAttributeNames": {"#open": "open", "#place": "place"},
            "ExpressionAttributeValues": {":owed": typed(_OWED), ":now": typed(_place(self._now()))},
        }
        found: dict[str, None] = {}
        async for items in self._transport.pages(request):
            free = await asyncio.gather(*map(self._free, items))
            found |= dict.fromkeys(task_id for task_id in free if task_id is not None)
            if len(found) >= limit:
                break
        return list(found)[:limit]

    async def put_off(self, task_id: str, due: int) -> None:
        now = self._now()
        values: dict[str, str | int] = {"place": _place(due), "before": _place(now), "now": now}
        condition = "#place <= :before AND #lease_until <= :now"
        for hook in await self.list(task_id):
            await self._change(task_id, hook.id, "SET #place = :place", condition, values)

    async def close(self) -> None:
        await self._transport.close()

    async def _free(self, key: Item) -> str | None:
        """The task's id, if nobody holds the webhook that the index has told of."""
        request = {"Key": {name: key[name] for name in ("task_id", "seq")}, "ConsistentRead": True}
        item = await self._transport.call("get_item", request, lambda answer: answer.get("Item"))
        if item is None or table.ttl_of(item) <= self._clock() or int(item["lease_until"]["N"]) > self._now():
            return None
        return str(item["task_id"]["S"]).removeprefix(_partition(""))

    async def _change_held(
        self, task_id: str, hook_id: str, holder: str, change: str, values: Mapping[str, str | int]
    ) -> bool:
        """Change what `holder` holds; False when that is not so."""
        condition = "#ttl > :seconds AND #holder = :holder"
        values = {**values, "holder": holder, "seconds": int(self._clock())}
        return await self._change(task_id, hook_id, change, condition, values) is not None

    async def _change(
        self,
        task_id: str,
        hook_id: str,
        change: str,
        condition: str,
        values: dict[str, str | int],
        also: tuple[str, ...] = (),
    ) -> Webhook | None:
        """The webhook as changed, None when the condition does not hold: it may be gone, or another's."""
        if not table.is_key(_partition(task_id)):
            return None
        used = ("holder", "lease_until", "delivered", "failures", "open", "place", "ttl", *also)
        request = {
            "Key": _key(task_id, hook_id),
            "UpdateExpression": change,
            "ConditionExpression": condition,
            "ExpressionAttributeNames": {f"#{name}": name for name in used if f"#{name}" in f"{change} {condition}"},
            "ExpressionAttributeValues": {f":{name}": typed(value) for name, value in values.items()},
            "ReturnValues": "ALL_NEW",
        }
        try:
            answer = await self._transport.call("update_item", request, unparsed)
        except Refused:
            return None
        item: Item = answer["Attributes"]
        return _hook(task_id, item) if "url" in item else None


def _partition(task_id: str) -> str:
    return f"push#{task_id}"


def _key(task_id: str, hook_id: str) -> Item:
    return table.key(_partition(task_id), int.from_bytes(hashlib.sha256(hook_id.encode()).digest()[:12]))


def _hook(task_id: str, item: Item) -> Webhook:
    fields = {name: item[name] for name in Webhook.__struct_fields__ if name in item and name not in _ELSEWHERE}
    plain: dict[str, Any] = {
        name: int(value["N"]) if name in _NUMBERS else value["S"] for name, value in fields.items()
    }
    due = int(item["place"]["S"]) if "place" in item else 0
    return Webhook(**plain, task_id=task_id, id=item["hook_id"]["S"], due=due)


def _place(due: int) -> str:
    """Where a webhook stands in the index: times sort as their digits do."""
    return f"{due:015d}"
