"""`quiet`: what a stream costs on Lambda while its task has little to say. Needs Java.

A task reports every 30 s for ten minutes. Its reader is the page's, and the gateway has its settings of AWS. This is
played in virtual time, once for each of ten phases between the reader's looks and the events. An environment is in use
while a stream is open, and for the length of a request when a reader looks and finds nothing: that is measured, at a
gateway over DynamoDB Local. The peer is a stream that is held.
"""

from __future__ import annotations

import asyncio
import statistics
import time
import uuid
from pathlib import Path

import boto3
import httpx

from gateway.app import create_app
from tailrace import events
from tailrace.config import Settings
from tailrace.events import Message, Part
from tailrace.log import Head
from tailrace.log.dynamodb import DynamoDBLog
from tailrace.log.table import create_table
from tailrace.stores.dynamodb import new_client
from tests.bench.dynamodb import Meter, local_dynamodb
from tests.bench.report import Aim, Report, say
from tests.support.http import serve
from tests.support.watched_task import ON_LAMBDA, Course, Watched, watch

_LONG_S = 600.0
_EVERY_S = 30.0
_LOOKS = 200
_PEER = "a stream that is held"


async def bench(folder: Path, runs: int) -> Report:
    looks = [await _looks() for _ in range(runs)]
    look_s = statistics.median(seconds for seconds, _ in looks)
    say(f"quiet: a look that finds nothing takes {look_s * 1000:.1f} ms")
    watched = [await asyncio.to_thread(_ten_minutes, phase) for phase in range(10)]
    held = [_LONG_S for _ in watched]
    used = [each.held_s + look_s * len(each.connections) for each in watched]
    report = Report()
    report.add("quiet: environment-seconds of ten minutes", "s", used, _PEER, held, Aim("≤", 0.15, "ratio"))
    report.add("quiet: requests", "", [len(each.connections) for each in watched], _PEER, [1 for _ in watched])
    report.add("quiet: the latest event is late by", "s", [each.latest_s for each in watched], aim=Aim("≤", 10))
    report.add("quiet: a look that finds nothing takes", "ms", [seconds * 1000 for seconds, _ in looks])
    report.add("quiet: a look that finds nothing reads", "units", [units for _, units in looks])
    return report


def _ten_minutes(phase: int) -> Watched:
    times_s = [0.1 + phase * _EVERY_S / 10 + number * _EVERY_S for number in range(int(_LONG_S / _EVERY_S))]
    return watch(Course([*times_s[:-1], _LONG_S]))


async def _looks() -> tuple[float, float]:
    """The median time of a request that finds nothing, in seconds, and the read units that it takes."""
    with local_dynamodb():
        table = f"log-{uuid.uuid4().hex[:12]}"
        create_table(boto3.client("dynamodb"), table)
        client = new_client(threads=32)
        log, meter = DynamoDBLog(table, client=client), Meter(client)
        head = Head(task_id=str(uuid.uuid4()), owner="me", context_id="c", agent="orchestrator")
        message = Message(message_id="m", role="ROLE_USER", parts=[Part(text="hello")])
        await log.create(head, events.submitted(head.source, message))
        await log.claim(head.task_id, "worker", 900.0)
        await asyncio.sleep(ON_LAMBDA["quiet_s"])
        app = create_app(Settings(log="dynamodb", **ON_LAMBDA), log=log, decide_owner=lambda _: "me")  # type: ignore[arg-type]
        taken: list[float] = []
        async with serve(app) as url, httpx.AsyncClient(base_url=url) as http:
            for number in range(_LOOKS):
                before = time.perf_counter()
                answer = await http.get(f"/api/stream/{head.task_id}?cursor=1")
                taken.append(time.perf_counter() - before)
                assert b"event: pause" in answer.content
                if not number:
                    meter.read = 0.0  # the first request opens connections
        await log.close()
        return statistics.median(taken), meter.read / (_LOOKS - 1)
