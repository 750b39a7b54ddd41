"""Webhooks in the log's DynamoDB table: one item each, all of a task's under one key.

    task_id (S)  seq (N)              what it holds
    ───────────  ───────────────────  ─────────────────────────────────────────────
    push#t       a hash of the id     every field of `Webhook`; `hook_id` is its id, `place` its `due`

No task has an id that begins with `push#`, so these items do not meet the log's. While a webhook is due, its `open` is
"owed", and the index `by_open` holds it, sorted by its `place`. To delete a webhook, its secrets are removed and it
expires at once, so a function needs no right to delete items. Noting a delivery takes one write unit.
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
from tailrace.stores.dynamodb import Item, Refused, typed, unparsed

# The value of `open` of a webhook that is due.
_DUE = "owed"
_NUMBERS = {"delivered", "lease_until", "failures"}
# Fields of a webhook that its item holds under other names.
_RENAMED = {"task_id", "id", "due"}
# What `delete` removes.
_SECRETS = ("url", "token", "scheme", "credentials")


class DynamoDBWebhooks(Webhooks):
    """The webhooks in the table `table_name`. A method raises `LogUnavailable` after `patience_s` seconds.

    `threads` is how many requests run at once.
    """

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
        self._transport = table.transport_to(table_name, "The webhooks", patience_s=patience_s, threads=threads)

    async def put(self, hook: Webhook) -> None:
        fields = {name: typed(getattr(hook, name)) for name in Webhook.__struct_fields__ if name not in _RENAMED}
        item = {**_key(hook.task_id, hook.id), **fields, "hook_id": typed(hook.id), "ttl": typed(self._expiry())}
        if hook.due:
            item |= {"open": typed(_DUE), "place": typed(_place(hook.due))}
        await self._transport.call("put_item", {"Item": item}, unparsed)

    async def list(self, task_id: str) -> list[Webhook]:
        if not table.is_key(_partition(task_id)):
            return []
        request: dict[str, Any] = {
            "ConsistentRead": True,
            "KeyConditionExpression": "task_id = :task_id",
            "ExpressionAttributeValues": {":task_id": typed(_partition(task_id))},
        }
        hooks: list[Webhook] = []
        async for items in self._transport.pages(request):
            hooks += [_hook(task_id, item) for item in items if table.ttl_of(item) > self._clock()]
        return sorted(hooks, key=lambda hook: hook.id)

    async def delete(self, task_id: str, hook_id: str) -> None:
        change = f"SET #ttl = :now REMOVE #open, #place, {', '.join(f'#{name}' for name in _SECRETS)}"
        await self._change(task_id, hook_id, change, "#ttl > :now", {"now": int(self._clock())}, _SECRETS)

    async def claim(self, task_id: str, hook_id: str, holder: str, lease_s: float) -> Webhook | None:
        now = self._now()
        return await self._change(
            task_id,
            hook_id,
            "SET #holder = :holder, #lease_until = :until, #open = :due, #place = if_not_exists(#place, :place)",
            "#ttl > :seconds AND (#holder = :holder OR #lease_until <= :now)",
            {
                "holder": holder,
                "until": self._until(lease_s),
                "due": _DUE,
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
            change += ", #open = :due, #place = :place"
            values |= {"due": _DUE, "place": _place(due)}
        else:
            change += " REMOVE #open, #place"
        return await self._change_held(task_id, hook_id, holder, change, values)

    async def due_tasks(self, limit: int) -> Sequence[str]:
        """As in `Webhooks`. The index names the webhooks that are due, and each one's item says whether it is held."""
        request: dict[str, Any] = {
            "IndexName": table.BY_OPEN,
            "KeyConditionExpression": "#open = :due AND #place <= :now",
            "ExpressionAttributeNames": {"#open": "open", "#place": "place"},
            "ExpressionAttributeValues": {":due": typed(_DUE), ":now": typed(_place(self._now()))},
        }
        task_ids: dict[str, None] = {}  # in order
        async for items in self._transport.pages(request):
            free = await asyncio.gather(*map(self._task_if_free, items))
            task_ids |= dict.fromkeys(task_id for task_id in free if task_id is not None)
            if len(task_ids) >= limit:
                break
        return list(task_ids)[:limit]

    async def put_off(self, task_id: str, due: int) -> None:
        now = self._now()
        values: dict[str, str | int] = {"place": _place(due), "before": _place(now), "now": now}
        condition = "#place <= :before AND #lease_until <= :now"
        for hook in await self.list(task_id):
            await self._change(task_id, hook.id, "SET #place = :place", condition, values)

    async def close(self) -> None:
        await self._transport.close()

    async def _task_if_free(self, key: Item) -> str | None:
        """The id of the webhook's task; None if a process holds the webhook or it has expired."""
        request = {"Key": {name: key[name] for name in ("task_id", "seq")}, "ConsistentRead": True}
        item = await self._transport.call("get_item", request, lambda response: response.get("Item"))
        if item is None or table.ttl_of(item) <= self._clock() or int(item["lease_until"]["N"]) > self._now():
            return None
        return str(item["task_id"]["S"]).removeprefix(_partition(""))

    async def _change_held(
        self, task_id: str, hook_id: str, holder: str, change: str, values: Mapping[str, str | int]
    ) -> bool:
        """Change a webhook that `holder` holds; False if it does not hold it."""
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
        more_names: tuple[str, ...] = (),
    ) -> Webhook | None:
        """The webhook as changed; None if the condition does not hold, or the webhook is deleted."""
        if not table.is_key(_partition(task_id)):
            return None
        used = ("holder", "lease_until", "delivered", "failures", "open", "place", "ttl", *more_names)
        request = {
            "Key": _key(task_id, hook_id),
            "UpdateExpression": change,
            "ConditionExpression": condition,
            "ExpressionAttributeNames": {f"#{name}": name for name in used if f"#{name}" in f"{change} {condition}"},
            "ExpressionAttributeValues": {f":{name}": typed(value) for name, value in values.items()},
            "ReturnValues": "ALL_NEW",
        }
        try:
            response = await self._transport.call("update_item", request, unparsed)
        except Refused:
            return None
        item: Item = response["Attributes"]
        return _hook(task_id, item) if "url" in item else None


def _partition(task_id: str) -> str:
    return f"push#{task_id}"


def _key(task_id: str, hook_id: str) -> Item:
    return table.key(_partition(task_id), int.from_bytes(hashlib.sha256(hook_id.encode()).digest()[:12]))


def _hook(task_id: str, item: Item) -> Webhook:
    fields = {name: item[name] for name in Webhook.__struct_fields__ if name in item and name not in _RENAMED}
    plain: dict[str, Any] = {
        name: int(value["N"]) if name in _NUMBERS else value["S"] for name, value in fields.items()
    }
    due = int(item["place"]["S"]) if "place" in item else 0
    return Webhook(**plain, task_id=task_id, id=item["hook_id"]["S"], due=due)


def _place(due: int) -> str:
    """A webhook's position in the index: its time as 15 digits, which sort like the time."""
    return f"{due:015d}"
