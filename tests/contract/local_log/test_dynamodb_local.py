"""Limits, pages and prices of the log with the genuine DynamoDB Local."""

from __future__ import annotations

import asyncio
import math
import random
import socket
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import boto3
import pytest

from tailrace.errors import EventTooLarge, Fenced, TaskUnknown
from tailrace.log import MAX_ITEM_BYTES, Batch
from tailrace.log.dynamodb import DynamoDBLog
from tailrace.log.table import BY_OWNER, MAX_TASK_ID_BYTES, create_table
from tests.contract.dynamodb_table import Request, Requests, use
from tests.contract.log_tasks import TTL_S, Clock, all_events, created, events

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

pytestmark = pytest.mark.slow

# Each of them as often as the others in what is to be noise: then no code is shorter than a byte.
_NO_LINE_BREAK = bytes(set(range(256)) - set(b"\n"))


def noise(size: int) -> bytes:
    """Return an event of `size` bytes that does not compress."""
    return b"{" + bytes(random.Random(size).choices(_NO_LINE_BREAK, k=size - 1))


def test_dynamodb_local_listens_on_loopback_only(local_endpoint: str) -> None:
    port = urlsplit(local_endpoint).port
    socket.create_connection(("127.0.0.1", port), 1).close()
    # A server on all interfaces would answer here too: on Linux, all of 127.0.0.0/8 is this machine.
    with pytest.raises(OSError, match=r"refused|assign|unreachable|timed out"):
        socket.create_connection(("127.0.0.2", port), 1)


# The table


