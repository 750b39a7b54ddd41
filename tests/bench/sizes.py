"""`sizes`: the gateway's function at 256 MB and at 512 MB. Needs Docker and Java.

The function runs on our runtime behind the tests' emulator, in a container (tests/bench/sized.py). The log is in
DynamoDB Local, which has the rest of this machine.

Start: from the start of the container to the first answer. First byte: of a stream of a finished task, in an
environment that has answered before. Replay: 20,000 events in 2,000 batches, from asking to the end. A look: of a
reader who comes back to a quiet stream and finds nothing, for how long the function is billed. Memory: the most that
the process has had, after the replay and 50 streams of 1,000 events each.
"""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import time
import uuid
from pathlib import Path
from typing import NamedTuple

import boto3
import httpx

from tailrace import events
from tailrace.access.dynamodb import definition
from tailrace.events import Details, Message, Part
from tailrace.log import Batch, Head
from tailrace.log.dynamodb import DynamoDBLog
from tailrace.log.table import create_table
from tailrace.owner import SHARED_OWNER
from tests.bench.client import Connection
from tests.bench.dynamodb import local_dynamodb
from tests.bench.report import BenchError, Report, say
from tests.bench.sinks import Counter, Watch
from tests.bench.sized import containers, function, gateway_image, runtime_layer
from tests.runtime.emulator import Emulator

_EVENTS, _BATCH = 20_000, 10
_STREAMS, _STREAMED = 50, 1_000
_FIRST_BYTES, _LOOKS = 11, 11
_SECRET = "a-secret-of-this-benchmark"


class _Run(NamedTuple):
    start_ms: float
    first_byte_ms: float
    replay_s: float
    look_ms: float
    memory_mb: float


class _Tasks(NamedTuple):
    finished: str
    quiet: str


async def bench(folder: Path, runs: int) -> Report:
    layer, image = runtime_layer(folder / "opt"), gateway_image()
    found: dict[int, list[_Run]] = {256: [], 512: []}
    with local_dynamodb():
        table = f"log-{uuid.uuid4().hex[:12]}"
        client, access_table = boto3.client("dynamodb"), f"access-{uuid.uuid4().hex[:12]}"
        create_table(client, table)
        client.create_table(**definition(access_table))
        tasks = await _tasks(table)
        for run in range(runs):
            for mb, measured in found.items():
                environ = {
                    "TAILRACE_ACCESS_SECRET": _SECRET,
                    "TAILRACE_LOG": "dynamodb",
                    "TAILRACE_TABLE": table,
                    "TAILRACE_ACCESS_TABLE": access_table,
                    "TAILRACE_PADDING_BYTES": "2048",
                    "TAILRACE_FLUSH_MS": "80",
                    "TAILRACE_QUIET_S": "2",
                }
                handler = "gateway.handler.handler"
                gateway = function(folder, layer, mb, Path("/app"), handler, image=image, environ=environ)
                async with gateway as emulator:
                    measured.append(await _measured(emulator, image, tasks))
            say(f"sizes: run {run + 1} of {runs}")
    report = Report()
    for at, (what, unit) in enumerate(
        (
            ("start", "ms"),
            ("first byte of a stream", "ms"),
            (f"replay of {_EVENTS:,} events", "s"),
            ("a look that finds nothing", "ms"),
            ("memory", "MB"),
        )
    ):
        ours, larger = ([run[at] for run in found[mb]] for mb in (256, 512))
        report.add(f"gateway at 256 MB: {what}", unit, ours, "the same at 512 MB", larger)
    return report


async def _tasks(table: str) -> _Tasks:
    """Write a finished task and a quiet one into the log."""
    log = DynamoDBLog(table)
    quiet = await _begun(log)
    head = await _begun(log)
    for first in range(2, _EVENTS, _BATCH):
        seqs = range(first, min(first + _BATCH, _EVENTS))
        made = [
            events.status_update(head.source, n, "progress", Details(step="step", done=n), text="tick") for n in seqs
        ]
        await log.append(head.task_id, Batch(first, 1, made))
    end = events.status_update(head.source, _EVENTS, "state", Details(), state="TASK_STATE_COMPLETED")
    await log.append(head.task_id, Batch(_EVENTS, 1, [end]))
    await log.update_state(head.task_id, 1, "TASK_STATE_COMPLETED", release=True)
    await log.close()
    return _Tasks(head.task_id, quiet.task_id)


async def _begun(log: DynamoDBLog) -> Head:
    """A new task that somebody runs."""
    head = Head(task_id=str(uuid.uuid4()), owner=SHARED_OWNER, context_id="c", agent="a")
    message = Message(message_id="m", role="ROLE_USER", parts=[Part(text="hello")])
    await log.create(head, events.submitted(head.source, message))
    return await log.claim(head.task_id, "bench", 3600)


async def _measured(function: Emulator, image: str, tasks: _Tasks) -> _Run:
    connection = Connection(int(function.url.rpartition(":")[2]), {"x-tailrace-secret": _SECRET})
    try:
        began = time.monotonic()
        await connection.ask("GET", "/api/health")
        start_ms = (time.monotonic() - began) * 1000
        path = f"/api/stream/{tasks.finished}"
        await connection.ask("GET", f"/api/tasks/{tasks.finished}", 300)  # It makes the client of DynamoDB.
        first_bytes = list[float]()
        for _ in range(_FIRST_BYTES):
            watch, asked = Watch(b":"), time.monotonic_ns()
            await connection.ask("GET", f"{path}?cursor={_EVENTS - 1}", sink=watch)
            first_bytes.append((watch.seen[b":"] - asked) / 1e6)
        counter, began = Counter(), time.monotonic()
        await connection.ask("GET", path, 300, sink=counter)
        replay_s = time.monotonic() - began
        if counter.count != _EVENTS:
            raise BenchError(f"The replay had {counter.count:,} events of {_EVENTS:,}.")
        for _ in range(_STREAMS):
            await connection.ask("GET", f"{path}?cursor={_EVENTS - _STREAMED}", 300, sink=Watch())
        memory_mb = await asyncio.to_thread(_most_mb, image)
        return _Run(
            start_ms, statistics.median(first_bytes), replay_s, await _look_ms(function, tasks.quiet), memory_mb
        )
    finally:
        connection.close()


async def _look_ms(function: Emulator, task_id: str) -> float:
    """How long a function is billed for a reader who finds nothing. Its connection is new, as through CloudFront."""
    billed = list[float]()
    async with httpx.AsyncClient(headers={"x-tailrace-secret": _SECRET}, timeout=60) as http:
        for _ in range(1 + _LOOKS):
            answer = await http.get(f"{function.url}/api/stream/{task_id}?cursor=1")
            if b"event: pause" not in answer.content:
                raise BenchError(f"A quiet stream did not pause: {answer.status_code} {answer.text[:300]}")
            invocation = function.invocations[-1]
            await invocation.over.wait()
            billed.append((invocation.over_s - invocation.given_s) * 1000)
    return statistics.median(billed[1:])


def _most_mb(image: str) -> float:
    (container,) = containers(image)
    command = ["docker", "exec", container, "cat", "/proc/1/status"]
    shown = subprocess.run(command, capture_output=True, text=True).stdout
    return int(shown.partition("VmHWM:")[2].split()[0]) / 1000
