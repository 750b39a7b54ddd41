"""`AWS_LAMBDA_MAX_CONCURRENCY` invocations at once, in one process."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from tests.runtime.emulator import Emulator
from tests.runtime.events import api_gateway_event, function_url_event
from tests.runtime.fronts import FUNCTIONS
from tests.runtime.gate import Gate

_AT_ONCE = 8


def function_of(layer: Path, handler: str, function: str = "plain", **environ: str) -> Emulator:
    environ = {"AWS_LAMBDA_LOG_FORMAT": "JSON", **environ}
    return Emulator(
        *(layer, FUNCTIONS / function, handler), python=sys.executable, environ=environ, concurrency=_AT_ONCE
    )


async def test_invocations_share_one_loop(layer: Path) -> None:
    """They end only if all of them run at the same time; each logs its own request id."""
    async with function_of(layer, "app.handler") as function:
        meeting = [function.invoke(function_url_event("GET", "/meet"), streamed=True) for _ in range(_AT_ONCE)]
        results = await asyncio.gather(*meeting)
        await function.environment.until(lambda e: e.idle)
    assert {result.json["pid"] for result in results} == {function.environment.process.pid}
    assert {result.json["trace"] for result in results} == {None}  # os.environ is shared, so it has no trace id
    lines = [json.loads(line) for line in function.log]
    came = {line["requestId"] for line in lines if line["message"] == "one came"}
    assert came == {result.invocation.id for result in results}


async def test_each_poller_has_a_thread_for_blocking_handlers(layer: Path) -> None:
    async with function_of(layer, "ordinary.blocking_meet") as function:
        results = await asyncio.gather(*(function.invoke({"n": _AT_ONCE}) for _ in range(_AT_ONCE)))
    assert [result.json for result in results] == [2 * _AT_ONCE] * _AT_ONCE
    lines = [json.loads(line) for line in function.log]
    assert {line["requestId"] for line in lines} == {result.invocation.id for result in results}


async def test_coroutine_handlers_and_mangum_also_serve_at_once(layer: Path) -> None:
    async with function_of(layer, "ordinary.coroutine") as function:
        results = await asyncio.gather(*(function.invoke({"value": i}) for i in range(_AT_ONCE)))
        assert [result.json for result in results] == [2 * i for i in range(_AT_ONCE)]
        assert (await function.invoke({"fail": "x"})).error is not None
    async with function_of(layer, "app.handler", "web") as function:
        results = await asyncio.gather(*(function.invoke(api_gateway_event()) for _ in range(_AT_ONCE)))
        assert {result.json["statusCode"] for result in results} == {200}


async def test_a_run_started_by_mangum_blocks_only_its_poller(layer: Path, gate: Gate) -> None:
    """Its event loop belongs to a thread and stops unless the runtime waits for the run."""
    async with function_of(layer, "app.handler", "web", GATE=str(gate.port)) as function:
        assert (await function.invoke(api_gateway_event("POST", "/run"))).json["statusCode"] == 202
        for _ in range(2 * _AT_ONCE):
            assert (await function.invoke(api_gateway_event())).json["statusCode"] == 200
        for step in ("runs", "runs on", "runs still"):
            assert await gate.arrival() == step
            assert function.environment.waiting < _AT_ONCE
            gate.open()
        await function.environment.until(lambda e: e.idle)


async def test_one_failure_does_not_affect_the_others(layer: Path) -> None:
    async with function_of(layer, "app.handler") as function:
        meeting = [
            asyncio.create_task(function.invoke(function_url_event("GET", "/meet?n=7"), streamed=True))
            for _ in range(6)
        ]
        for path in ("/fail-before", "/fail-in-body") * 5:
            assert (await function.invoke(function_url_event("GET", path), streamed=True)).error is not None
        await function.invoke(function_url_event("GET", "/meet?n=7"), streamed=True)
        assert [result.error for result in await asyncio.gather(*meeting)] == [None] * 6
        assert len(function.environments) == 1
