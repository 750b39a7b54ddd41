"""Invocations one after the other: their context and errors; an error never affects the next invocation."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.runtime.emulator import Emulator
from tests.runtime.events import function_url_event
from tests.runtime.exchange import End, Invocation, Prelude
from tests.runtime.fronts import FUNCTIONS, ours

_CLIENT_CONTEXT: dict[str, Any] = {
    "client": {"app_title": "Tailrace"},
    "custom": {"k": "v"},
    "w3c": {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "other": 1},
}


def plain(layer: Path, handler: str = "app.handler", **options: Any) -> Emulator:
    return Emulator(layer, FUNCTIONS / "plain", handler, python=sys.executable, **options)


@pytest.mark.parametrize("streamed", [True, False])
async def test_the_context_has_lambdas_headers(layer: Path, streamed: bool) -> None:
    event = function_url_event("GET", "/echo") if streamed else {"version": "0"}
    async with plain(layer, timeout_s=30) as function:
        result = await function.invoke(
            event,
            streamed=streamed,
            client_context=json.dumps(_CLIENT_CONTEXT),
            identity='{"cognitoIdentityId": "id-1", "cognitoIdentityPoolId": "pool-1"}',
            tenant="tenant-7",
        )
        bare = (await function.invoke(event, streamed=streamed)).json["context"]
    context = result.json["context"]
    assert 0 < context["remaining"] <= 30_000
    assert context["request_id"] == result.invocation.id
    assert context["arn"] == "arn:aws:lambda:us-east-1:123456789012:function:test:live"
    assert context["trace_id"] == context["environ_trace_id"] == result.invocation.trace
    assert (context["tenant"], context["identity"]) == ("tenant-7", "id-1")
    assert (context["custom"], context["app_title"]) == ({"k": "v"}, "Tailrace")
    assert context["w3c"] == {"traceparent": _CLIENT_CONTEXT["w3c"]["traceparent"]}
    assert context["function"] == ["test", "7", "256"]
    assert context["logs"] == ["/aws/lambda/test", "2026/11/22/[7]0123456789abcdef"]
    assert (bare["tenant"], bare["custom"], bare["identity"], bare["w3c"]) == (None, None, None, {})


async def test_an_invocation_without_a_trace_id_does_not_inherit_one(layer: Path) -> None:
    async with plain(layer) as function:
        for path in ("/echo", "other"):
            event = function_url_event("GET", path) if path == "/echo" else {}
            traced = (await function.invoke(event, streamed=path == "/echo")).json["context"]
            assert traced["environ_trace_id"]
            function.traced = False
            untraced = (await function.invoke(event, streamed=path == "/echo")).json["context"]
            assert untraced["environ_trace_id"] is None
            assert untraced["trace_id"] is None
            function.traced = True


async def test_an_invalid_client_context_fails_only_its_invocation(layer: Path) -> None:
    async with plain(layer) as function:
        result = await function.invoke({}, client_context="{not json")
        assert result.error is not None
        assert result.error["errorType"] == "Runtime.LambdaContextUnmarshalError"
        assert (await function.invoke({})).json["called"]


@pytest.mark.parametrize(("key", "value"), [("body", "not base64!"), ("headers", "no object"), ("cookies", [1])])
async def test_an_unreadable_event_fails_only_its_invocation(layer: Path, key: str, value: Any) -> None:
    event = {**function_url_event("GET", "/hello"), "isBase64Encoded": True, key: value}
    async with plain(layer) as function:
        result = await function.invoke(event, streamed=True)
        assert result.error is not None
        assert (await function.invoke(function_url_event("GET", "/hello"), streamed=True)).body == b"hello"
        assert len(function.environments) == 1


async def test_a_crash_fails_only_its_own_invocation(layer: Path) -> None:
    async with ours(layer, "plain") as function:
        assert (await function.ask("GET", "/hello")).body == b"hello"
        first = function.processes()
        assert (await function.ask("GET", "/crash-before")).status == 502
        assert (await function.ask("GET", "/hello")).body == b"hello"
        assert function.processes()[:-1] == first
        assert function.processes()[-1] not in first


async def test_lambda_kills_an_app_that_ignores_its_deadline(layer: Path) -> None:
    async with plain(layer, timeout_s=5, environments=2) as function:
        results = await asyncio.gather(
            *(function.invoke(function_url_event("GET", path), streamed=True) for path in ("/deaf", "/stuck"))
        )
        for result in results:
            assert result.error is not None
            assert result.error["errorType"] == "Sandbox.Timedout"
        assert results[0].body == b"the beginning"
        function.timeout_s = 60
        assert (await function.invoke(function_url_event("GET", "/hello"), streamed=True)).body == b"hello"


@pytest.mark.parametrize("streamed", [True, False])
async def test_a_410_is_logged_and_the_loop_continues(layer: Path, streamed: bool) -> None:
    event = function_url_event("GET", "/hello") if streamed else {}
    async with plain(layer) as function:
        for status in (410, 403):
            environment = await function.start() if not function.environments else function.environment
            environment.next_status = [status]
            await function.invoke(event, streamed=streamed)
            assert (await function.invoke(event, streamed=streamed)).error is None
        assert len(function.environments) == 1
        assert any("WARNING" in line and "came too late (410)" in line for line in function.log)
        assert any("ERROR" in line and "refused (403)" in line for line in function.log)


async def test_a_500_ends_the_process(layer: Path) -> None:
    """ "Non-recoverable state. Runtime should exit promptly." """
    async with plain(layer) as function:
        environment = await function.start()
        environment.next_status = [500]
        await function.invoke({})
        await environment.until(lambda e: e.exit_status is not None)
        assert environment.exit_status == 1
        assert (await function.invoke({})).json["called"]


async def test_a_closed_idle_connection_is_reopened(layer: Path) -> None:
    async with plain(layer) as function:
        environment = await function.start()
        environment.drop_pollers()
        assert (await function.invoke({})).json["called"]
        assert len(function.environments) == 1


async def test_the_process_ends_with_the_runtime_api(layer: Path) -> None:
    """Otherwise an orphan would take the invocations of the next emulator on that port."""
    async with plain(layer) as function:
        environment = await function.start()
        environment.close_api()
        await environment.until(lambda e: e.exit_status is not None)
        assert environment.exit_status == 1


async def test_memory_does_not_grow_over_3_000_invocations(layer: Path) -> None:
    """The invocations are streamed, ordinary and failed; the memory is that of the process."""
    events = [
        function_url_event("GET", "/hello"),
        {"version": "0"},
        function_url_event("POST", "/echo", [("content-type", "text/plain")], b"x" * 2000),
        function_url_event("GET", "/fail-in-body"),
    ]

    async def serve(function: Emulator, n: int) -> int:
        for i in range(n - 1):
            event = events[i % len(events)]
            await function.invoke(event, streamed="version" in event and event["version"] == "2.0")
        result = await function.invoke(function_url_event("GET", "/rss"), streamed=True)
        function.environment.log.clear()
        return int(result.body)

    async with plain(layer, freeze=False, timeout_s=120) as function:
        warm = await serve(function, 600)
        after = await serve(function, 2400)
    assert after - warm < 1024  # KB, about 440 bytes per invocation


async def test_a_sigterm_lets_the_app_clean_up(layer: Path) -> None:
    async with plain(layer, freeze=False) as function:
        environment = await function.start()
        asking = asyncio.create_task(function.invoke(function_url_event("GET", "/overdue-run"), streamed=True))
        result = await asking
        assert (result.body, result.error) == (b"accepted", None)
        environment.terminate()
        await environment.until(lambda e: e.exit_status is not None)
        assert environment.exit_status == 0
        assert [line for line in function.log if "lease" in line or "lifespan" in line] == [
            *("the lease is let go", "lifespan: shut down"),
        ]


async def test_a_sigterm_cuts_a_response_with_an_error(layer: Path) -> None:
    async with plain(layer, freeze=False) as function:
        invocation = Invocation(function_url_event("GET", "/overdue"), streamed=True, timeout_s=60)
        function.submit(invocation)
        assert isinstance(await invocation.parts.get(), Prelude)
        assert await invocation.parts.get() == b"the beginning"
        function.environment.terminate()
        end = await invocation.parts.get()
        assert isinstance(end, End)
        assert end.error is not None
        assert end.error["errorType"] == "Runtime.AppStopped"
