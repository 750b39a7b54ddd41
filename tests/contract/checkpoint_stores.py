"""Stores for the tests of checkpoints, and the death of a process between two requests."""

from __future__ import annotations

import random
import string
import uuid
from typing import Any

import boto3
import pytest

from tailrace.agent.checkpoints import store as checkpoint_store
from tailrace.agent.checkpoints.store import Item
from tailrace.stores.dynamodb import Transport
from tests.contract.dynamodb_table import client_of, use

BUCKET = "tailrace-test"


def use_stores(dynamodb: str, s3: str, environ: pytest.MonkeyPatch) -> str:
    """Point botocore at both stores and empty `BUCKET`; return the name of a new table for checkpoints."""
    use(dynamodb, environ)
    environ.setenv("AWS_ENDPOINT_URL_S3", s3)
    client_of("s3").create_bucket(Bucket=BUCKET)
    delete_objects()  # all moto servers in a process share their buckets
    return checkpoint_table()


def checkpoint_table() -> str:
    """Create a table for checkpoints; return its name."""
    name = f"checkpoints-{uuid.uuid4().hex[:12]}"
    client_of("dynamodb").create_table(**checkpoint_store.definition(name))
    return name


def items_of(table: str) -> list[Item]:
    pages = client_of("dynamodb").get_paginator("scan").paginate(TableName=table)
    return [item for page in pages for item in page["Items"]]


def objects() -> list[str]:
    """Return the names of the objects in `BUCKET`."""
    return [each["Key"] for each in client_of("s3").list_objects_v2(Bucket=BUCKET).get("Contents", [])]


def delete_objects() -> None:
    """Empty `BUCKET`."""
    for name in objects():
        client_of("s3").delete_object(Bucket=BUCKET, Key=name)


def noise(size: int) -> str:
    """Return text that hardly compresses."""
    return "".join(random.Random(size).choices(string.printable, k=size))


def share_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let all savers share clients, because creating them takes longer than the tests' requests."""
    dynamodb, s3 = boto3.client("dynamodb"), boto3.client("s3")
    monkeypatch.setattr(Transport, "client", lambda _: dynamodb)
    monkeypatch.setattr(checkpoint_store.Objects, "client", lambda _: s3)


class Deaths:
    """What a table had before each of a saver's writes: a process that died there would have left that."""

    def __init__(self, table: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left: list[list[Item]] = []
        self._table = table
        call = checkpoint_store.ItemTable.call
        request = checkpoint_store.Objects.call

        async def to_table(store: Any, operation: str, *args: Any) -> Any:
            if operation not in ("query", "get_item"):
                self._note()
            return await call(store, operation, *args)

        async def to_bucket(store: Any, operation: Any) -> Any:
            self._note()
            return await request(store, operation)

        monkeypatch.setattr(checkpoint_store.ItemTable, "call", to_table)
        monkeypatch.setattr(checkpoint_store.Objects, "call", to_bucket)

    def _note(self) -> None:
        self.left.append(items_of(self._table))


def table_with(items: list[Item]) -> str:
    """Create a table for checkpoints with these items; return its name."""
    name = checkpoint_table()
    for at in range(0, len(items), 25):  # the most that one request may put
        puts = [{"PutRequest": {"Item": item}} for item in items[at : at + 25]]
        client_of("dynamodb").batch_write_item(RequestItems={name: puts})
    return name
