"""Faults between the log and the genuine DynamoDB Local."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

import pytest

from tailrace.agent import threads
from tailrace.errors import ContextBusy, Fenced, LeaseHeld, LogUnavailable
from tailrace.events import Message, Part
from tailrace.log import Batch
from tailrace.log.dynamodb import DynamoDBLog
from tailrace.stores.dynamodb import new_client
from tests.contract.creation_contract import entry
from tests.contract.dynamodb_table import use
from tests.contract.faulty import FaultyProxy, faulty_proxy
from tests.contract.log_tasks import TTL_S, Clock, all_events, created, events, head_of

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

pytestmark = pytest.mark.slow


@pytest.fixture
def proxy(local_endpoint: str, log: DynamoDBLog, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyProxy]:
    """The proxy between DynamoDB Local and every log that is opened after `log`."""
    with faulty_proxy(local_endpoint) as proxy:
        use(proxy.endpoint, monkeypatch)
        yield proxy


@pytest.fixture
async def troubled(proxy: FaultyProxy, table: str, clock: Clock) -> AsyncIterator[DynamoDBLog]:
    """A log that reaches its table through `proxy`."""
    log = DynamoDBLog(table, ttl_s=TTL_S, clock=clock, patience_s=60)
    yield log
    await log.close()


@pytest.mark.parametrize(
    "fault",
    [
        "ProvisionedThroughputExceededException",
        "ThrottlingException",
        "RequestLimitExceeded",
        "InternalServerError",
        "ServiceUnavailable",
        "reset before",
        "reset after",
    ],
)
async def test_transient_errors_are_retried(troubled: DynamoDBLog, proxy: FaultyProxy, fault: str) -> None:
    operations = ("TransactWriteItems", "PutItem", "UpdateItem", "GetItem", "Query")
    proxy.faults = {operation: [fault, fault] for operation in operations}
    task_id = await created(troubled)
    await troubled.append(task_id, Batch(2, 1, events(2, 3)))
    assert await all_events(troubled, task_id) == events(1, 4)
    assert (await troubled.claim(task_id, "runner", 10)).attempt == 1
    assert (await troubled.head(task_id)).attempt == 1
    assert not any(proxy.faults.values())


async def test_a_write_with_a_lost_response_is_stored_once(troubled: DynamoDBLog, proxy: FaultyProxy) -> None:
    task_id = await created(troubled)
    for seq in range(2, 22, 2):
        proxy.faults["PutItem"] = ["reset after"]
        await troubled.append(task_id, Batch(seq, 1, events(seq, 2)))
    assert await all_events(troubled, task_id) == events(1, 21)
    assert proxy.seen.count("PutItem") == 2 * 10


async def test_a_lost_response_does_not_hide_a_fence(
    troubled: DynamoDBLog, log: DynamoDBLog, proxy: FaultyProxy
) -> None:
    task_id = await created(log)
    await log.append(task_id, Batch(2, 2, [b'{"fence":2}']))
    proxy.faults["PutItem"] = ["reset after"]
    with pytest.raises(Fenced):
        await troubled.append(task_id, Batch(2, 1, events(2, 1)))


async def test_a_claim_with_a_lost_response_still_holds_the_lease(troubled: DynamoDBLog, proxy: FaultyProxy) -> None:
    task_id = await created(troubled)
    proxy.faults["UpdateItem"] = ["reset after"]
    assert (await troubled.claim(task_id, "runner", 10)).attempt == 1
    with pytest.raises(LeaseHeld):
        await troubled.claim(task_id, "runner", 10)


@pytest.fixture
async def impatient(proxy: FaultyProxy, table: str, clock: Clock) -> AsyncIterator[DynamoDBLog]:
    """A log behind `proxy` with a short time limit."""
    client = new_client(threads=32)  # its creation would take much of the time limit on a busy machine
    log = DynamoDBLog(table, ttl_s=TTL_S, clock=clock, patience_s=1.5, client=client)
    yield log
    proxy.stopped.set()
    await log.close()


@pytest.mark.parametrize("fault", ["ThrottlingException", "InternalServerError", "reset before", "silence"])
async def test_persistent_errors_are_reported_within_the_time_limit(
    log: DynamoDBLog, impatient: DynamoDBLog, proxy: FaultyProxy, fault: str
) -> None:
    task_id = await created(log)
    proxy.faults["PutItem"] = [fault] * 1000
    with pytest.raises(
        LogUnavailable, match=r"^The log in table '.*' \(.*\) did not answer within 1\.5 s: .*\.$"
    ) as raised:
        await impatient.append(task_id, Batch(2, 1, events(2, 1)))
    if fault == "silence":
        # The limit interrupted the request. Otherwise the reason would be the read timeout of 2 s.
        assert str(raised.value).endswith(": there was no response.")
    else:
        assert len(proxy.seen) > 1, "it gave up at once"
    assert len(proxy.seen) < 30, "the pauses did not grow"
    await log.append(task_id, Batch(2, 1, events(2, 1)))
    assert await all_events(log, task_id) == events(1, 2)


@pytest.mark.parametrize("fault", ["reset before", "reset after"])
async def test_an_interrupted_creation_is_whole_or_nothing_and_completed_by_the_next_one(
    log: DynamoDBLog, impatient: DynamoDBLog, proxy: FaultyProxy, fault: str
) -> None:
    head = head_of()
    proxy.faults["TransactWriteItems"] = [fault, *["ThrottlingException"] * 1000]
    with pytest.raises(LogUnavailable):
        await impatient.create_or_find(head, b'{"n":1}', entry(head.task_id, None))
    assert await log.read(head.task_id) == ([] if fault == "reset before" else [Batch(1, 0, [b'{"n":1}'])])
    assert (await log.conversations.get("c1") is None) == (fault == "reset before")
    _, new = await log.create_or_find(head, b'{"n":1}', entry(head.task_id, None))
    assert new == (fault == "reset before")
    assert await all_events(log, head.task_id) == [b'{"n":1}']


async def test_a_creation_with_a_lost_response_knows_that_it_has_created_the_task(
    troubled: DynamoDBLog, proxy: FaultyProxy
) -> None:
    proxy.faults["TransactWriteItems"] = ["reset after"]
    assert (await troubled.create_or_find(head_of(task_id="t1"), b"{}", entry("t1", None)))[1]
    assert proxy.seen == ["TransactWriteItems"] * 2


async def test_many_tasks_that_meet_in_one_conversation_are_all_created_or_refused_with_words(
    log: DynamoDBLog, client: DynamoDBClient
) -> None:
    """DynamoDB cancels transactions that meet. Those are tried again."""

    async def begin(n: int) -> str | None:
        message = Message(message_id=f"m{n}", role="ROLE_USER", parts=[Part(text="hello")])
        try:
            created = await threads.create(log, head_of(task_id=f"{n}"), message, new=False, exclusive=n % 2 == 0)
        except ContextBusy:
            return None
        return created.head.task_id

    begun = {task_id for task_id in await asyncio.gather(*map(begin, range(16))) if task_id is not None}
    assert {head.task_id for head in (await log.list("alice")).heads} == begun
    assert len([task_id for task_id in begun if int(task_id) % 2 == 0]) == 1
    assert len(begun) == 1 + 8


async def test_an_unreachable_endpoint_is_reported_within_the_time_limit(
    table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        use(f"http://127.0.0.1:{nobody.getsockname()[1]}", monkeypatch)
        log = DynamoDBLog(table, patience_s=3, client=new_client(threads=32))
        with pytest.raises(LogUnavailable, match=r"did not answer within 3 s: .*EndpointConnectionError"):
            await log.head("anything")
        await log.close()


@pytest.mark.parametrize("code", ["AccessDeniedException", "ValidationException", "UnrecognizedClientException"])
async def test_a_refusal_is_reported_at_once_by_its_code_only(
    troubled: DynamoDBLog, proxy: FaultyProxy, code: str
) -> None:
    proxy.faults["GetItem"] = [code]
    with pytest.raises(LogUnavailable, match=code) as raised:
        await troubled.head("anything")
    assert "arn" not in str(raised.value)
    assert "arn" in str(raised.value.__cause__)
    assert proxy.seen == ["GetItem"]


async def test_a_missing_table_is_named(local_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    use(local_endpoint, monkeypatch)
    log = DynamoDBLog("nowhere")
    with pytest.raises(LogUnavailable, match=r"'nowhere' \(TAILRACE_TABLE\) cannot be used: there is no such table"):
        await log.head("anything")
    await log.close()
    with pytest.raises(LogUnavailable, match="is closed"):
        await log.head("anything")
