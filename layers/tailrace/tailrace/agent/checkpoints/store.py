"""The storage of `DynamoDBSaver`: a table of items by thread and key, and a bucket of objects."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

from tailrace.errors import CheckpointsUnavailable
from tailrace.stores import table
from tailrace.stores.dynamodb import Item, Refused, Response, Transport

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

__all__ = ["Item", "ItemTable", "Objects", "Refused", "definition"]

T = TypeVar("T")

_THREADS = 8
_CONNECT_S = 1.0
_READ_S = 10.0
# S3 advises to retry requests without a response or with a status of 5xx; botocore does, with pauses.
_TRIES = 4


def definition(name: str) -> dict[str, Any]:
    """The parameters of `CreateTable`. On AWS the template makes the table with the same definition."""
    return {
        "TableName": name,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": key, "AttributeType": "S"} for key in ("PK", "SK")],
        "KeySchema": [{"AttributeName": "PK", "KeyType": "HASH"}, {"AttributeName": "SK", "KeyType": "RANGE"}],
    }


class ItemTable:
    """Items under a thread (`PK`) and a key (`SK`). Every method may raise `CheckpointsUnavailable`."""

    def __init__(self, name: str, *, patience_s: float, client: DynamoDBClient | None = None) -> None:
        self._transport = Transport(
            name,
            content=f"The checkpoints in table {name!r} (TAILRACE_CHECKPOINT_TABLE)",
            no_table=table.missing("tailrace.agent.checkpoints.store"),
            patience_s=patience_s,
            threads=_THREADS,
            error=CheckpointsUnavailable,
            client=client,
        )

    async def close(self) -> None:
        """Wait for the requests under way, then close the connections."""
        await self._transport.close()

    async def get(self, thread: str, key: str) -> Item | None:
        """The item with this key, strongly consistent; None if there is none."""
        request = {"Key": {"PK": {"S": thread}, "SK": {"S": key}}, "ConsistentRead": True}
        return await self.call("get_item", request, lambda response: response.get("Item"))

    async def query(self, thread: str, prefix: str, limit: int, *, after: Item | None = None) -> list[Item]:
        """Up to `limit` items of a thread with keys that begin with `prefix`, in descending order, after `after`."""
        items: list[Item] = []
        last = _key(after) if after is not None else None
        while len(items) < limit:
            page, last = await self._page(
                thread, *_begins(prefix), last, Limit=limit - len(items), ScanIndexForward=False
            )
            items += page
            if last is None:
                break
        return items

    async def all(self, thread: str, prefix: str) -> list[Item]:
        """All of a thread's items whose keys begin with `prefix`, in ascending order."""
        return await self._all(thread, *_begins(prefix))

    async def between(self, thread: str, low: str, high: str) -> list[Item]:
        """All of a thread's items with keys from `low` to `high`, in ascending order."""
        return await self._all(thread, " AND SK BETWEEN :low AND :high", {":low": {"S": low}, ":high": {"S": high}})

    async def put(self, item: Item) -> None:
        """Put an item in the place of any other with its key."""
        await self.call("put_item", {"Item": item}, _nothing)

    async def replace(self, item: Item, stored: Item | None) -> None:
        """Put an item in the place of the `stored` one (None: of no item), if the stored one's `version` is unchanged.

        Raises:
            Refused: another item is stored. It is the error's `item`.
        """
        request: dict[str, Any] = {"Item": item, "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}
        if stored is None:
            request["ConditionExpression"] = "attribute_not_exists(PK)"
        else:
            request["ConditionExpression"] = "#version = :version"
            request["ExpressionAttributeNames"] = {"#version": "version"}
            request["ExpressionAttributeValues"] = {":version": stored["version"]}
        await self.call("put_item", request, _nothing)

    async def live_until(self, item: Item, ttl: str) -> None:
        """Set when the item expires, if it still exists."""
        request = {
            "Key": _key(item),
            "UpdateExpression": "SET #ttl = :ttl",
            "ConditionExpression": "attribute_exists(PK)",
            "ExpressionAttributeNames": {"#ttl": "ttl"},
            "ExpressionAttributeValues": {":ttl": {"N": ttl}},
        }
        try:
            await self.call("update_item", request, _nothing)
        except Refused:
            return  # Its thread was deleted in the meantime.

    async def delete(self, item: Item) -> None:
        """Delete the item with this item's key, if it exists."""
        await self.call("delete_item", {"Key": _key(item)}, _nothing)

    async def _all(self, thread: str, condition: str, values: Item) -> list[Item]:
        items, last = await self._page(thread, condition, values, None)
        while last is not None:
            page, last = await self._page(thread, condition, values, last)
            items += page
        return items

    async def _page(
        self, thread: str, condition: str, values: Item, after: Item | None, **options: Any
    ) -> tuple[list[Item], Item | None]:
        request = {
            "KeyConditionExpression": f"PK = :thread{condition}",
            "ExpressionAttributeValues": {":thread": {"S": thread}, **values},
            "ConsistentRead": True,
            **options,
            **({"ExclusiveStartKey": after} if after is not None else {}),
        }
        return await self.call("query", request, lambda response: (response["Items"], response.get("LastEvaluatedKey")))

    async def call(self, operation: str, request: dict[str, Any], parse: Callable[[Response], T]) -> T:
        """Make one request to DynamoDB and parse its response.

        Raises:
            CheckpointsUnavailable: the table is missing, or DynamoDB did not answer in time.
        """
        return await self._transport.call(operation, request, parse)


class Objects:
    """The objects of one bucket. Every method may raise `CheckpointsUnavailable`."""

    def __init__(self, bucket: str, *, patience_s: float) -> None:
        self._bucket = bucket
        self._patience_s = patience_s
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="checkpoints-s3")
        self._lock = threading.Lock()
        self._s3_client: Any = None

    async def close(self) -> None:
        """Wait for the requests under way, then close the connections."""
        await asyncio.to_thread(self._pool.shutdown, cancel_futures=True)
        if self._s3_client is not None:
            self._s3_client.close()

    async def put(self, name: str, data: bytes) -> None:
        """Put an object under this name."""
        await self.call(lambda client: client.put_object(Bucket=self._bucket, Key=name, Body=data))

    async def get(self, name: str) -> bytes | None:
        """The object's bytes; None if there is no object of this name."""

        def read(client: Any) -> bytes | None:
            try:
                content: bytes = client.get_object(Bucket=self._bucket, Key=name)["Body"].read()
                return content
            except client.exceptions.NoSuchKey:
                return None

        return await self.call(read)

    async def delete(self, name: str) -> None:
        """Delete the object of this name, if it exists."""
        await self.call(lambda client: client.delete_object(Bucket=self._bucket, Key=name))

    async def call(self, operation: Callable[[Any], T]) -> T:
        """Run one request to S3 in a thread.

        Raises:
            CheckpointsUnavailable: S3 refused the request, or did not answer in time.
        """
        try:
            async with asyncio.timeout(self._patience_s):
                return await asyncio.get_running_loop().run_in_executor(self._pool, self._request, operation)
        except TimeoutError:
            raise self._unavailable(f"there was no response within {self._patience_s:g} s") from None

    def _request(self, operation: Callable[[Any], T]) -> T:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return operation(self.client())
        except (ClientError, BotoCoreError) as error:
            # The text of a ClientError may hold account numbers; it is in this error's cause, for the operator.
            code = error.response["Error"]["Code"] if isinstance(error, ClientError) else type(error).__name__
            raise self._unavailable(code) from error

    def _unavailable(self, reason: str) -> CheckpointsUnavailable:
        return CheckpointsUnavailable(
            f"The checkpoints in bucket {self._bucket!r} (TAILRACE_BUCKET) cannot be used: {reason}."
        )

    def client(self) -> Any:
        """The client of botocore, made by the first request and shared by all threads."""
        with self._lock:
            if self._s3_client is None:
                from botocore.config import Config
                from botocore.session import get_session

                config = Config(
                    connect_timeout=_CONNECT_S,
                    read_timeout=_READ_S,
                    retries={"mode": "standard", "total_max_attempts": _TRIES},
                    max_pool_connections=_THREADS,
                )
                self._s3_client = get_session().create_client("s3", config=config)
            return self._s3_client


def _begins(prefix: str) -> tuple[str, Item]:
    return (" AND begins_with(SK, :prefix)", {":prefix": {"S": prefix}}) if prefix else ("", {})


def _key(item: Item) -> Item:
    return {"PK": item["PK"], "SK": item["SK"]}


def _nothing(_: Response) -> None:
    return None


if __name__ == "__main__":
    table.main("tailrace.agent.checkpoints.store", definition)
