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
from tests.contract.dynamodb_table import use

BUCKET = "tailrace-test"


def use_stores(dynamodb: str, s3: str, environ: pytest.MonkeyPatch) -> str:
    """Point botocore at both stores and empty `BUCKET`; return the name of a new table for checkpoints."""
    use(dynamodb, environ)
    environ.setenv("AWS_ENDPOINT_URL_S3", s3)
    client = boto3.client("s3")
    client.create_bucket(Bucket=BUCKET)
    client.close()
    delete_objects()  # all moto servers in a process share their buckets
    return checkpoint_table()


def checkpoint_table() -> str:
    """Create a table for checkpoints; return its name."""
    name = f"checkpoints-{uuid.uuid4().hex[:12]}"
    client = boto3.client("dynamodb")
    client.create_table(**checkpoint_store.definition(name))
    client.close()
    return name


def items_of(table: str) -> list[Item]:
    client = boto3.client("dynamodb")
    items: list[Any] = [
        item for page in client.get_paginator("scan").paginate(TableName=table) for item in page["Items"]
    ]
    client.close()
    return items


def objects() -> list[str]:
    """Return the names of the objects in `BUCKET`."""
    client = boto3.client("s3")
    names = [each["Key"] for each in client.list_objects_v2(Bucket=BUCKET).get("Contents", [])]
    client.close()
    return names


def delete_objects() -> None:
    """Empty `BUCKET`."""
    client = boto3.client("s3")
    for name in objects():
        client.delete_object(Bucket=BUCKET, Key=name)
    client.close()


def noise(size: int) -> str:
    """Return text that hardly compresses."""
    return "".join(random.Random(size).choices(string.printable, k=size))


def share_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let all savers share clients, because creating them takes longer than the tests' requests."""
    dynamodb, s3 = boto3.client("dynamodb"), boto3.client("s3")
    monkeypatch.setattr(Transport, "client", lambda _: dynamodb)
    monkeypatch.setattr(checkpoint_store.Objects, "client", lambda _: s3)


class Killed(Exception):
    """The simulated death of the process that makes the requests."""


class Requests:
    """Records the requests of a saver, and raises `Killed` before one of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.made: list[str] = []
        self.deadly: int | None = None
        call = checkpoint_store.ItemTable.call
        request = checkpoint_store.Objects.call

        async def table(store: Any, operation: str, *args: Any) -> Any:
            self._count(operation)
            return await call(store, operation, *args)

        async def bucket(store: Any, operation: Any) -> Any:
            self._count("s3")
            return await request(store, operation)

        monkeypatch.setattr(checkpoint_store.ItemTable, "call", table)
        monkeypatch.setattr(checkpoint_store.Objects, "call", bucket)

    def _count(self, operation: str) -> None:
        if self.deadly is not None and len(self.made) >= self.deadly:
            raise Killed
        self.made.append(operation)
