"""What the tests of the DynamoDB log share: an empty table at an endpoint, and a record of what is asked of it."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import boto3
import pytest
from moto.server import ThreadedMotoServer

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
        events = log._transport.client().meta.events
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


@contextmanager
def moto_server() -> Iterator[str]:
    """DynamoDB and S3 by moto over HTTP; gives the endpoint of both.

    One request at a time: DynamoDB looks and writes in one go, and moto's threads do not.
    """
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    assert server._server is not None
    app, one = server._server.app, threading.Lock()

    def in_turn(environ: Any, start_response: Any) -> Any:
        with one:
            return list(app(environ, start_response))

    server._server.app = in_turn
    host, port = server.get_host_and_port()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.stop()


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
