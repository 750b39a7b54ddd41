"""`wakes`: what a run on Lambda takes to fall asleep and to wake. Needs Docker and Java.

An agent that delegates to itself is a function of 1,024 MB behind the tests' emulator, in containers
(tests/bench/sized.py) that have answered before, over DynamoDB Local. The task that asks sleeps when the delegated one
has been silent for a second, and is woken by its end. In seconds: for how long the function is billed beside the
delegated task and that second, and so also for the questions that the woken task asks its specialist. This has the
run's own start and end in it: to sleep and to wake takes less. On a busy machine it is more than on Lambda; the second
figure, which is not, is the processor time of both tasks as they would take it by themselves.
"""

from __future__ import annotations

import asyncio
import uuid
from contextlib import AsyncExitStack
from pathlib import Path

import boto3

from tailrace.a2a.client import AgentClient, new_http
from tailrace.agent.checkpoints.store import definition
from tailrace.config import Settings
from tailrace.log.dynamodb import DynamoDBLog
from tailrace.log.table import create_table
from tests.bench.dynamodb import local_dynamodb
from tests.bench.processes import ROOT
from tests.bench.report import BenchError, Report, say
from tests.bench.sized import CPU_MB, agents_image, cpu_s, function, runtime_layer
from tests.runtime.emulator import Emulator
from tests.runtime.invoke_api import InvokeApi
from tests.runtime.stage import event_with_own_host
from tests.support.http import serve
from tests.support.jsonrpc import message

_MB, _STAY_S = 1024, 1.0
_AGENT = "asks_itself"
_LONGEST_S = 120.0
# Until each of its environments has answered.
_WARM_UP = 3


async def bench(folder: Path, runs: int) -> Report:
    layer, image = runtime_layer(folder / "opt"), agents_image(folder)
    data = await asyncio.to_thread(_readable, folder / "data")
    billed, busy = list[float](), list[float]()
    with local_dynamodb() as endpoint:
        table, checkpoints = (f"{name}-{uuid.uuid4().hex[:12]}" for name in ("log", "checkpoints"))
        client = boto3.client("dynamodb")
        create_table(client, table)
        client.create_table(**definition(checkpoints))
        async with AsyncExitStack() as stack:
            api = InvokeApi()
            environ = {
                "AWS_ENDPOINT_URL_LAMBDA": await stack.enter_async_context(serve(api.app)),
                "AWS_ENDPOINT_URL_DYNAMODB": endpoint,
                "AWS_LAMBDA_FUNCTION_NAME": _AGENT,
                "SAMPLE": _AGENT,
                "TAILRACE_LOG": "dynamodb",
                "TAILRACE_TABLE": table,
                "TAILRACE_CHECKPOINT_TABLE": checkpoints,
                "TAILRACE_DATA_DIR": str(data),
                "TAILRACE_SLEEP_AFTER_S": str(_STAY_S),
            }
            handler = "tests/runtime/functions/sample/app.handler"
            agent = await stack.enter_async_context(
                function(
                    *(folder, layer, _MB, ROOT, handler),
                    image=image,
                    environ=environ,
                    mounts=(ROOT, data),
                    environments=8,
                    event=event_with_own_host,
                )
            )
            agent.knows(TAILRACE_AGENT_URLS=agent.url)
            api.functions[_AGENT] = agent
            log = DynamoDBLog(table)
            stack.push_async_callback(log.close)
            stack.push_async_callback(api.close)
            for run in range(runs + _WARM_UP):
                before = await asyncio.to_thread(cpu_s, image)
                taken = await _billed_s(agent, log, data / "go")
                if run >= _WARM_UP:
                    billed.append(taken)
                    busy.append(await asyncio.to_thread(cpu_s, image) - before)
                    say(f"wakes: run {len(billed)} of {runs}: {taken:.2f} s")
    report = Report()
    report.add(f"wakes: a task that asks, sleeps and is woken, at {_MB:,} MB", "s", billed)
    share = [seconds / _MB * CPU_MB for seconds in busy]
    report.add("wakes: processor time of both tasks, at this share of a processor", "s", share)
    return report


def _readable(folder: Path) -> Path:
    """Make a folder for the container's user."""
    folder.mkdir(mode=0o755)
    return folder


async def _billed_s(agent: Emulator, log: DynamoDBLog, go: Path) -> float:
    """For how long the function is billed for a task that sleeps once, without the time that it stays awake."""
    await asyncio.to_thread(go.unlink, missing_ok=True)
    before = len(agent.invocations)
    sent = {"message": message("ask"), "configuration": {"returnImmediately": True}}
    async with new_http() as http, asyncio.timeout(_LONGEST_S):
        client = AgentClient(http, agent.url, owner="me", settings=Settings(agent_urls=agent.url))
        task_id = (await client.call("SendMessage", sent))["task"]["id"]
        while not (await log.head(task_id)).asleep(log.now()):
            await asyncio.sleep(0.1)
        await asyncio.to_thread(go.touch)
        while not (head := await log.head(task_id)).state.endswith(("COMPLETED", "FAILED")):
            await asyncio.sleep(0.1)
        if not head.state.endswith("COMPLETED"):
            raise BenchError(f"The task ended as {head.state}.")
        invocations = agent.invocations[before:]
        for each in invocations:
            await each.over.wait()
    asking = [each for each in invocations if '"SendStreamingMessage"' not in each.event.get("body", "")]
    return sum(each.over_s - each.given_s for each in asking) - _STAY_S
