"""An empty table and a record of its requests, for the tests of the DynamoDB log."""

from __future__ import annotations

import os
import uuid
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import boto3
import pytest

from tailrace.log.table import definition
from tests.bench.dynamodb import units_in

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class Request(NamedTuple):
    operation: str
    units: float
    items: int


class Requests(list[Request]):
    """Every later request of `client`, with the capacity that it consumed; `params` has their parameters."""

    def __init__(self, client: DynamoDBClient) -> None:
        super().__init__()
        self.params: list[dict[str, Any]] = []
        events = client.meta.events
        events.register("provide-client-params.dynamodb", self._ask)
        events.register("after-call.dynamodb", self._note)

    def take(self) -> list[Request]:
        """Return the requests since the last call."""
        taken = list(self)
        self.clear()
        return taken

    def _ask(self, params: dict[str, Any], **_: Any) -> dict[str, Any]:
        self.params.append(params)
        return {**params, "ReturnConsumedCapacity": "INDEXES"}

    def _note(self, parsed: dict[str, Any], model: Any, **_: Any) -> None:
        self.append(Request(model.name, units_in(parsed), len(parsed.get("Items", ()))))


def use(endpoint: str, environ: pytest.MonkeyPatch) -> None:
    """Point botocore at `endpoint` by environment variables."""
    for name, value in {
        "AWS_ENDPOINT_URL_DYNAMODB": endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        environ.setenv(name, value)


def empty_table() -> str:
    """Create a table; return its name.

    Its time to live is off, because the tests' clock is in the past and the store's is not.
    """
    name = f"tailrace-{uuid.uuid4().hex[:12]}"
    client_of("dynamodb").create_table(**definition(name))
    return name


def client_of(service: str) -> Any:
    """A client at the endpoint that the environment names: one for all tests, as making one outlasts most requests."""
    return _client(service, os.environ[f"AWS_ENDPOINT_URL_{service.upper()}"])


@cache
def _client(service: str, endpoint: str) -> Any:
    return boto3.client(service, endpoint_url=endpoint)
