"""The log in a table of the genuine DynamoDB Local."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest

from tailrace.log.dynamodb import DynamoDBLog
from tailrace.stores.dynamodb import new_client
from tests.contract.dynamodb_table import empty_table, use
from tests.contract.log_tasks import TTL_S, Clock

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@pytest.fixture
def table(local_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> str:
    use(local_endpoint, monkeypatch)
    return empty_table()


@pytest.fixture
def client(table: str) -> DynamoDBClient:
    """The client of `log`. It connects directly to DynamoDB Local, wherever the environment points later."""
    return new_client(threads=32)


@pytest.fixture
async def log(table: str, clock: Clock, client: DynamoDBClient) -> AsyncIterator[DynamoDBLog]:
    log = DynamoDBLog(table, ttl_s=TTL_S, clock=clock, client=client, patience_s=60)
    yield log
    await log.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()
