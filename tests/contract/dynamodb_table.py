"""What the tests of the DynamoDB log share: an empty table at an endpoint, and a record of what is asked of it."""

from __future__ import annotations

import uuid
from typing import Any, NamedTuple

import boto3
import pytest

from tailrace.log.dynamodb import DynamoDBLog
from tailrace.log.table import definition


class Request(NamedTuple):
    operation: str
    units: float
    items: int


class Requests(list[Request]):
    """Every request `log` makes from now on, with the capacity it took."""

    def __init__(self, log: DynamoDBLog) -> None:
        super().__init__()
        self.asked: list[dict[str, Any]] = []
        events = log._transport._client().meta.events
        events.register("provide-client-params.dynamodb", self._ask)
        events.register("after-call.dynamodb", self._note)

    def take(self) -> list[Request]:
        """The requests since the last call."""
        taken = list(self)
        self.clear()
        return taken

    def _ask(self, params: dict[str, Any], **_: Any) -> dict[str, Any]:
        self.asked.append(params)
        return {**params, "ReturnConsumedCapacity": "TOTAL"}

    def _note(self, parsed: dict[str, Any], model: Any, **_: Any) -> None:
        units = parsed.get("ConsumedCapacity", {}).get("CapacityUnits", 0.0)
        self.append(Request(model.name, units, len(parsed.get("Items", ()))))


def use(endpoint: str, environ: pytest.MonkeyPatch) -> None:
    """Let botocore find `endpoint`, as it finds AWS, by the environment."""
    for name, value in {
        "AWS_ENDPOINT_URL_DYNAMODB": endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        environ.setenv(name, value)


def empty_table() -> str:
    """A new table. Its time to live is off: the tests' clock stands in the past, and the store's does not."""
    name = f"tailrace-{uuid.uuid4().hex[:12]}"
    client = boto3.client("dynamodb")
    client.create_table(**definition(name))
    client.close()
    return name
