"""The DynamoDB table of the log: its keys, its indexes, and heads and batches as items.

    task_id (S)  seq (N)   what it holds
    ───────────  ───────   ─────────────────────────────────────────────────────────────────────────
    t            0         the head: every field of `Head`, and `place`, its place in its owner's list
    t            1, 2, 5…  a batch: `attempt`, `count`, `packed` (B); `seq` is that of its first event
    t            -1        the summary of the first events, if there are many: `last`, `content` (B)

`conversations/dynamodb.py` and `tailrace.push.dynamodb` keep their items here too, each under keys of their own.

Every item has a `ttl` (seconds since the epoch). Of the log's items only heads have an `owner`, so the index `by_owner`
holds no batches ("Take advantage of sparse indexes in DynamoDB", Amazon DynamoDB Developer Guide). Only heads of tasks
that should be running have `open`, so the index `by_open` holds only those.

`python -m tailrace.log.table NAME` makes the table (`stores/table.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from tailrace.errors import LogUnavailable, LogUnreadable
from tailrace.log.base import Batch, check_token
from tailrace.log.head import Head
from tailrace.log.packing import unpack
from tailrace.stores import table
from tailrace.stores.dynamodb import Item, Response, Transport, expressions, typed

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

T = TypeVar("T")

BY_OWNER = "by_owner"
BY_OPEN = "by_open"
# The only value of `open`: the task is not finished, and either does not wait for its user or is to be cancelled.
OPEN = "open"
# A sort key of DynamoDB has at most 1,024 bytes. `place` is our longest: a task id and 16 bytes.
MAX_TASK_ID_BYTES = 1000

# The index does not hold the lease. The lease changes every two seconds, and a change in the index costs a second
# write, to a partition that all tasks of an owner share (1,000 writes a second).
_LISTED = ["context_id", "agent", "state", "created", "updated", "attempt", "cancel_requested", "fingerprint", "ttl"]
_HEAD = frozenset(Head.__struct_fields__)

# The seq of the item with a task's summary.
SUMMARY = -1
# A seq that is past all of a task's.
PAST_ALL = 10**15

# Batches, each with its ttl in seconds since the epoch.
Batches = list[tuple[Batch, int]]


async def newest_of(
    transport: Transport, owner: str, limit: int, token: str, read: Callable[[Item], T | None]
) -> list[T]:
    """What `read` makes of the items of `by_owner` under `owner`, newest first, from the page that `token` names.

    Returns more than `limit` of them if there is another page. Items that `read` makes None of are left out.

    Raises:
        RequestError: `token` does not come from a page.
        LogUnavailable
    """
    condition, values = "#owner = :owner", {"owner": owner}
    if check_token(token):
        condition, values = f"{condition} AND #place < :place", {**values, "place": token}
    request = {
        "IndexName": BY_OWNER,
        "ScanIndexForward": False,
        "Limit": limit + 1,
        **expressions(values, KeyConditionExpression=condition),
    }
    newest: list[T] = []
    async for items in transport.pages(request):
        newest += [each for item in items if (each := read(item)) is not None]
        if len(newest) > limit:
            break
    return newest


def definition(name: str) -> dict[str, Any]:
    """The parameters of `CreateTable` for a table of this name."""
    return {
        "TableName": name,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [
            {"AttributeName": "task_id", "AttributeType": "S"},
            {"AttributeName": "seq", "AttributeType": "N"},
            {"AttributeName": "owner", "AttributeType": "S"},
            {"AttributeName": "place", "AttributeType": "S"},
            {"AttributeName": "open", "AttributeType": "S"},
        ],
        "KeySchema": [
            {"AttributeName": "task_id", "KeyType": "HASH"},
            {"AttributeName": "seq", "KeyType": "RANGE"},
        ],
        "GlobalSecondaryIndexes": [
            {
                "IndexName": BY_OWNER,
                "KeySchema": [
                    {"AttributeName": "owner", "KeyType": "HASH"},
                    {"AttributeName": "place", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": _LISTED},
            },
            {
                "IndexName": BY_OPEN,
                "KeySchema": [
                    {"AttributeName": "open", "KeyType": "HASH"},
                    {"AttributeName": "place", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            },
        ],
    }


def create_table(client: DynamoDBClient, name: str) -> bool:
    """Make the table and turn its time to live on. If it exists, change nothing and return False."""
    return table.create(client, definition(name))


def transport_to(
    name: str, content: str, *, patience_s: float, threads: int, client: DynamoDBClient | None = None
) -> Transport:
    """The requests to the table of this name. Errors call its content `content`, as in "The log in table 'x' (…)"."""
    return Transport(
        name,
        content=f"{content} in table {name!r} (TAILRACE_TABLE)",
        no_table=table.missing("tailrace.log.table"),
        patience_s=patience_s,
        threads=threads,
        client=client,
    )


def key(task_id: str, seq: int) -> Item:
    """The primary key of a head (seq 0), a batch or a summary."""
    return {"task_id": typed(task_id), "seq": typed(seq)}


def head_item(head: Head) -> Item:
    """The head of a new task as an item."""
    fields = {name: typed(value) for name, value in msgspec.structs.asdict(head).items() if value is not None}
    return {**fields, "seq": typed(0), "place": typed(head.place), "open": typed(OPEN)}


def item_head(item: Item) -> Head:
    """The head in an item. Fields that an earlier version did not write have their defaults."""
    return Head(**{name: plain(value) for name, value in item.items() if name in _HEAD})


def batch_item(task_id: str, batch: Batch, packed: bytes, ttl: int) -> Item:
    """A batch as an item; `packed` is what `pack` made of its events."""
    return {
        **key(task_id, batch.seq),
        "attempt": typed(batch.attempt),
        "count": typed(len(batch.events)),
        "packed": typed(packed),
        "ttl": typed(ttl),
    }


def item_batch(item: Item) -> Batch:
    """The batch in an item.

    Raises:
        LogUnreadable: its bytes are damaged.
    """
    seq, count = int(item["seq"]["N"]), int(item["count"]["N"])
    return Batch(seq, int(item["attempt"]["N"]), unpack(item["task_id"]["S"], seq, count, item["packed"]["B"]))


def last_of(item: Item) -> int:
    """The seq of a batch's last event."""
    return int(item["seq"]["N"]) + int(item["count"]["N"]) - 1


