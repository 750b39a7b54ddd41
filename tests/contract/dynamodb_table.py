"""An empty table and a record of its requests, for the tests of the DynamoDB log."""

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
    """Every later request of `log`, with the capacity that it consumed; `params` has their parameters."""

    def __init__(self, log: DynamoDBLog) -> None:
        super().__init__()
        self.params: list[dict[str, Any]] = []
        events = log._transport.client().meta.events
        events.register("provide-client-params.dynamodb", self._ask)
        events.register("after-call.dynamodb", self._note)

    def take(self) -> list[Request]:
        """Return the requests since the last call."""
        taken = list(self)
        self.clear()
        return taken

    def _ask(self, params: dict[str, Any], **_: Any) -> dict[str, Any]:
        self.params.append(params)
        return {**params, "ReturnConsumedCapacity": "TOTAL"}

    def _note(self, parsed: dict[str, Any], model: Any, **_: Any) -> None:
        units = parsed.get("ConsumedCapacity", {}).get("CapacityUnits", 0.0)
        self.append(Request(model.name, units, len(parsed.get("Items", ()))))


@contextmanager
def moto_server() -> Iterator[str]:
    """Run moto's DynamoDB and S3 over HTTP; yield their endpoint.

    It serves one request at a time, because moto's conditional writes are not atomic across threads.
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
    client = boto3.client("dynamodb")
    client.create_table(**definition(name))
    client.close()
    return name
