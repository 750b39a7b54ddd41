"""The contract with moto, and the requests that the log makes."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tailrace.log import Batch
from tailrace.log.dynamodb import DynamoDBLog
from tests.contract.damage_contract import DamageContract
from tests.contract.dynamodb_table import Requests, empty_table, moto_server, use
from tests.contract.log_contract import LogContract
from tests.contract.log_tasks import TTL_S, Clock, created, events


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with moto_server() as endpoint:
        yield endpoint


class TestDynamoDBLog(LogContract, DamageContract):
    @pytest.fixture
    async def log(self, endpoint: str, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[DynamoDBLog]:
        use(endpoint, monkeypatch)
        log = DynamoDBLog(empty_table(), ttl_s=TTL_S, clock=clock)
        yield log
        await log.close()

    async def test_the_log_reads_consistently_without_scans_or_transactions(self, log: DynamoDBLog) -> None:
        requests = Requests(log)
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
            "PutItem", "PutItem", "PutItem", "UpdateItem", "UpdateItem", "UpdateItem", "UpdateItem",
            "GetItem", "Query", "Query", "Query",
        ]  # fmt: skip
        reads = [
            params for params in requests.params if "ConsistentRead" in params or "KeyConditionExpression" in params
        ]
        assert [params.get("ConsistentRead", False) for params in reads] == [True, True, True, False]
        assert reads[-1]["IndexName"] == "by_owner", "only an index cannot be read consistently"