def ttl_of(item: Item) -> int:
    """When the item expires, in seconds since the epoch."""
    return int(item["ttl"]["N"])


def is_key(task_id: str) -> bool:
    """Whether `task_id` can be a key of the table. DynamoDB refuses a request with any other."""
    try:
        return 0 < len(task_id.encode()) <= MAX_TASK_ID_BYTES
    except UnicodeEncodeError:
        return False


def plain(value: dict[str, Any]) -> Any:
    """The value in an item: a text, a number or a boolean."""
    ((kind, plain),) = value.items()
    return int(plain) if kind == "N" else plain


def task_query(task_id: str, condition: str, values: dict[str, Any], **others: str) -> dict[str, Any]:
    """The request for a task's items whose seq fulfils the condition, strongly consistent."""
    others["KeyConditionExpression"] = f"#task_id = :task_id AND {condition}"
    return {"ConsistentRead": True, **expressions({"task_id": task_id, **values}, **others)}


def batches_in(response: Response, *, seconds: int, limit: int) -> tuple[Batches, Item | None]:
    """The live batches of a page up to `limit` bytes, and where the next page starts."""
    batches: Batches = []
    size = 0
    for item in response["Items"]:
        ttl = ttl_of(item)
        if ttl > seconds:
            try:
                batch = item_batch(item)
            except LogUnreadable:
                if not batches:
                    raise
                return batches, None  # The next read begins with the damaged batch.
            batches.append((batch, ttl))
            size += sum(map(len, batch.events))
            if size >= limit:
                break
    return batches, response.get("LastEvaluatedKey")


def ends_in(response: Response, *, seconds: int) -> tuple[list[tuple[int, int]], Item | None]:
    """The last seq and the ttl of each live batch of a page, and where the next page starts."""
    ends = [(last_of(item), ttl_of(item)) for item in response["Items"]]
    return [end for end in ends if end[1] > seconds], response.get("LastEvaluatedKey")


if __name__ == "__main__":
    table.main("tailrace.log.table", definition)


def unexplained(task_id: str) -> LogUnavailable:
    """For a store that refuses without a reason. DynamoDB gives one since June 2023."""
    return LogUnavailable(f"The log refused a change of task {task_id!r} and did not say why.")
