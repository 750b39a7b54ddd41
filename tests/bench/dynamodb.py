"""DynamoDB Local for benchmarks, and a meter of its requests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.bench.report import BenchError


class KilledError(Exception):
    pass


def units_in(response: dict[str, Any]) -> float:
    """The units that a request took, by its response; those of a transaction if it was asked for `INDEXES`.

    DynamoDB Local counts each write of a transaction four times, in the table and in its indexes. DynamoDB takes two
    units for each KB ("DynamoDB Transactions: how it works", Amazon DynamoDB Developer Guide).
    """
    consumed = response.get("ConsumedCapacity", {})
    if isinstance(consumed, list):
        return sum(float(each["CapacityUnits"]) for each in consumed) / 2
    return float(consumed.get("CapacityUnits", 0.0))


class Meter:
    """Counts a client's requests and their units; raises instead of sending request number `deadly`.

    With `consistent` every read that can be is strongly consistent.
    """

    def __init__(self, client: Any, *, consistent: bool = True) -> None:
        self.requests, self.written, self.read = 0, 0.0, 0.0
        self._consistent = consistent
        self.deadly: int | None = None
        client.meta.events.register("provide-client-params.dynamodb", self._ask)
        client.meta.events.register("before-call.dynamodb", self._send)
        client.meta.events.register("after-call.dynamodb", self._note)

    def _ask(self, params: dict[str, Any], model: Any, **_: Any) -> dict[str, Any]:
        # The peer's reads are eventually consistent; a resume needs consistent ones.
        consistent = self._consistent and model.name in ("Query", "GetItem") and "IndexName" not in params
        reads = {"ConsistentRead": True} if consistent else {}
        return {**params, **reads, "ReturnConsumedCapacity": "INDEXES"}

    def _send(self, **_: Any) -> None:
        if self.deadly is not None and self.requests >= self.deadly:
            raise KilledError
        self.requests += 1

    def _note(self, parsed: dict[str, Any], model: Any, **_: Any) -> None:
        units = units_in(parsed)
        if model.name in ("Query", "GetItem"):
            self.read += units
        else:
            self.written += units


@contextmanager
def local_dynamodb() -> Iterator[str]:
    """DynamoDB Local, where botocore finds it; its endpoint."""
    import pytest

    from tests.contract.dynamodb_local import dynamodb_local

    names = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
    before = dict(os.environ)
    try:
        with dynamodb_local(optimized=True) as endpoint:
            os.environ.update(names, AWS_ENDPOINT_URL_DYNAMODB=endpoint, AWS_EC2_METADATA_DISABLED="true")
            yield endpoint
    except (pytest.skip.Exception, pytest.fail.Exception) as error:
        raise BenchError(str(error)) from None
    finally:
        os.environ.clear()
        os.environ.update(before)
