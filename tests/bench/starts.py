"""`starts`: how soon a task begins on Lambda. Needs Java.

The gateway and an agent are functions on the tests' emulator of Lambda: real processes of our runtime, frozen between
requests, over DynamoDB Local. Both are warm. A task is created, and its stream is opened when that is answered. The
gateway dispatches the task by the Invoke API, and reads the log. In ms, from the dispatch and from the POST to the
agent's first event at the reader: p50 and the slowest of a run's tasks. The requests to the agent are those of its
function for one task with a reader.
"""

from __future__ import annotations

import statistics
import sys
import time
import uuid
from pathlib import Path

import boto3

from tailrace.agent.checkpoints.store import definition
from tailrace.log.table import create_table
from tests.bench.dynamodb import local_dynamodb
from tests.bench.report import Aim, Report, say
from tests.runtime.conftest import build_layer
from tests.runtime.stage import Stage, stage

_TASKS = 10
_WARM_UP = 3
_FIRST = b"\nid: 2\n"


async def bench(folder: Path, runs: int) -> Report:
    layer = build_layer(folder / "opt", sys.executable)
    (folder / "data").mkdir()
    since_dispatch, since_post, requests = list[list[float]](), list[list[float]](), list[float]()
    with local_dynamodb() as endpoint:
        table, checkpoints = (f"{name}-{uuid.uuid4().hex[:12]}" for name in ("log", "checkpoints"))
        client = boto3.client("dynamodb")
        create_table(client, table)
        client.create_table(**definition(checkpoints))
        variables = {
            "TAILRACE_LOG": "dynamodb",
            "TAILRACE_TABLE": table,
            "TAILRACE_CHECKPOINT_TABLE": checkpoints,
            "AWS_ENDPOINT_URL_DYNAMODB": endpoint,
            "TAILRACE_LEASE_S": "10",
            "TAILRACE_RENEW_S": "2",
            "TAILRACE_QUIET_S": "2",
            "TAILRACE_FLUSH_MS": "80",
        }
        async with stage(layer, folder / "data", "many_steps", **variables) as on:
            for _ in range(_WARM_UP):
                await _start(on)
            for run in range(runs):
                before = len(on.agent.invocations)
                times = [await _start(on) for _ in range(_TASKS)]
                since_dispatch.append([from_dispatch for from_dispatch, _ in times])
                since_post.append([from_post for _, from_post in times])
                requests.append((len(on.agent.invocations) - before) / _TASKS)
                say(f"starts: run {run + 1} of {runs}: {statistics.median(since_dispatch[-1]):.0f} ms")
    report = Report()
    for name, figures, aim in (("dispatch", since_dispatch, Aim("≤", 300)), ("POST", since_post, None)):
        report.add(
            f"starts: {name} to the agent's first event, p50", "ms", list(map(statistics.median, figures)), aim=aim
        )
        report.add(f"starts: {name} to the agent's first event, slowest", "ms", list(map(max, figures)))
    report.add("starts: requests to the agent for a task with a reader", "", requests)
    return report


async def _start(on: Stage) -> tuple[float, float]:
    """How long the first event of a new task takes since its dispatch and since the POST, ms."""
    posted_s = time.monotonic()
    task_id = await on.post("1 steps, 0 ms each")
    got, first_s = b"", 0.0
    async with on.http.stream("GET", f"/api/stream/{task_id}") as answer:
        async for chunk in answer.aiter_raw():
            got += chunk
            if not first_s and _FIRST in got:
                first_s = time.monotonic()
    assert b"event: end" in got, got[-300:]
    await on.all_idle()
    return (first_s - on.api.sent[-1].at_s) * 1000, (first_s - posted_s) * 1000
