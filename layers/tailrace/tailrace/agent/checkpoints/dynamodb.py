"""LangGraph's checkpoints in one DynamoDB table: everything that is saved in one call is one item, so it is atomic.

Other savers save a node's writes as several items, one after the other. LangGraph takes a node with any writes for
finished. If the process is killed between two of these puts, the graph goes on without the other writes, or ends early
and counts as completed. docs/CHECKPOINTS.md has the measurements; `tests/contract/test_checkpoints_killed.py` kills
this saver before each of its requests.

    PK (S)     SK (S)                                what it holds
    ─────────  ────────────────────────────────────  ──────────────────────────────────────────────────────
    thread id  c||namespace||checkpoint id           a checkpoint: `body`, `metadata`, `parent`
    thread id  w||namespace||checkpoint id||task id  what a task wrote after that checkpoint: `body`, `version`

Design decisions:

1. With a bucket, a body above `INLINE_BYTES` becomes an S3 object, which is put before the item that names it. The
   object's name contains the hash of its content, so no writer changes an object that another item names.
2. A missing object is an error. Resuming from an older checkpoint would be wrong, and nobody would notice.
3. Reading an item that is about to expire extends its life. While a graph waits, or works inside a subgraph, nothing of
   the outer graph is saved, for as many attempts as that takes.
4. There are only asynchronous methods. Nothing in an agent may block its event loop.

All reads are strongly consistent. Saving a checkpoint, or a node's writes, takes one request and one write unit for
each KB after compression.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    WRITES_IDX_MAP,
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    PendingWrite,
    get_checkpoint_id,
    get_checkpoint_metadata,
    writes_sort_key,
)

from tailrace.agent.checkpoints.serializer import StrictSerializer
from tailrace.agent.checkpoints.store import Item, ItemTable, Objects, Refused
from tailrace.errors import CheckpointLost, CheckpointTooLarge
from tailrace.stores import compression

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

# DynamoDB's limit for an item is 400 KB, names included (Amazon DynamoDB Developer Guide, "Quotas").
MAX_ITEM_BYTES = 400 * 1024
# Larger bodies go to S3 if there is a bucket: 100 KB is a tenth of what a partition can write in a second.
INLINE_BYTES = 100_000
# LangGraph keeps "|" out of the names of nodes, and so "||" out of namespaces.
_BETWEEN = "||"
# Sorts after every character that a key can contain.
_LAST = "\U0010ffff"
# Items of one page of a list. AWS bills the whole page, so it is small.
_PAGE = 20

# A task's writes, each a channel and a value, by LangGraph's index of the write.
_Writes = dict[int, tuple[str, Any]]


class DynamoDBSaver(BaseCheckpointSaver[int]):
    """Checkpoints in the table `table`, and large ones in `bucket` unless that is "", where botocore finds both.

    `types` are the author's types that may be read. A checkpoint is kept for `lifetime_s` seconds. If it is read when
    it has less than `refresh_s` left, it is kept for `lifetime_s` from then. `client` is a client of
    `stores.dynamodb.new_client`; without it, the first request makes one. `close` closes it.

    Every method may raise `CheckpointsUnavailable`: a request was refused, or had no response within `patience_s`.
    Methods that read may raise `CheckpointUnreadable`.
    """

    def __init__(
        self,
        table: str,
        *,
        types: Iterable[type] = (),
        lifetime_s: float,
        refresh_s: float,
        bucket: str = "",
        patience_s: float = 8.0,
        clock: Callable[[], float] = time.time,
        client: DynamoDBClient | None = None,
    ) -> None:
        super().__init__(serde=StrictSerializer(types))
        self._table = ItemTable(table, patience_s=patience_s, client=client)
        self._objects = Objects(bucket, patience_s=patience_s) if bucket else None
        self._lifetime_s = lifetime_s
        self._refresh_s = refresh_s
        self._clock = clock

    async def close(self) -> None:
        """Wait for the requests under way, then close the connections."""
        await self._table.close()
        if self._objects is not None:
            await self._objects.close()

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        thread, namespace = _place(config)
        if checkpoint_id := get_checkpoint_id(config):
            item, writes = await asyncio.gather(
                self._table.get(thread, _key("c", namespace, checkpoint_id)),
                self._table.all(thread, _key("w", namespace, checkpoint_id, "")),
            )
            return None if item is None else await self._tuple(item, writes)
        newest = await self._table.query(thread, _key("c", namespace, ""), 1)
        if not newest:
            return None
        return await self._tuple(newest[0], await self._table.all(thread, _key("w", namespace, _id(newest[0]), "")))

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """A thread's checkpoints, the newest first; those of all namespaces if `config` names none.

        Raises:
            ValueError: `config` is None. There is no list of all threads.
        """
        if config is None:
            raise ValueError("config has value None, but must name the thread whose checkpoints are listed.")
        thread = str(config["configurable"]["thread_id"])
        namespace: str | None = config["configurable"].get("checkpoint_ns")
        only, end = get_checkpoint_id(config), get_checkpoint_id(before) if before else None
        left = limit
        # If nothing is filtered out, a page need not be longer than the list.
        size = _PAGE if limit is None or filter or only or end else min(limit, _PAGE)
        async for page in self._pages(thread, namespace, size):
            chosen = [
                item
                for item in page
                if only in (None, _id(item))
                and (end is None or _id(item) < end)
                and self._load(item["metadata"]["B"]).items() >= (filter or {}).items()
            ][:left]
            for item, writes in await self._with_writes(thread, chosen):
                yield await self._tuple(item, writes)
            if left is not None and (left := left - len(chosen)) <= 0:
                return

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Save a checkpoint.

        Raises:
            CheckpointTooLarge: it does not fit into an item, and there is no bucket. Nothing was saved.
        """
        thread, namespace = _place(config)
        fields: Item = {"metadata": {"B": self._dump(get_checkpoint_metadata(config, metadata))}}
        if parent := get_checkpoint_id(config):
            fields["parent"] = {"S": parent}
        item = await self._item(
            thread, _key("c", namespace, checkpoint["id"]), checkpoint, fields, "state", checkpoint["channel_values"]
        )
        await self._table.put(item)
        return _config(thread, namespace, checkpoint["id"])

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Save a task's writes, atomically.

        Raises:
            CheckpointTooLarge: it does not fit into an item, and there is no bucket. Nothing was saved.
        """
        thread, namespace = _place(config)
        key = _key("w", namespace, config["configurable"]["checkpoint_id"], task_id)
        new: _Writes = {WRITES_IDX_MAP.get(channel, n): (channel, value) for n, (channel, value) in enumerate(writes)}
        # Answers, interrupts and errors (with negative indexes) replace saved ones. Other writes stay as they were
        # first saved: LangGraph may save a list again when it has grown.
        replaces = max(new, default=0) < 0
        merged, stored, parts = new, None, dict(writes)
        while True:
            version = {"N": str(int(stored["version"]["N"]) + 1 if stored else 1)}
            item = await self._item(thread, key, (task_path, merged), {"version": version}, "writes", parts)
            try:
                return await self._table.replace(item, stored)
            except Refused as refused:
                stored = refused.item
            saved: _Writes = (await self._value(stored))[1] if stored else {}
            if not replaces and new.keys() <= saved.keys():
                return None
            merged = {**saved, **new} if replaces else {**new, **saved}

    async def adelete_thread(self, thread_id: str) -> None:
        for item in await self._table.all(thread_id, ""):
            if self._objects is not None and "object" in item:
                await self._objects.delete(item["object"]["S"])
            await self._table.delete(item)

    async def _pages(self, thread: str, namespace: str | None, size: int) -> AsyncIterator[list[Item]]:
        """The checkpoints' items, the newest first, page by page."""
        if namespace is None:
            yield sorted(await self._table.all(thread, _key("c", "")), key=_id, reverse=True)
            return
        prefix, page = _key("c", namespace, ""), list[Item]()
        while page := await self._table.query(thread, prefix, size, after=page[-1] if page else None):
            yield page
            if len(page) < size:
                return

    async def _with_writes(self, thread: str, items: list[Item]) -> list[tuple[Item, list[Item]]]:
        """Each checkpoint's item with the items of its pending writes, which one query gets for all of them."""
        if not items:
            return []
        keys = [_key("w", _namespace(item), _id(item), "") for item in items]
        writes = await self._table.between(thread, min(keys), max(keys) + _LAST)
        return [
            (item, [each for each in writes if each["SK"]["S"].startswith(key)])
            for item, key in zip(items, keys, strict=True)
        ]

    async def _item(self, thread: str, key: str, value: Any, fields: Item, what: str, parts: dict[str, Any]) -> Item:
        """The item for `value`. If the body is large, its object has been put.

        `what` and `parts` are for the error: what the value is called, and its parts by name.
        """
        # Not in a thread: as soon as this method awaits, a node may change values that it shares with the state.
        plain = self._dump(value)
        body = await asyncio.to_thread(_pack, plain)
        item: Item = {"PK": {"S": thread}, "SK": {"S": key}, **fields, "ttl": {"N": self._expiry()}}
        if self._objects is not None and len(body) > INLINE_BYTES:
            name = f"checkpoints/{thread}/{hashlib.sha256(body).hexdigest()}"
            await self._objects.put(name, body)
            item["object"] = {"S": name}
        else:
            item["body"] = {"B": body}
        if (size := _size(item)) > MAX_ITEM_BYTES:
            sizes = {name: len(self._dump(part)) for name, part in parts.items()}
            raise CheckpointTooLarge(what, size, MAX_ITEM_BYTES, max(sizes.items(), key=lambda each: each[1]))
        return item

    async def _tuple(self, item: Item, writes: list[Item]) -> CheckpointTuple:
        thread, namespace = item["PK"]["S"], _namespace(item)
        pending: list[tuple[tuple[str, str, int], PendingWrite]] = []
        for each in writes:
            task_id = each["SK"]["S"].split(_BETWEEN)[3]
            task_path, saved = await self._value(each)
            for index, (channel, value) in saved.items():
                pending.append((writes_sort_key(task_path, task_id, index), (task_id, channel, value)))
        parent = item.get("parent")
        return CheckpointTuple(
            config=_config(thread, namespace, _id(item)),
            checkpoint=await self._value(item),
            metadata=self._load(item["metadata"]["B"]),
            parent_config=_config(thread, namespace, parent["S"]) if parent else None,
            pending_writes=[write for _, write in sorted(pending, key=lambda each: each[0])],
        )

    async def _value(self, item: Item) -> Any:
        """The value in an item. If the item is about to expire, its life is extended."""
        name = item["object"]["S"] if "object" in item else None
        if name is None:
            body = item["body"]["B"]
        else:
            content = await self._objects.get(name) if self._objects is not None else None
            if content is None:
                raise CheckpointLost(name)
            body = content
        if int(item["ttl"]["N"]) < self._clock() + self._refresh_s:
            if self._objects is not None and name is not None:
                await self._objects.put(name, body)
            await self._table.live_until(item, self._expiry())
        return self._load(await asyncio.to_thread(_unpack, body))

    def _dump(self, value: Any) -> bytes:
        kind, data = self.serde.dumps_typed(value)
        return kind.encode() + b"\n" + data

    def _load(self, data: bytes) -> Any:
        kind, _, rest = data.partition(b"\n")
        return self.serde.loads_typed((kind.decode(), rest))

    def _expiry(self) -> str:
        return str(int(self._clock() + self._lifetime_s))


