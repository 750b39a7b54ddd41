"""The process is not frozen before its pending runs are done."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

from tests.runtime.emulator import Emulator
from tests.runtime.events import api_gateway_event, function_url_event
from tests.runtime.fronts import FUNCTIONS
from tests.runtime.gate import Gate


def plain(layer: Path, gate: Gate, function: str = "plain", **options: Any) -> Emulator:
    environ = {"GATE": str(gate.port)}
    return Emulator(layer, FUNCTIONS / function, "app.handler", python=sys.executable, environ=environ, **options)


async def test_the_next_invocation_is_requested_when_all_runs_are_done(layer: Path, gate: Gate) -> None:
    async with plain(layer, gate) as function:
        result = await function.invoke(function_url_event("GET", "/run"), streamed=True)
        assert (result.body, result.error) == (b"accepted", None)  # the response does not wait for them
        environment = function.environment
        assert environment.waiting == 0
        assert await gate.let_pass() == "first run"
        assert await gate.arrival() == "second run"  # added by the first
        assert environment.waiting == 0
        gate.open()
        await environment.until(lambda e: e.idle)
        assert any("second run done" in line and result.invocation.id in line for line in function.log)


async def test_pending_runs_behind_mangum_also_count(layer: Path, gate: Gate) -> None:
    """The run of a buffered response is on the same loop, and continues while the runtime waits for it."""
    async with plain(layer, gate, "web") as function:
        result = await function.invoke(api_gateway_event("POST", "/run"))
        assert result.json["statusCode"] == 202
        environment = function.environment
        for step in ("runs", "runs on", "runs still"):
            assert await gate.arrival() == step
            assert environment.waiting == 0
            gate.open()
        await environment.until(lambda e: e.idle)
        await function.invoke(api_gateway_event())
        assert "the run is done" in function.log


async def test_a_run_that_fails_is_logged_and_no_longer_pending(layer: Path, gate: Gate) -> None:
    async with plain(layer, gate) as function:
        await function.invoke(function_url_event("GET", "/failing-run"), streamed=True)
        assert (await function.invoke(function_url_event("GET", "/hello"), streamed=True)).body == b"hello"
        assert any("LookupError: the run failed" in line for line in function.log)


async def test_pending_runs_are_cancelled_before_lambda_kills_the_process(layer: Path, gate: Gate) -> None:
    async with plain(layer, gate, timeout_s=10, environments=2) as function:
        run, app = await asyncio.gather(
            function.invoke(function_url_event("GET", "/overdue-run"), streamed=True),
            function.invoke(function_url_event("GET", "/overdue"), streamed=True),
        )
        for environment in function.environments:
            await environment.until(lambda e: e.idle)
        assert run.error is None
        assert app.body == b"the beginning"
        assert app.error is not None
        assert app.error["errorType"] == "Runtime.AppStopped"
        function.timeout_s = 60
        for _ in range(2):
            await function.invoke(function_url_event("GET", "/hello"), streamed=True)
        assert "the lease is let go" in function.log
        assert len(function.environments) == 2  # neither was killed