def test_the_table_is_created_once_with_a_time_to_live(local_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    use(local_endpoint, monkeypatch)
    client = boto3.client("dynamodb")
    assert create_table(client, "made")
    assert not create_table(client, "made")
    assert client.describe_time_to_live(TableName="made")["TimeToLiveDescription"]["TimeToLiveStatus"] == "ENABLED"
    client.close()


async def test_the_index_holds_only_heads(log: DynamoDBLog, table: str) -> None:
    task_id = await created(log)
    await log.append(task_id, Batch(2, 1, events(2, 3)))
    client = boto3.client("dynamodb")
    (item,) = client.scan(TableName=table, IndexName=BY_OWNER)["Items"]
    client.close()
    assert item["seq"] == {"N": "0"}
    assert not {"lease_owner", "lease_until"} & set(item)


# Limits


async def test_an_item_at_the_limit_fits_with_all_its_attributes(log: DynamoDBLog) -> None:
    task_id = await created(log, task_id="t" * MAX_TASK_ID_BYTES, owner="o" * 2048)
    at_the_limit = noise(MAX_ITEM_BYTES)
    await log.append(task_id, Batch(2, 1_000_000, [at_the_limit]))
    assert await all_events(log, task_id, 1) == [at_the_limit]
    with pytest.raises(EventTooLarge):
        await log.append(task_id, Batch(3, 1_000_000, [noise(MAX_ITEM_BYTES + 1)]))
    assert [head.task_id for head in (await log.list("o" * 2048)).heads] == [task_id]


@pytest.mark.parametrize("task_id", ["", "t" * (MAX_TASK_ID_BYTES + 1), "\ud800"])
async def test_a_task_id_that_cannot_be_a_key_is_unknown(log: DynamoDBLog, task_id: str) -> None:
    for call in (log.head(task_id), log.claim(task_id, "me", 1), log.request_cancel(task_id)):
        with pytest.raises(TaskUnknown):
            await call
    assert await log.read(task_id) == []
    assert await log.last(task_id) == 0


async def test_a_log_of_several_megabytes_is_dense_in_pages(log: DynamoDBLog, client: DynamoDBClient) -> None:
    task_id, requests = await created(log), Requests(client)
    large = [noise(80_000 + seq) for seq in range(2, 52)]
    for seq, event in enumerate(large, 2):
        await log.append(task_id, Batch(seq, 1, [event]))
    requests.clear()
    batches = await log.read(task_id, 1, limit=1_000_000_000)
    assert [event for batch in batches for event in batch.events] == large
    assert len(requests) >= 4, "a page of DynamoDB has at most 1 MB, and the log has four"
    requests.clear()
    assert await all_events(log, task_id, 1, limit=300_000) == large
    assert sum(request.items for request in requests) <= 1.5 * len(large), "too much was read twice"


async def test_32_writers_in_separate_connections_leave_one_dense_log(
    log: DynamoDBLog, table: str, clock: Clock
) -> None:
    task_id = await created(log)
    logs = [DynamoDBLog(table, ttl_s=TTL_S, clock=clock, threads=1, patience_s=60) for _ in range(32)]

    async def attempt(number: int) -> int:
        for seq in range(2, 22):
            try:
                await logs[number].append(task_id, Batch(seq, number, [b'{"seq":%d,"by":%d}' % (seq, number)]))
            except Fenced:
                return seq - 2
        return 20

    written = await asyncio.gather(*(attempt(number) for number in range(32)))
    assert len(await all_events(log, task_id)) == 1 + sum(written) == 21
    await asyncio.gather(*(each.close() for each in logs))


# Prices


async def test_the_thousandth_event_costs_as_much_as_the_tenth(log: DynamoDBLog, client: DynamoDBClient) -> None:
    task_id, requests = await created(log), Requests(client)
    event, prices = noise(2500), {}
    for first, last in ((2, 9), (10, 10), *((seq, min(seq + 19, 999)) for seq in range(11, 1000, 20)), (1000, 1000)):
        await log.append(task_id, Batch(first, 1, [event] * (last - first + 1)))
        (prices[last],) = requests.take()
    assert prices[10] == prices[1000] == Request("PutItem", 3.0, 0)


@pytest.mark.parametrize("size", [100, 500, 5_500, 50_700, 300_200])
async def test_an_append_costs_one_write_unit_per_kilobyte(log: DynamoDBLog, client: DynamoDBClient, size: int) -> None:
    task_id, requests = await created(log), Requests(client)
    await log.append(task_id, Batch(2, 1, [noise(size)]))
    (request,) = requests
    assert request.units == math.ceil((size + 100) / 1024)


async def test_an_empty_poll_is_one_request_at_any_length(log: DynamoDBLog, client: DynamoDBClient) -> None:
    task_id, requests = await created(log), Requests(client)
    polls = []
    for first in (2, 302):
        for seq in range(first, first + 300, 3):
            await log.append(task_id, Batch(seq, 1, events(seq, 3)))
        newest = first + 299
        assert len(await all_events(log, task_id)) == newest
        await log.read(task_id, 0, limit=1)  # another reader begins a replay
        requests.clear()
        assert await log.read(task_id, newest) == []
        polls.append(requests.take())
    # DynamoDB charges at least half a unit; DynamoDB Local charges nothing for an empty result.
    assert polls == [[Request("Query", 0.0, 0)]] * 2


async def test_a_tail_makes_one_request_per_poll(log: DynamoDBLog, client: DynamoDBClient) -> None:
    task_id = await created(log)
    cursor = (await log.read(task_id))[-1].last
    requests = Requests(client)
    for seq in range(2, 32, 3):
        await log.append(task_id, Batch(seq, 1, events(seq, 3)))
        requests.clear()
        (batch,) = await log.read(task_id, cursor)
        cursor = batch.last
        assert await log.read(task_id, cursor) == []
        assert [request.operation for request in requests] == ["Query", "Query"]


async def test_a_new_reader_at_the_end_looks_back_only_once(log: DynamoDBLog, client: DynamoDBClient) -> None:
    task_id, requests = await created(log), Requests(client)
    await log.append(task_id, Batch(2, 1, events(2, 3)))
    requests.clear()
    polls = []
    for _ in range(3):
        assert await log.read(task_id, 4) == []
        polls.append(len(requests.take()))
    assert polls == [2, 1, 1]


async def test_a_read_stops_before_a_hole(log: DynamoDBLog) -> None:
    task_id = await created(log)
    await log.append(task_id, Batch(2, 1, events(2, 2)))
    await log.append(task_id, Batch(9, 1, events(9, 2)))  # the events between them have expired
    assert [(batch.seq, batch.last) for batch in await log.read(task_id, 1)] == [(2, 3)]
    assert [(batch.seq, batch.last) for batch in await log.read(task_id, 2)] == [(3, 3)]
    assert [(batch.seq, batch.last) for batch in await log.read(task_id, 3)] == [(9, 10)]


async def test_a_resume_inside_a_batch_reads_that_batch_and_what_follows(
    log: DynamoDBLog, client: DynamoDBClient
) -> None:
    task_id, requests, seq = await created(log), Requests(client), 2
    for n in range(40):
        await log.append(task_id, Batch(seq, 1, [noise(20_000 + n), b'{"second":1}']))
        seq += 2
    for cursor, items in ((seq - 2, 1), (seq - 4, 2), (seq - 3, 1)):
        requests.clear()
        assert len(await all_events(log, task_id, cursor)) == seq - 1 - cursor
        assert sum(request.items for request in requests) == items
        assert sum(request.units for request in requests) <= 6 * items, "20 KB are 5 read units"
        assert len(requests) <= 3


async def test_renewing_a_lease_does_not_write_the_index(log: DynamoDBLog, client: DynamoDBClient) -> None:
    task_id, requests = await created(log), Requests(client)
    await log.claim(task_id, "runner", 10)
    for _ in range(3):
        await log.renew(task_id, 1, 10)
    assert requests[1:] == [Request("UpdateItem", 1.0, 0)] * 3
