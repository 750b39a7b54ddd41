"""Chaos on DynamoDB: DynamoDB Local behind a proxy that can be cut, and tables that are read without the proxy."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import boto3

from tailrace.agent.checkpoints import store as checkpoint_store
from tailrace.log import table
from tailrace.owner import LOCAL_OWNER, owner_within
from tests.chaos.inspector import Entry, Head, StoreInspector, unpacked
from tests.contract.dynamodb_local import dynamodb_local

TABLE, CHECKPOINTS = "tailrace", "tailrace-checkpoints"
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "TAILRACE_LOG": "dynamodb",
    "TAILRACE_TABLE": TABLE,
    "TAILRACE_CHECKPOINT_TABLE": CHECKPOINTS,
}

IMPORTED = ("boto3", "tailrace.log.dynamodb", "tailrace.agent.checkpoints.dynamodb")


@contextlib.contextmanager
def tables() -> Iterator[tuple[int, Any]]:
    """Run an emulator with empty tables; yield its port and a client."""
    with dynamodb_local() as endpoint:
        client = boto3.client(
            "dynamodb",
            endpoint_url=endpoint,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )
        client.create_table(**table.definition(TABLE))
        client.create_table(**checkpoint_store.definition(CHECKPOINTS))
        yield int(endpoint.rpartition(":")[2]), client
        client.close()


class DynamoInspector(StoreInspector):
    """Reads the table of the log. It does not read saved steps, whose format only the checkpointer knows."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def newest(self, task: str) -> int:
        return entry.seq if (entry := self.tail(task)) is not None else 0

    def entries(self, task: str, after: int = 0) -> list[Entry]:
        pages = self._client.get_paginator("query").paginate(**_query(task, after))
        return [entry for page in pages for item in page["Items"] for entry in _entries(item)]

    def tail(self, task: str) -> Entry | None:
        items = self._client.query(**_query(task, 0), ScanIndexForward=False, Limit=1)["Items"]
        return _entries(items[0])[-1] if items else None

    def head(self, task: str) -> Head | None:
        key = {"task_id": {"S": task}, "seq": {"N": "0"}}
        item = self._client.get_item(TableName=TABLE, Key=key, ConsistentRead=True).get("Item")
        return _head(item) if item else None

    def delegations(self, task: str) -> list[Head]:
        return self._indexed(table.BY_OWNER, "owner", owner_within(LOCAL_OWNER, task))

    def claimed(self) -> list[Head]:
        return self._indexed(table.BY_OPEN, "open", table.OPEN)

    def _indexed(self, index: str, key: str, value: str) -> list[Head]:
        """The heads under `value`, by a query: a scan would take longer with each round."""
        pages = self._client.get_paginator("query").paginate(
            TableName=TABLE,
            IndexName=index,
            KeyConditionExpression="#key = :value",
            ExpressionAttributeNames={"#key": key},
            ExpressionAttributeValues={":value": {"S": value}},
        )
        heads = [self.head(item["task_id"]["S"]) for page in pages for item in page["Items"]]
        return [head for head in heads if head is not None]

    def saved_steps(self, task: str) -> set[str]:
        return set()

    def close(self) -> None:
        pass


def _query(task: str, after: int) -> dict[str, Any]:
    return {
        "TableName": TABLE,
        "KeyConditionExpression": "task_id = :task AND seq > :after",
        "ExpressionAttributeValues": {":task": {"S": task}, ":after": {"N": str(after)}},
        "ConsistentRead": True,
    }


def _entries(item: dict[str, Any]) -> list[Entry]:
    return unpacked(
        int(item["seq"]["N"]), int(item["attempt"]["N"]), int(item["count"]["N"]), bytes(item["packed"]["B"])
    )


def _head(item: dict[str, Any]) -> Head:
    return Head(
        task=item["task_id"]["S"],
        owner=item["owner"]["S"],
        agent=item["agent"]["S"],
        state=item["state"]["S"],
        attempt=int(item["attempt"]["N"]),
        lease_owner=item.get("lease_owner", {}).get("S"),
    )
