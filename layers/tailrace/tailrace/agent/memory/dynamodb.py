"""LangGraph's store in the DynamoDB table of the checkpoints: an item of the store is an item of the table.

    PK (S)               SK (S)               what it holds
    ───────────────────  ───────────────────  ──────────────────────────────────────────────────────────────
    memory#agent#owner   m|label.label..key   `body` (the value as JSON), `created` and `updated` (ms since the
                                              epoch); with a time to live `ttl` (s since the epoch), `minutes`

Design decisions:

1. An owner's items are one partition, so no request can reach another owner's, and there is no Scan. LangGraph keeps
   "." out of labels, so ".." ends a namespace, and a query for a prefix of labels finds just those below it.
2. To delete an item, its value is removed and it expires at once. So a function needs no right to delete items, and
   the roles are those that checkpoints need.
3. The store of langgraph-checkpoint-aws was no choice: it lists namespaces by a Scan of the whole table, and it needs a
   table of its own.

Reads are strongly consistent. A get takes a read unit for each 4 KB, a put a write unit for each KB. A search and a
list of namespaces read all items below their prefix: a filter chooses among what was read.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec
from langgraph.store.base import (
    BaseStore,
    GetOp,
    Item,
    ListNamespacesOp,
    MatchCondition,
    Op,
    PutOp,
    Result,
    SearchItem,
    SearchOp,
)

from tailrace.agent.memory.matching import fits, matches
from tailrace.errors import MemoryUnavailable
from tailrace.events import as_base
from tailrace.naming import plain_name
from tailrace.stores.dynamodb import Item as Stored
from tailrace.stores.dynamodb import Refused, Transport, expressions, typed, unparsed
from tailrace.stores.table import missing

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_THREADS = 8
# DynamoDB's limits are 400 KB for an item and 1,024 bytes for a sort key.
MAX_BODY_BYTES = 390_000
MAX_KEY_BYTES = 1024


class DynamoDBStore(BaseStore):
    """The store of one agent in the table `table`. The first label of every namespace is the partition.

    `client` is a client of `stores.dynamodb.new_client`; without it, the first request makes one. `close` closes it.

    `abatch` may raise `MemoryUnavailable`: a request was refused, or had no response within `patience_s`.
    """

    supports_ttl = True

    def __init__(
        self,
        table: str,
        agent: str,
        *,
        patience_s: float = 8.0,
        clock: Callable[[], float] = time.time,
        client: DynamoDBClient | None = None,
    ) -> None:
        self._agent = plain_name(agent)
        self._clock = clock
        self._transport = Transport(
            table,
            content=f"The long-term memory in table {table!r} (TAILRACE_CHECKPOINT_TABLE)",
            no_table=missing("tailrace.agent.checkpoints.store"),
            patience_s=patience_s,
            threads=_THREADS,
            error=MemoryUnavailable,
            client=client,
        )

    async def close(self) -> None:
        """Wait for the requests under way, then close the connections."""
        await self._transport.close()

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        raise NotImplementedError("This store has only asynchronous methods; `OwnedStore` has the others.")

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """Carry the operations out: first what reads, then what writes. Of two puts of a key the last one counts.

        Raises:
            ValueError: a key or a value is too large, or an operator of a filter is unknown.
            TypeError: a value is not JSON.
            MemoryUnavailable
        """
        ops = list(ops)
        puts = {(op.namespace, op.key): self._write_of(op) for op in ops if isinstance(op, PutOp)}
        results = await asyncio.gather(*(self._read(op) for op in ops))
        await asyncio.gather(*(self._write(key, request) for key, request in puts.values()))
        return list(results)

    async def _read(self, op: Op) -> Result:
        if isinstance(op, GetOp):
            return await self._get(op)
        if isinstance(op, SearchOp):
            return await self._search(op)
        if isinstance(op, ListNamespacesOp):
            return await self._namespaces(op)
        return None

    async def _get(self, op: GetOp) -> Item | None:
        request = {"Key": self._key(op.namespace, op.key), "ConsistentRead": True}
        stored = await self._transport.call("get_item", request, lambda response: response.get("Item"))
        if stored is None or not self._lives(stored):
            return None
        if op.refresh_ttl:
            await self._refresh([stored])
        return Item(**_fields(stored))

    async def _search(self, op: SearchOp) -> list[SearchItem]:
        """The newest come first, as in LangGraph's store for SQLite. A `query` needs an index, and there is none."""
        found = [(stored, _fields(stored)) for stored in await self._below(op.namespace_prefix)]
        found = [each for each in found if fits(each[1]["value"], op.filter or {})]
        found.sort(key=lambda each: (each[1]["updated_at"], each[0]["SK"]["S"]), reverse=True)
        page = found[op.offset : op.offset + op.limit]
        if op.refresh_ttl:
            await self._refresh([stored for stored, _ in page])
        return [SearchItem(**fields) for _, fields in page]

    async def _namespaces(self, op: ListNamespacesOp) -> list[tuple[str, ...]]:
        conditions = op.match_conditions or ()
        prefix = _partition_of(conditions)
        found = {_fields(stored)["namespace"] for stored in await self._below(prefix)}
        chosen = {each[: op.max_depth] for each in found if all(matches(each, one) for one in conditions)}
        return sorted(chosen)[op.offset : op.offset + op.limit]

    async def _below(self, prefix: tuple[str, ...]) -> list[Stored]:
        values = {
            "partition": self._partition(prefix[0]),
            "prefix": f"m|{''.join(f'{label}.' for label in prefix[1:])}",
        }
        condition = "#PK = :partition AND begins_with(#SK, :prefix)"
        request = {"ConsistentRead": True, **expressions(values, KeyConditionExpression=condition)}
        return [each async for page in self._transport.pages(request) for each in page if self._lives(each)]

    def _write_of(self, op: PutOp) -> tuple[Stored, dict[str, Any]]:
        """The key and the request of a put. All of a batch's are made before one is sent."""
        key, now = self._key(op.namespace, op.key), self._clock()
        if len(key["SK"]["S"].encode()) > MAX_KEY_BYTES:
            raise ValueError(
                f"The namespace and the key {op.key[:80]!r} have more than {MAX_KEY_BYTES} bytes together."
            )
        if op.value is None:
            change = "SET #ttl = :ttl REMOVE #body, #created, #updated, #minutes"
            update = expressions(
                {"ttl": int(now)}, UpdateExpression=change, ConditionExpression="attribute_exists(#PK)"
            )
            return key, update
        body = msgspec.json.encode(op.value, enc_hook=as_base)
        if len(body) > MAX_BODY_BYTES:
            raise ValueError(f"The value under {op.key!r} has {len(body):,} bytes, but may have {MAX_BODY_BYTES:,}.")
        values: dict[str, Any] = {"body": body, "now": int(now * 1000)}
        change = "SET #body = :body, #updated = :now, #created = if_not_exists(#created, :now)"
        if op.ttl is None:
            return key, expressions(values, UpdateExpression=f"{change} REMOVE #ttl, #minutes")
        values |= {"ttl": int(now + op.ttl * 60), "minutes": str(op.ttl)}
        return key, expressions(values, UpdateExpression=f"{change}, #ttl = :ttl, #minutes = :minutes")

    async def _write(self, key: Stored, request: dict[str, Any]) -> None:
        try:
            await self._transport.call("update_item", {"Key": key, **request}, unparsed)
        except Refused:
            return  # There is nothing to delete.

    async def _refresh(self, items: list[Stored]) -> None:
        """Begin the items' time to live anew, as LangGraph does for what is read."""
        for stored in items:
            if "minutes" in stored:
                values = {"ttl": int(self._clock() + float(stored["minutes"]["S"]) * 60)}
                update = expressions(
                    values, UpdateExpression="SET #ttl = :ttl", ConditionExpression="attribute_exists(#body)"
                )
                await self._write({"PK": stored["PK"], "SK": stored["SK"]}, update)

    def _lives(self, stored: Stored) -> bool:
        return "body" in stored and ("ttl" not in stored or int(stored["ttl"]["N"]) > self._clock())

    def _partition(self, owner: str) -> str:
        return f"memory#{self._agent}#{owner}"

    def _key(self, namespace: tuple[str, ...], key: str) -> Stored:
        owner, *labels = namespace
        return {"PK": typed(self._partition(owner)), "SK": typed(f"m|{'.'.join(labels)}..{key}")}


def _fields(stored: Stored) -> dict[str, Any]:
    """The item's fields, by the names of LangGraph's `Item`."""
    owner = stored["PK"]["S"].rpartition("#")[2]
    labels, _, key = stored["SK"]["S"].removeprefix("m|").partition("..")
    return {
        "namespace": (owner, *labels.split(".")),
        "key": key,
        "value": msgspec.json.decode(bytes(stored["body"]["B"])),
        "created_at": _time(stored["created"]),
        "updated_at": _time(stored["updated"]),
    }


def _time(ms: dict[str, Any]) -> datetime:
    return datetime.fromtimestamp(int(ms["N"]) / 1000, UTC)


def _partition_of(conditions: Iterable[MatchCondition]) -> tuple[str, ...]:
    """The owner's label, which `OwnedStore` always asks for."""
    for condition in conditions:
        if condition.match_type == "prefix":
            return (str(condition.path[0]),)
    raise ValueError("Namespaces can only be listed below an owner's label.")
