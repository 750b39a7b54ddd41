"""Requests to DynamoDB while the event loop stands still, and transactions that are cancelled."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError

from deploy.cost.lines import measure
from tailrace.errors import LogUnavailable
from tailrace.stores.dynamodb import Cancelled, Item, Transport, unparsed
from tailrace.stores.units import logged_units

PATIENCE_S = 0.1


class Client:
    """Answers when it may, and notes that it has."""

    def __init__(self) -> None:
        self.may_answer = threading.Event()
        self.answered = threading.Event()

    def put_item(self, **_: Any) -> dict[str, Any]:
        self.may_answer.wait(60)
        self.answered.set()
        return {"Item": {}}

    def close(self) -> None:
        pass


async def test_a_response_counts_that_came_in_time_while_the_loop_stood_still() -> None:
    client = Client()
    transport = Transport("t", content="It", no_table="-", patience_s=PATIENCE_S, threads=1, client=cast(Any, client))
    call = asyncio.create_task(transport.call("put_item", {}, unparsed))
    await asyncio.sleep(0)  # the request is on its way
    client.may_answer.set()
    assert client.answered.wait(60)
    time.sleep(2 * PATIENCE_S)  # noqa: ASYNC251 - the loop stands still
    assert await call == {"Item": {}}
    await transport.close()


async def test_a_response_that_did_not_come_in_time_does_not_count() -> None:
    client = Client()
    transport = Transport("t", content="It", no_table="-", patience_s=PATIENCE_S, threads=1, client=cast(Any, client))
    with pytest.raises(LogUnavailable, match=r"It did not answer within 0\.1 s"):
        await transport.call("put_item", {}, unparsed)
    client.may_answer.set()
    await transport.close()


class Priced:
    """Says what each request has used, if it is asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def answer(self, *, ReturnConsumedCapacity: str = "NONE", **_: Any) -> dict[str, Any]:
        self.asked.append(ReturnConsumedCapacity)
        return {"ConsumedCapacity": {"CapacityUnits": 2.5}} if ReturnConsumedCapacity == "TOTAL" else {}

    def batch_write_item(self, **request: Any) -> dict[str, Any]:
        return {"ConsumedCapacity": [self.answer(**request)["ConsumedCapacity"]]}

    put_item = update_item = query = get_item = answer

    def close(self) -> None:
        pass


async def test_an_invocations_units_are_counted_also_in_tasks_that_it_starts(caplog: pytest.LogCaptureFixture) -> None:
    client = Priced()
    transport = Transport("t", content="It", no_table="-", patience_s=10, threads=4, client=cast(Any, client))

    async def work() -> None:
        await transport.call("query", {}, unparsed)
        await asyncio.gather(*(transport.call("put_item", {}, unparsed) for _ in range(9)))
        await transport.call("batch_write_item", {}, unparsed)

    with caplog.at_level("INFO", logger="tailrace.units"):
        with logged_units() as units:
            await asyncio.create_task(work())
        assert (units.read, units.written) == (2.5, 25.0)
        await transport.call("update_item", {}, unparsed)  # nobody counts
        assert client.asked[-1] == "NONE"
        with logged_units():
            pass
    await transport.close()
    (line,) = [json.loads(record.message) for record in caplog.records]
    assert (line["event"], line["readUnits"], line["writeUnits"]) == ("units", 2.5, 25.0)
    # The bill is made of such lines.
    measured = measure(json.dumps({"level": "INFO", "message": json.dumps(line)}))
    assert (measured.usage.reads["measured"], measured.usage.writes["measured"]) == (2.5, 25.0)


class Cancelling:
    """Cancels each transaction with the next reasons: codes, and what is stored under the items' keys."""

    def __init__(self, *reasons: list[tuple[str, Item | None]]) -> None:
        self._reasons = list(reasons)
        self.requests: list[dict[str, Any]] = []

    def transact_write_items(self, **request: Any) -> dict[str, Any]:
        self.requests.append(request)
        if not self._reasons:
            return {}
        reasons = [{"Code": code, **({"Item": item} if item else {})} for code, item in self._reasons.pop(0)]
        answer: Any = {
            "Error": {"Code": "TransactionCanceledException", "Message": ""},
            "ResponseMetadata": {"HTTPStatusCode": 400},
            "CancellationReasons": reasons,
        }
        raise ClientError(answer, "TransactWriteItems")

    def close(self) -> None:
        pass


async def transact(client: Cancelling) -> None:
    transport = Transport("t", content="It", no_table="-", patience_s=10, threads=1, client=cast(Any, client))
    await transport.transact([("Put", {"Item": {}}), ("Update", {"Key": {}})])
    await transport.close()


@pytest.mark.parametrize("code", ["TransactionConflict", "ProvisionedThroughputExceeded", "ThrottlingError"])
async def test_a_transaction_that_met_another_one_is_tried_again_under_the_same_token(code: str) -> None:
    client = Cancelling([("None", None), (code, None)], [(code, None), (code, None)])
    await transact(client)
    assert len(client.requests) == 3
    assert client.requests[0] == client.requests[1] == client.requests[2]
    assert client.requests[0]["ClientRequestToken"]
    assert client.requests[0]["TransactItems"] == [
        {"Put": {"TableName": "t", "Item": {}}},
        {"Update": {"TableName": "t", "Key": {}}},
    ]


async def test_a_transaction_whose_condition_did_not_hold_says_what_is_stored() -> None:
    stored: Item = {"task_id": {"S": "t1"}}
    with pytest.raises(Cancelled) as cancelled:
        await transact(Cancelling([("TransactionConflict", None), ("ConditionalCheckFailed", stored)]))
    assert cancelled.value.items == {1: stored}


async def test_a_transaction_that_can_never_succeed_is_reported_at_once_by_its_reason() -> None:
    with pytest.raises(LogUnavailable, match=r"^It cannot be used: DynamoDB answered ValidationError\.$"):
        await transact(Cancelling([("TransactionConflict", None), ("ValidationError", None)]))
