"""Credentials in a DynamoDB table of their own. The agents' functions, which run authors' code, have no right to it.

    holder (S)   id (S)             what it holds
    ──────────   ────────────────   ──────────────────────────────────────────────────────
    an owner     a session's id     `credential`, JSON
    tokens       a token's id       `credential`, JSON
    count#KEY    a window's number  `number`: how often KEY was counted in it, or what it has used
    slots#KEY    slots              `slots`: a map of the taken ones, each with the time when it is free

Every item has a `ttl` (seconds since the epoch). An index would not be consistent: ending all sessions of an owner
could miss the newest. `python -m tailrace.access.dynamodb NAME` makes the table (`stores/table.py`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec

from tailrace.access.credential import Credential
from tailrace.access.store import Credentials
from tailrace.stores import table
from tailrace.stores.dynamodb import Item, Refused, Transport, expressions, typed, unparsed

# So many slots are freed at a time: an expression has 4 KB at most.
_FREED = 100


class DynamoDBCredentials(Credentials):
    """The credentials in the table `table_name`. A method raises `LogUnavailable` after `patience_s` seconds."""

    def __init__(
        self, table_name: str, *, clock: Callable[[], float] = time.time, patience_s: float = 8.0, threads: int = 4
    ) -> None:
        super().__init__(clock=clock)
        self._transport = Transport(
            table_name,
            content=f"The credentials in table {table_name!r} (TAILRACE_ACCESS_TABLE)",
            no_table=table.missing("tailrace.access.dynamodb"),
            patience_s=patience_s,
            threads=threads,
        )

    async def keep(self, credential: Credential) -> None:
        item = {**_key(credential.holder, credential.id), **_content(credential)}
        await self._transport.call("put_item", {"Item": item}, unparsed)

    async def end(self, holder: str, credential_id: str) -> bool:
        request = {"Key": _key(holder, credential_id), "ReturnValues": "ALL_OLD"}
        return "Attributes" in await self._transport.call("delete_item", request, unparsed)

    async def count(self, key: str, window_s: int) -> int:
        part = self._window(window_s)
        values = {"one": 1, "ttl": (part + 1) * window_s}
        request = {
            "Key": _count_key(key, part),
            "ReturnValues": "ALL_NEW",
            **expressions(values, UpdateExpression="ADD #number :one SET #ttl = :ttl"),
        }
        return _number(await self._transport.call("update_item", request, lambda response: response["Attributes"]))

    async def spend(self, key: str, window_s: int, amount: int, limit: int) -> bool:
        if amount > limit:
            return False
        part = self._window(window_s)
        values = {"amount": amount, "most": limit - amount, "ttl": (part + 1) * window_s}
        return await self._changed(
            _count_key(key, part),
            values,
            UpdateExpression="ADD #number :amount SET #ttl = :ttl",
            ConditionExpression="attribute_not_exists(#number) OR #number <= :most",
        )

    async def refund(self, key: str, window_s: int, amount: int, spent_at: int) -> None:
        await self._changed(
            _count_key(key, spent_at // window_s),
            {"less": -amount, "amount": amount},
            UpdateExpression="ADD #number :less",
            ConditionExpression="#number >= :amount",
        )

    async def spent(self, key: str, window_s: int) -> int:
        item = await self._item(_count_key(key, self._window(window_s)))
        return _number(item) if item else 0

    async def take(self, key: str, slot: str, limit: int, lasts_s: int) -> bool:
        if await self._take(key, slot, limit, lasts_s):
            return True
        item = await self._item(_slots_key(key))
        if item is None:
            empty = {"Item": {**_slots_key(key), "slots": {"M": {}}, "ttl": typed(self.now() + lasts_s)}}
            with suppress(Refused):  # another process was faster
                request = {**empty, **expressions({}, ConditionExpression="attribute_not_exists(#slots)")}
                del request["ExpressionAttributeValues"]
                await self._transport.call("put_item", request, unparsed)
        else:
            held = item["slots"]["M"]
            over = [each for each, until in held.items() if int(until["N"]) <= self.now()]
            if not over and len(held) >= limit:  # else another process has made the item, or given a slot back
                return False
            for first in range(0, len(over), _FREED):
                await self._free(key, over[first : first + _FREED])
        return await self._take(key, slot, limit, lasts_s)

    async def give_back(self, key: str, slot: str) -> None:
        await self._free(key, [slot])

    async def taken(self, key: str) -> int:
        item = await self._item(_slots_key(key))
        held = item["slots"]["M"].values() if item else ()
        return sum(int(until["N"]) > self.now() for until in held)

    async def close(self) -> None:
        await self._transport.close()

    async def _take(self, key: str, slot: str, limit: int, lasts_s: int) -> bool:
        until = self.now() + lasts_s
        return await self._changed(
            _slots_key(key),
            {"limit": limit, "until": until},
            UpdateExpression=f"SET #slots.#{slot} = :until, #ttl = :until",
            ConditionExpression="attribute_exists(#slots) AND"
            f" (size(#slots) < :limit OR attribute_exists(#slots.#{slot}))",
        )

    async def _free(self, key: str, slots: list[str]) -> None:
        places = ", ".join(f"#slots.#{slot}" for slot in slots)
        await self._changed(
            _slots_key(key), {}, UpdateExpression=f"REMOVE {places}", ConditionExpression="attribute_exists(#slots)"
        )

    async def _changed(self, key: Item, values: dict[str, Any], **texts: str) -> bool:
        """Update an item; False if the condition does not hold."""
        request = {"Key": key, **expressions(values, **texts)}
        if not values:
            del request["ExpressionAttributeValues"]
        try:
            await self._transport.call("update_item", request, unparsed)
        except Refused:
            return False
        return True

    async def _find(self, holder: str, credential_id: str) -> Credential | None:
        item = await self._item(_key(holder, credential_id))
        return _credential(item) if item else None

    async def _of(self, holder: str) -> list[Credential]:
        condition = expressions({"holder": holder}, KeyConditionExpression="#holder = :holder")
        pages = self._transport.pages({"ConsistentRead": True, **condition})
        return [_credential(item) async for items in pages for item in items]

    async def _note_use(self, credential: Credential) -> None:
        content = _content(credential)
        names = {"#credential": "credential", "#ttl": "ttl", "#id": "id"}
        request = {
            "Key": _key(credential.holder, credential.id),
            "UpdateExpression": "SET #credential = :credential, #ttl = :ttl",
            "ConditionExpression": "attribute_exists(#id)",
            "ExpressionAttributeNames": names,
            "ExpressionAttributeValues": {f":{name}": value for name, value in content.items()},
        }
        try:
            await self._transport.call("update_item", request, unparsed)
        except Refused:
            return  # deleted meanwhile

    async def _item(self, key: Item) -> Item | None:
        request = {"Key": key, "ConsistentRead": True}
        return await self._transport.call("get_item", request, lambda response: response.get("Item"))


def definition(name: str) -> dict[str, Any]:
    """The parameters of `CreateTable` for a table of this name."""
    return {
        "TableName": name,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [
            {"AttributeName": "holder", "AttributeType": "S"},
            {"AttributeName": "id", "AttributeType": "S"},
        ],
        "KeySchema": [{"AttributeName": "holder", "KeyType": "HASH"}, {"AttributeName": "id", "KeyType": "RANGE"}],
    }


def _key(holder: str, credential_id: str) -> Item:
    return {"holder": typed(holder), "id": typed(credential_id)}


def _count_key(key: str, part: int) -> Item:
    return _key(f"count#{key}", str(part))


def _slots_key(key: str) -> Item:
    return _key(f"slots#{key}", "slots")


def _content(credential: Credential) -> Item:
    return {"credential": typed(msgspec.json.encode(credential).decode()), "ttl": typed(credential.ends)}


def _credential(item: Item) -> Credential:
    return msgspec.json.decode(item["credential"]["S"], type=Credential)


def _number(item: Item) -> int:
    return int(item["number"]["N"])


if __name__ == "__main__":
    table.main("tailrace.access.dynamodb", definition)