def _place(config: RunnableConfig) -> tuple[str, str]:
    configurable = config["configurable"]
    return str(configurable["thread_id"]), configurable.get("checkpoint_ns", "")


def _config(thread: str, namespace: str, checkpoint_id: str) -> RunnableConfig:
    return {"configurable": {"thread_id": thread, "checkpoint_ns": namespace, "checkpoint_id": checkpoint_id}}


def _key(*parts: str) -> str:
    return _BETWEEN.join(parts)


def _namespace(item: Item) -> str:
    namespace: str = item["SK"]["S"].split(_BETWEEN)[1]
    return namespace


def _id(item: Item) -> str:
    checkpoint_id: str = item["SK"]["S"].split(_BETWEEN)[2]
    return checkpoint_id


def _pack(plain: bytes) -> bytes:
    """The bytes, compressed if that is smaller, after a byte that says which."""
    compressed = compression.compress_if_smaller(plain)
    return b"-" + plain if compressed is None else b"z" + compressed


def _unpack(body: bytes) -> bytes:
    return compression.decompress(body[1:]) if body[:1] == b"z" else body[1:]


def _size(item: Item) -> int:
    """An upper bound, by a few bytes, of what DynamoDB counts: names and values, a number as at most 21 bytes."""
    total = 0
    for name, value in item.items():
        ((kind, plain),) = value.items()
        total += len(name) + (21 if kind == "N" else len(plain) if kind == "B" else len(plain.encode()))
    return total
