"""`guarantees`: what each guarantee costs, operation by operation, in DynamoDB and in SQLite. Needs Java.

Requests and units are what DynamoDB Local, Amazon's own, says they took; units are 1 KB written or 4 KB read. The
milliseconds are DynamoDB Local's and this disk's, not those of a network. A batch is 10 events of 560 bytes each.
"""

from __future__ import annotations

import asyncio
import base64
import random
import time
import uuid
from collections import defaultdict
from collections.abc import Awaitable, Callable
from pathlib import Path

import boto3
from langgraph.checkpoint.memory import InMemorySaver

from tailrace import events
from tailrace.agent.recovery.history import WORKER_LOST
from tailrace.agent.recovery.takeover import take_over
from tailrace.agent.threads import create, start_in
from tailrace.events import Details, Message, Part
from tailrace.log import Batch, EventLog, Head
from tailrace.log.dynamodb import DynamoDBLog
from tailrace.log.sleeper import Sleeper
from tailrace.log.sqlite import SQLiteLog
from tailrace.log.table import create_table
from tailrace.stores.dynamodb import new_client
from tests.bench.dynamodb import Meter, local_dynamodb
from tests.bench.report import Report, say

_BATCH = 10
# What has been written of a task when somebody takes it over.
_BATCHES = 20

Note = Callable[[str, Awaitable[object]], Awaitable[object]]


async def bench(folder: Path, runs: int) -> Report:
    figures: defaultdict[str, defaultdict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    with local_dynamodb():
        table = f"log-{uuid.uuid4().hex[:12]}"
        create_table(boto3.client("dynamodb"), table)
        client = new_client(threads=32)
        sqlite, dynamodb = SQLiteLog(folder / "log.sqlite3"), DynamoDBLog(table, client=client)
        meter = Meter(client)
        for run in range(runs):
            for life in (_life, _conversation, _noted):
                await life(sqlite, _noting(figures, "SQLite", None))
                await life(dynamodb, _noting(figures, "DynamoDB", meter))
            say(f"guarantees: run {run + 1} of {runs}")
        await asyncio.gather(sqlite.close(), dynamodb.close())
    report = Report()
    for what, values in figures.items():
        report.add(f"guarantees: {what}: requests", "", values["requests"])
        report.add(f"guarantees: {what}: units written", "", values["written"])
        report.add(f"guarantees: {what}: units read", "", values["read"])
        report.add(f"guarantees: {what}: DynamoDB Local", "ms", values["DynamoDB"])
        report.add(f"guarantees: {what}: SQLite", "ms", values["SQLite"])
    return report


def _noting(figures: defaultdict[str, defaultdict[str, list[float]]], store: str, meter: Meter | None) -> Note:
    async def note(what: str, operation: Awaitable[object]) -> object:
        before = (meter.requests, meter.written, meter.read) if meter else (0, 0.0, 0.0)
        start = time.perf_counter()
        done = await operation
        figures[what][store].append((time.perf_counter() - start) * 1000)
        if meter is not None:
            figures[what]["requests"].append(meter.requests - before[0])
            figures[what]["written"].append(meter.written - before[1])
            figures[what]["read"].append(meter.read - before[2])
        return done

    return note


async def _life(log: EventLog, note: Note) -> None:
    """A task from its creation to its end, with one attempt lost in the middle."""
    head = Head(task_id=str(uuid.uuid4()), owner="me", context_id="c", agent="a")
    message = Message(message_id="m", role="ROLE_USER", parts=[Part(text="hello")])
    await note("a task is created", log.create(head, events.submitted(head.source, message)))
    head = await log.head(head.task_id)
    first = await log.claim(head.task_id, "first", 0.0)
    begun = await take_over(log, InMemorySaver(), first, WORKER_LOST, None)
    assert begun is not None
    seq = begun.fence.last
    for number in range(_BATCHES):
        batch = Batch(seq + 1, 1, [_event(first, seq + 1 + each) for each in range(_BATCH)])
        put = log.append(head.task_id, batch)
        await (note("a batch is durable before it is seen", put) if number else put)
        seq = batch.last
    await note("the lease is renewed (every 2 s)", log.renew(head.task_id, 1, 0.0))
    await note("a reader comes back with its cursor", log.read(head.task_id, seq - 5))
    await note("a tail finds nothing new", log.tail(head.task_id, seq))
    await note("a watch looks whether somebody runs it", log.head(head.task_id))
    await note("the sweeper looks at one unfinished task", log.unattended(idle_s=3600))
    await note("an attempt takes over after 200 events", _take_over(log, head))
    specialist = await _specialist(log)
    await note("a run falls asleep until a specialist reports", _fall_asleep(log, head, specialist))
    await note("a specialist wakes it", log.wake(head.task_id, 2))
    await note("the task is finished", log.update_state(head.task_id, 2, "TASK_STATE_COMPLETED", release=True))


async def _conversation(log: EventLog, note: Note) -> None:
    """Two tasks of a context, each from its creation to the first attempt's fence."""
    context_id = str(uuid.uuid4())
    message = Message(message_id="m", role="ROLE_USER", parts=[Part(text="hello")])
    for name, new in (("the first", True), ("a later", False)):
        head = Head(task_id=str(uuid.uuid4()), owner="me", context_id=context_id, agent="a")
        await note(f"{name} task of a context is created", create(log, head, message, new=new))
        claimed = await log.claim(head.task_id, "process", 10.0)
        place = start_in(claimed)
        assert place is not None
        done = Details(checkpoints={"": str(uuid.uuid4())}, thread=place.thread)
        event = events.status_update(claimed.source, 2, "state", done, state="TASK_STATE_COMPLETED")
        await log.append(head.task_id, Batch(2, 1, [event]))
        await log.update_state(head.task_id, 1, "TASK_STATE_COMPLETED", release=True)


async def _noted(log: EventLog, note: Note) -> None:
    """Two tasks of a context whose agent takes several tasks at a time."""
    context_id = str(uuid.uuid4())
    message = Message(message_id="m", role="ROLE_USER", parts=[Part(text="hello")])
    for name, new in (("the first", True), ("a later", False)):
        head = Head(task_id=str(uuid.uuid4()), owner="me", context_id=context_id, agent="a")
        creation = create(log, head, message, new=new, exclusive=False)
        await note(f"{name} task of a context is created and only noted", creation)


async def _take_over(log: EventLog, head: Head) -> None:
    await take_over(log, InMemorySaver(), await log.claim(head.task_id, "second", 10.0), WORKER_LOST, None)


async def _specialist(log: EventLog) -> Head:
    """A task that is run."""
    head = Head(task_id=str(uuid.uuid4()), owner="me/t", context_id="c", agent="b")
    await log.create(head, events.submitted(head.source, Message(message_id="m", role="ROLE_USER", parts=[])))
    return await log.claim(head.task_id, "third", 10.0)


async def _fall_asleep(log: EventLog, head: Head, specialist: Head) -> None:
    """What `tailrace.agent.sleep` asks of the log."""
    awaited = await log.head(specialist.task_id)
    await log.request_wake(awaited.task_id, Sleeper(head.task_id, 2, 1).encode())
    await log.last(awaited.task_id)
    assert (await log.sleep(head.task_id, 2, log.now() + 60_000, awaited.task_id)).asleep(log.now())


def _event(head: Head, seq: int) -> bytes:
    text = base64.b64encode(random.Random(seq).randbytes(187)).decode()  # compresses as badly as an id does
    return events.status_update(head.source, seq, "progress", Details(step="step"), text=text)
