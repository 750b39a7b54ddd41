"""Chunks, limits and backpressure of streams, which only our emulator can observe."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import httpx

from tests.runtime.emulator import REQUEST_LIMIT, Emulator
from tests.runtime.events import function_url_event
from tests.runtime.exchange import End, Invocation, Prelude
from tests.runtime.fronts import FUNCTIONS, ours
from tests.runtime.gate import Gate


async def test_every_body_message_is_one_chunk(layer: Path) -> None:
    async with Emulator(layer, FUNCTIONS / "plain", "app.handler", python=sys.executable) as function:
        result = await function.invoke(function_url_event("GET", "/binary"), streamed=True)
        assert result.invocation.chunks == [1024, 8, 7]
        result = await function.invoke(function_url_event("GET", "/big?mb=1&piece=262144"), streamed=True)
        assert result.invocation.chunks == [262144] * 4
        result = await function.invoke(function_url_event("GET", "/empty"), streamed=True)
        assert result.invocation.chunks == []
        assert result.prelude == Prelude(200, {"content-type": "text/plain"}, [])


async def test_a_slow_reader_makes_the_app_wait(layer: Path, gate: Gate) -> None:
    environ = {"GATE": str(gate.port)}
    async with Emulator(layer, FUNCTIONS / "plain", "app.handler", python=sys.executable, environ=environ) as function:
        invocation = Invocation(function_url_event("GET", "/flood?mb=20"), streamed=True, timeout_s=60)
        function.submit(invocation)
        # Socket buffers hold a part of the 20 MB; the app waits with the rest.
        line = await gate.let_pass()
        assert line.startswith("waits at ")
        assert int(line.split()[-1]) < 20 * 16
        taken = 0
        while not isinstance(part := await invocation.parts.get(), End):
            taken += len(part) if isinstance(part, bytes) else 0
        assert taken == 20 * 1024 * 1024


async def test_100_mb_are_streamed_in_bounded_memory(layer: Path) -> None:
    async with Emulator(layer, FUNCTIONS / "plain", "app.handler", python=sys.executable) as function:
        invocation = Invocation(function_url_event("GET", "/big?mb=100"), streamed=True, timeout_s=60)
        function.submit(invocation)
        taken = 0
        while not isinstance(part := await invocation.parts.get(), End):
            taken += len(part) if isinstance(part, bytes) else 0
        assert part.error is None
        await function.environment.until(lambda e: e.idle)
        await function.invoke(function_url_event("GET", "/hello"), streamed=True)  # after this the log is complete
        assert taken == 100 * 1024 * 1024
        grown = next(json.loads(line)["grown_kb"] for line in function.log if "grown_kb" in line)
        assert grown < 8 * 1024


async def test_the_app_does_not_notice_a_disconnected_client(layer: Path, gate: Gate) -> None:
    """AWS: "not interrupted or stopped when the invoking client connection is broken"."""
    async with ours(layer, "plain", GATE=str(gate.port)) as function:
        async with gate.passing(), function.http.stream("GET", f"{function.url}/stream?n=50") as response:
            assert await anext(response.aiter_raw()) == b"id: 0\ndata: {}\n\n"
        lines = [await gate.let_pass() for _ in range(49)]
        assert lines[-1] == "event 49"
        assert (await function.ask("GET", "/hello")).body == b"hello"


async def test_a_refused_response_does_not_stop_the_run(layer: Path, gate: Gate) -> None:
    environ = {"GATE": str(gate.port)}
    async with Emulator(
        layer, FUNCTIONS / "plain", "app.handler", python=sys.executable, environ=environ, response_limit=500_000
    ) as function:
        asking = asyncio.create_task(function.invoke(function_url_event("GET", "/gone"), streamed=True))
        assert {await gate.arrival(), await gate.arrival()} == {"runs", "streams"}
        gate.open("streams")
        result = await asking
        assert result.error is not None
        assert result.error["errorType"] == "Function.ResponseSizeTooLarge"
        environment = function.environment
        assert environment.waiting == 0  # the run keeps it busy
        gate.open("runs")
        await environment.until(lambda e: e.idle)
        assert (await function.invoke(function_url_event("GET", "/hello"), streamed=True)).body == b"hello"
        assert any("the run went on" in line for line in function.log)
        assert not any("Traceback" in line for line in function.log)
        assert any("(413)" in line for line in function.log)


async def test_starlette_stops_a_refused_response(layer: Path, gate: Gate) -> None:
    environ = {"GATE": str(gate.port)}
    async with Emulator(
        layer, FUNCTIONS / "web", "app.handler", python=sys.executable, environ=environ, response_limit=500_000
    ) as function:
        asking = asyncio.create_task(function.invoke(function_url_event("GET", "/endless"), streamed=True))
        await gate.let_pass()
        assert (await asking).error is not None
        await function.environment.until(lambda e: e.idle)
        await function.invoke(function_url_event("GET", "/"), streamed=True)
        assert "the response was stopped" in function.log
        assert not any("Traceback" in line for line in function.log)


async def test_receive_returns_a_disconnect_after_the_reader_has_left(layer: Path, gate: Gate) -> None:
    environ = {"GATE": str(gate.port)}
    async with Emulator(layer, FUNCTIONS / "plain", "app.handler", python=sys.executable, environ=environ) as function:
        invocation = Invocation(function_url_event("GET", "/waits-for-disconnect"), streamed=True, timeout_s=60)
        function.submit(invocation)
        assert isinstance(await invocation.parts.get(), Prelude)
        assert await invocation.parts.get() == b"hello?"
        function.environment.hang_up(invocation)
        assert await gate.let_pass() == "http.disconnect"
        await function.environment.until(lambda e: e.idle)


async def test_a_failure_in_the_body_is_reported_in_the_trailers(layer: Path) -> None:
    async with Emulator(layer, FUNCTIONS / "plain", "app.handler", python=sys.executable) as function:
        result = await function.invoke(function_url_event("GET", "/fail-in-body"), streamed=True)
        long = await function.invoke(function_url_event("GET", "/fail-in-body?long=100000"), streamed=True)
        incomplete = await function.invoke(function_url_event("GET", "/incomplete"), streamed=True)
        early = await function.invoke(function_url_event("GET", "/fail-after-start"), streamed=True)
    assert result.error is not None
    assert (result.body, result.error["errorType"], result.error["errorMessage"]) == (
        *(b"the beginning", "LookupError", "and then nothing"),
    )
    assert result.error["requestId"] == result.invocation.id
    assert "fail_in_body" in result.error["stackTrace"][-1]
    assert not any("tailrace_runtime" in frame for frame in result.error["stackTrace"])
    # The emulator checks that the trailers are not longer than Go reads.
    assert long.error is not None
    assert long.error["errorMessage"].startswith("and then nothing!!!")
    assert incomplete.error is not None
    assert incomplete.error["errorType"] == "Runtime.IncompleteResponse"
    assert early.error is not None
    assert early.prelude is None
    assert early.error["errorMessage"] == "still nothing here"


async def test_a_second_response_start_is_an_error_of_the_app(layer: Path) -> None:
    async with Emulator(layer, FUNCTIONS / "plain", "app.handler", python=sys.executable) as function:
        result = await function.invoke(function_url_event("GET", "/twice"), streamed=True)
    assert b"'http.response.start', which ASGI does not allow here" in result.body


async def test_a_request_over_6_mb_does_not_reach_the_function(layer: Path) -> None:
    async with ours(layer, "plain") as function:
        text = [("Content-Type", "text/plain")]
        refused = await function.ask("POST", "/echo", headers=text, body=b"x" * REQUEST_LIMIT)
        assert refused.status == 413
        taken = await function.ask("POST", "/echo", headers=text, body=b"x" * (REQUEST_LIMIT - 10_000))
        assert taken.status == 200
        assert len(json.loads(taken.body)["body"]) > REQUEST_LIMIT


async def test_several_environments_serve_at_once(layer: Path, gate: Gate) -> None:
    environ = {"GATE": str(gate.port)}
    async with (
        Emulator(
            layer, FUNCTIONS / "plain", "app.handler", python=sys.executable, environ=environ, environments=3
        ) as function,
        httpx.AsyncClient(timeout=60) as http,
    ):
        asking = [asyncio.create_task(http.get(f"{function.url}/stream?n=1")) for _ in range(3)]
        assert [await gate.arrival() for _ in range(3)] == ["event 0"] * 3  # all at once
        gate.open()
        assert [each.text for each in await asyncio.gather(*asking)] == ["id: 0\ndata: {}\n\n"] * 3
        pids = {environment.process.pid for environment in function.environments}
        assert len(pids) == 3
        assert os.getpid() not in pids
