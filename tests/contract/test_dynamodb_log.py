"""The contract of the log in DynamoDB, and the requests that the log makes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

import pytest

from tailrace.agent.threads import create, start, start_in
from tailrace.errors import LogUnavailable
from tailrace.events import Details, Message, Part, status_update
from tailrace.log import Batch
from tailrace.log.dynamodb import DynamoDBLog
from tailrace.log.table import definition
from tailrace.stores.dynamodb import new_client
from tests.contract.damage_contract import DamageContract
from tests.contract.dynamodb_table import Requests, empty_table, use
from tests.contract.faulty import faulty_proxy
from tests.contract.log_contract import LogContract
from tests.contract.log_tasks import TTL_S, Clock, created, events, head_of
from tests.support.fast_moto import moto_server

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with moto_server() as endpoint:
        yield endpoint


class TestDynamoDBLog(LogContract, DamageContract):
    @pytest.fixture
    def client(self, any_dynamodb: str, monkeypatch: pytest.MonkeyPatch) -> DynamoDBClient:
        use(any_dynamodb, monkeypatch)
        return new_client(threads=32)

    @pytest.fixture
    async def log(self, clock: Clock, client: DynamoDBClient) -> AsyncIterator[DynamoDBLog]:
        log = DynamoDBLog(empty_table(), ttl_s=TTL_S, clock=clock, client=client, patience_s=60)
        yield log
        await log.close()

    async def test_the_log_reads_consistently_without_scans_and_only_a_new_task_is_a_transaction(
        self, log: DynamoDBLog, client: DynamoDBClient
    ) -> None:
        requests = Requests(client)
        task_id = await created(log)
        await log.append(task_id, Batch(2, 1, events(2, 3)))
        await log.claim(task_id, "runner", 10)
        await log.renew(task_id, 1, 10)
        await log.request_cancel(task_id)
        await log.update_state(task_id, 1, "TASK_STATE_CANCELED", release=True)
        await log.head(task_id)
        await log.read(task_id)
        await log.last(task_id)
        await log.list("alice")
        assert [request.operation for request in requests] == [
            "TransactWriteItems", "PutItem", "UpdateItem", "UpdateItem", "UpdateItem", "UpdateItem",
            "GetItem", "Query", "Query", "Query",
        ]  # fmt: skip
        reads = [
            params for params in requests.params if "ConsistentRead" in params or "KeyConditionExpression" in params
        ]
        assert [params.get("ConsistentRead", False) for params in reads] == [True, True, True, False]
        assert reads[-1]["IndexName"] == "by_owner", "only an index cannot be read consistently"

    async def test_a_task_of_a_context_takes_one_write_and_few_reads(
        self, log: DynamoDBLog, client: DynamoDBClient
    ) -> None:
        requests, message = Requests(client), Message(message_id="m", role="ROLE_USER", parts=[Part(text="hello")])
        for task_id, new, created_with in (
            ("first", True, ["TransactWriteItems"]),
            ("later", False, ["GetItem", "Query", "TransactWriteItems"]),
        ):
            created = await create(log, head_of(task_id=task_id), message, new=new)
            head = created.head
            assert [request.operation for request in requests.take()] == created_with
            place = await start(log, head, head.context_id, message)
            assert [request.operation for request in requests.take()] == ["GetItem"]
            assert start_in(head) == place, "its creator needs no request"
            done = Details(checkpoints={"": f"end of {task_id}"}, thread=place.thread)
            event = status_update(head.source, 2, "state", done, state="TASK_STATE_COMPLETED")
            await log.append(task_id, Batch(2, 0, [event]))
            requests.clear()
        assert place.checkpoints == {"": "end of first"}
        await log.conversations.list("alice")
        assert [request.operation for request in requests] == ["Query"], "the index has all that a list shows"


async def test_a_repeated_transaction_is_carried_out_once(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under load a response comes too late, and the request is made again: then these tests need moto's memory."""
    use(endpoint, monkeypatch)
    table = empty_table()
    with faulty_proxy(endpoint) as proxy:
        use(proxy.endpoint, monkeypatch)
        log = DynamoDBLog(table, client=new_client(threads=1))
        proxy.faults["TransactWriteItems"] = ["reset after"]
        assert (await log.create_or_find(head_of(task_id="t"), b"{}"))[1], "this call has created it"
        assert proxy.seen == ["TransactWriteItems"] * 2
        assert not (await log.create_or_find(head_of(task_id="t"), b"{}"))[1], "another call finds it"
        await log.close()


async def test_a_try_is_taken_back_once_although_the_response_was_lost(
    endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(endpoint, monkeypatch)
    table, clock = empty_table(), Clock()
    with faulty_proxy(endpoint) as proxy:
        use(proxy.endpoint, monkeypatch)
        log = DynamoDBLog(table, clock=clock, client=new_client(threads=1))
        task_id = await created(log)
        for _ in range(2):
            await log.claim(task_id, "a process", 10)
            clock.now += 11
        proxy.faults["UpdateItem"] = ["reset after"]
        await log.take_back_try(task_id)
        assert (await log.head(task_id)).tries == 1
        await log.close()


async def test_a_missing_region_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_DEFAULT_REGION", "AWS_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    log = DynamoDBLog("tailrace")
    with pytest.raises(LogUnavailable, match=r"^The log in table 'tailrace' \(.*\) cannot be used: NoRegionError\.$"):
        await log.head("anything")
    await log.close()


def test_the_definition_uses_every_attribute_it_declares() -> None:
    table = definition("t")
    used = {key["AttributeName"] for keys in (table, *table["GlobalSecondaryIndexes"]) for key in keys["KeySchema"]}
    assert used == {attribute["AttributeName"] for attribute in table["AttributeDefinitions"]}
