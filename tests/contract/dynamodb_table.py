"""An empty table and a record of its requests, for the tests of the DynamoDB log."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import boto3
import pytest
from moto.server import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

from tailrace.log.table import definition

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
        return {**params, "ReturnConsumedCapacity": "TOTAL"}

    def _note(self, parsed: dict[str, Any], model: Any, **_: Any) -> None:
        units = parsed.get("ConsumedCapacity", {}).get("CapacityUnits", 0.0)
        self.append(Request(model.name, units, len(parsed.get("Items", ()))))


@contextmanager
def moto_server() -> Iterator[str]:
    """Run moto's DynamoDB and S3 over HTTP; yield their endpoint.

    It serves one request at a time, because moto's conditional writes are not atomic across threads.
    """
    app, one = DomainDispatcherApplication(create_backend_app), threading.Lock()

    def in_turn(environ: Any, start_response: Any) -> Any:
        with one:
            return list(app(environ, start_response))

    server = make_server("127.0.0.1", 0, in_turn, threaded=True, request_handler=MotoRequestHandler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


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
