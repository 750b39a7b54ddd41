"""The tail of the DynamoDB log over a copy of the table that lacks items, as an eventually consistent read may."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tailrace.log import Batch
from tailrace.log.dynamodb import DynamoDBLog
from tailrace.stores.dynamodb import new_client
from tests.contract.dynamodb_table import Requests, empty_table, use
from tests.contract.log_tasks import TTL_S, Clock, created, events
from tests.support.fast_moto import moto_server

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

# Where the batches of the task begin after its first event, and how many events they have.
BATCHES = ((2, 3), (5, 1), (6, 4), (10, 2))
LAST = 11


class StaleCopy:
    """What eventually consistent queries of `client` see: only items for which `has` is true of their seq."""

    def __init__(self, client: DynamoDBClient) -> None:
        self.has: Callable[[int], bool] = lambda seq: True
        client.meta.events.register("before-parameter-build.dynamodb.Query", self._note)
        client.meta.events.register("after-call.dynamodb.Query", self._answer)

    def _note(self, params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
        context["stale"] = not params["ConsistentRead"]

    def _answer(self, parsed: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
        if context["stale"]:
            parsed["Items"] = [item for item in parsed["Items"] if self.has(int(item["seq"]["N"]))]


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with moto_server() as endpoint:
        yield endpoint


@pytest.fixture
def client(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> DynamoDBClient:
    use(endpoint, monkeypatch)
    return new_client(threads=4)


@pytest.fixture
async def log(client: DynamoDBClient) -> AsyncIterator[DynamoDBLog]:
    log = DynamoDBLog(empty_table(), ttl_s=TTL_S, clock=Clock(), client=client)
    yield log
    await log.close()


async def begun(log: DynamoDBLog) -> str:
    """A task with these batches, whose first event the reader has."""
    task_id = await created(log)
    assert await log.last(task_id) == 1
    for first, count in BATCHES:
        await log.append(task_id, Batch(first, 1, events(first, count)))
    return task_id


def seqs(batches: list[Batch]) -> list[int]:
    return [seq for batch in batches for seq in range(batch.seq, batch.last + 1)]


async def test_a_look_at_the_end_is_one_query_that_is_not_consistent(log: DynamoDBLog, client: DynamoDBClient) -> None:
    task_id, requests = await begun(log), Requests(client)
    assert await log.last(task_id) == LAST
    requests.params.clear()
    assert await log.tail(task_id, LAST) == []
    assert [each["ConsistentRead"] for each in requests.params] == [False]


async def test_a_copy_that_lacks_the_newest_batches_gives_those_before(
    log: DynamoDBLog, client: DynamoDBClient
) -> None:
    task_id, copy = await begun(log), StaleCopy(client)
    copy.has = lambda seq: seq < 6
    assert seqs(await log.tail(task_id, 1)) == [2, 3, 4, 5]
    assert await log.tail(task_id, 5) == []
    copy.has = lambda seq: True
    assert seqs(await log.tail(task_id, 5)) == list(range(6, LAST + 1))


async def test_a_hole_in_a_copy_is_read_again_consistently(log: DynamoDBLog, client: DynamoDBClient) -> None:
    task_id, copy = await begun(log), StaleCopy(client)
    copy.has = lambda seq: seq != 6
    assert seqs(await log.tail(task_id, 1)) == [2, 3, 4, 5]
    assert seqs(await log.tail(task_id, 5)) == list(range(6, LAST + 1))


async def test_a_cursor_inside_a_batch_is_read_consistently(log: DynamoDBLog, client: DynamoDBClient) -> None:
    """The batch is before the cursor, and a copy without later ones would look like the end."""
    task_id, copy = await begun(log), StaleCopy(client)
    copy.has = lambda seq: False
    assert seqs(await log.tail(task_id, 7)) == list(range(8, LAST + 1))


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(looks=st.lists(st.sets(st.sampled_from([first for first, _ in BATCHES])), max_size=6))
async def test_whatever_copies_lack_looks_add_up_to_every_event_once(
    log: DynamoDBLog, client: DynamoDBClient, looks: list[set[int]]
) -> None:
    task_id, copy, got = await begun(log), StaleCopy(client), [1]
    for lacks in [*looks, set()]:
        copy.has = lambda seq, lacks=lacks: seq not in lacks  # type: ignore[misc]
        got += seqs(await log.tail(task_id, got[-1]))
        assert got == list(range(1, len(got) + 1))
    copy.has = lambda seq: True
    assert got[-1] == LAST
