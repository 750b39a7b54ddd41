"""The DynamoDB table of the log: its keys, its index, and how a head becomes an item and back.

    task_id (S)  seq (N)   what it holds
    ───────────  ───────   ─────────────────────────────────────────────────────────────────────────
    t            0         the head: every field of `Head`, and `place`, its place in its owner's list
    t            1, 2, 5…  a batch: `attempt`, `count`, `packed` (B); its first event is number `seq`

`ttl` (seconds since the epoch) is on every item. Only heads have an `owner`, so the index `by_owner`
holds heads only ("Take advantage of sparse indexes in DynamoDB", Amazon DynamoDB Developer Guide). `open` is
on the heads of tasks that somebody should be running, so the index `by_open` holds those and no others.

`python -m tailrace.log.table NAME` makes the table where AWS_ENDPOINT_URL_DYNAMODB points: for
DynamoDB Local, and for `sam local`. On AWS the template makes it, with the same definition.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import msgspec

from tailrace.log.base import Batch, Head
from tailrace.log.packing import unpack
from tailrace.stores.dynamodb import Item, typed

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

BY_OWNER = "by_owner"
BY_OPEN = "by_open"
# The one value of `open`: a task that has it is unfinished, and does not wait for its user or is to be cancelled.
OPEN = "open"
# DynamoDB takes 1,024 bytes for a sort key; `place` is the longest of ours, a task id and 16 bytes.
MAX_TASK_ID_BYTES = 1000

# The lease is left out of the index: it changes every two seconds, and each change of something in the
# index is a second write, to a partition that all tasks of one owner share (1,000 writes a second).
_LISTED = ["context_id", "agent", "state", "created", "updated", "attempt", "cancel_requested", "fingerprint", "ttl"]
_HEAD = frozenset(Head.__struct_fields__)


def definition(name: str) -> dict[str, Any]:
    """What `CreateTable` takes."""
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
    """Make the table, with its time to live on; return False if it is there already, and change nothing."""
    try:
        client.create_table(**definition(name))
    except client.exceptions.ResourceInUseException:
        return False
    client.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1})
    client.update_time_to_live(TableName=name, TimeToLiveSpecification={"Enabled": True, "AttributeName": "ttl"})
    return True


def key(task_id: str, seq: int) -> Item:
    return {"task_id": typed(task_id), "seq": typed(seq)}


def head_item(head: Head) -> Item:
    fields = {name: typed(value) for name, value in msgspec.structs.asdict(head).items() if value is not None}
    return {**fields, "seq": typed(0), "place": typed(head.place), "open": typed(OPEN)}


def item_head(item: Item) -> Head:
    return Head(**{name: _plain(value) for name, value in item.items() if name in _HEAD})


def batch_item(task_id: str, batch: Batch, packed: bytes, ttl: int) -> Item:
    return {
        **key(task_id, batch.seq),
        "attempt": typed(batch.attempt),
        "count": typed(len(batch.events)),
        "packed": typed(packed),
        "ttl": typed(ttl),
    }


def item_batch(item: Item) -> Batch:
    seq, count = int(item["seq"]["N"]), int(item["count"]["N"])
    return Batch(seq, int(item["attempt"]["N"]), unpack(item["task_id"]["S"], seq, count, item["packed"]["B"]))


def last_of(item: Item) -> int:
    """The seq of the last event of a batch's item."""
    return int(item["seq"]["N"]) + int(item["count"]["N"]) - 1


def ttl_of(item: Item) -> int:
    return int(item["ttl"]["N"])


def possible(task_id: str) -> bool:
    """Whether a task of this name can be in the table. Others need not be asked for: DynamoDB refuses them."""
    try:
        return 0 < len(task_id.encode()) <= MAX_TASK_ID_BYTES
    except UnicodeEncodeError:
        return False


def _plain(value: dict[str, Any]) -> Any:
    ((kind, plain),) = value.items()
    return int(plain) if kind == "N" else plain


if __name__ == "__main__":
    import boto3

    if len(sys.argv) != 2:
        sys.exit("usage: python -m tailrace.log.table NAME")
    made = create_table(boto3.client("dynamodb"), sys.argv[1])
    print(f"The table {sys.argv[1]!r} {'is made' if made else 'is there already'}.")
