"""The runtime's promises as scenarios for three emulators of Lambda, each of which has a short test file."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from tests.runtime.fronts import Front, ReceivedResponse
from tests.runtime.gate import Gate

Serve = Callable[..., AbstractAsyncContextManager[Front]]


class Scenarios:
    """The scenarios that also hold for an emulator that buffers responses."""

    serve: Serve
    version: str | None = "2.0"
    """The version of the events' payload format."""
    failed = 502
    """The HTTP status of an invocation that failed before its response began."""

    @pytest.fixture
    def front(self, layer: Path) -> Callable[..., AbstractAsyncContextManager[Front]]:
        def serve(function: str = "plain", **environ: str) -> AbstractAsyncContextManager[Front]:
            return type(self).serve(layer, function, **environ)

        return serve

    async def test_status_headers_and_cookies_arrive(self, front: Serve) -> None:
        async with front() as function:
            answer = await function.ask("GET", "/cookies")
            refused = await function.ask("GET", "/post-only")
        assert (answer.status, answer.body) == (200, b"crumbs")
        assert answer.cookies == ["a=1; Path=/", "b=2; HttpOnly"]
        assert answer.headers["vary"] == "Accept, Cookie"
        assert "connection" not in answer.headers or answer.headers["connection"] != "close"
        assert (refused.status, refused.headers["allow"]) == (405, "POST")

    async def test_binary_bodies_arrive_byte_for_byte(self, front: Serve) -> None:
        async with front() as function:
            answer = await function.ask("GET", "/binary")
        assert answer.body == bytes(range(256)) * 4 + bytes(8) + b"\r\n0\r\n\r\n"
        assert answer.headers["content-type"] == "application/octet-stream"

    async def test_bodiless_responses_end(self, front: Serve) -> None:
        async with front() as function:
            empty = await function.ask("GET", "/empty")
            none = await function.ask("GET", "/none")
            redirect = await function.ask("GET", "/redirect")
        assert (empty.status, empty.body, empty.cut) == (200, b"", False)
        assert (none.status, none.body, none.cut) == (204, b"", False)
        assert (redirect.status, redirect.headers["location"], redirect.cut) == (307, "/hello", False)

    async def test_the_app_gets_the_whole_request(self, front: Serve) -> None:
        headers = [("Cookie", "a=1; b=2"), ("X-Name", "v1"), ("Content-Type", "application/octet-stream")]
        async with front() as function:
            answer = await function.ask(
                "POST", "/echo/a%20b/%C3%A4?x=1&x=2&y=a%2Bb", headers=headers, body=b"\x00\xff\r\n"
            )
        echoed = json.loads(answer.body)
        assert (echoed["method"], echoed["type"], echoed["asgi"]["spec_version"]) == ("POST", "http", "2.4")
        assert (echoed["path"], echoed["raw_path"]) == ("/echo/a b/ä", "/echo/a%20b/%C3%A4")
        assert echoed["query_string"] == "x=1&x=2&y=a%2Bb"
        assert base64.b64decode(echoed["body"]) == b"\x00\xff\r\n"
        sent_headers = dict(echoed["headers"])
        assert (sent_headers["cookie"], sent_headers["x-name"]) == ("a=1; b=2", "v1")
        assert sent_headers["content-type"] == "application/octet-stream"
        assert echoed["client"][0]
        assert isinstance(echoed["client"][1], int)
        assert echoed["event"] == self.version

    async def test_the_scope_has_the_deadline_and_the_request_id(self, front: Serve) -> None:
        async with front() as function:
            first = json.loads((await function.ask("GET", "/echo")).body)["context"]
            second = json.loads((await function.ask("GET", "/echo")).body)["context"]
        for context in (first, second):
            # cargo-lambda gives 600,000 ms as the deadline, the others give a time.
            assert 0 < context["remaining"] <= 600_000
            assert context["arn"]
            assert context["trace_id"] == context["environ_trace_id"]
        assert first["pid"] == second["pid"]
        assert first["request_id"] != second["request_id"]

    async def test_a_failure_before_the_response_is_a_function_error(self, front: Serve) -> None:
        async with front() as function:
            for path in ("/fail-before", "/fail-after-start", "/silent"):
                answer = await function.ask("GET", path)
                assert answer.status == self.failed, path
                assert b"the beginning" not in answer.body
            assert (await function.ask("GET", "/hello")).body == b"hello"

    async def test_a_failure_in_the_body_cuts_the_response(self, front: Serve) -> None:
        async with front() as function:
            for path in ("/fail-in-body", "/incomplete", "/fail-in-body?long=100000"):
                answer = await function.ask("GET", path)
                self.is_cut(answer)
                assert (answer.status, answer.body) == (200, b"the beginning")
            assert (await function.ask("GET", "/hello")).body == b"hello"

    def is_cut(self, answer: ReceivedResponse) -> None:
        assert answer.cut

    async def test_a_failure_after_the_end_changes_nothing(self, front: Serve) -> None:
        async with front() as function:
            answer = await function.ask("GET", "/fail-after-end")
            assert (answer.status, answer.body, answer.cut) == (200, b"all of it", False)
            assert (await function.ask("GET", "/hello")).body == b"hello"

    async def test_a_big_body_arrives_whole(self, front: Serve) -> None:
        async with front() as function:
            answer = await function.ask("GET", "/big?mb=5&piece=300000")
        assert answer.body == bytes(5 * 1024 * 1024)
        assert not answer.cut

    async def test_mangum_serves_a_starlette_app(self, front: Serve) -> None:
        async with front("web") as function:
            headers = [("Cookie", "k=v"), ("Content-Type", "application/octet-stream")]
            answer = await function.ask("POST", "/?q=1", headers=headers, body=b"\xff\xfe")
            missing = await function.ask("GET", "/nowhere")
            failed = await function.ask("GET", "/boom")
        echoed: dict[str, Any] = json.loads(answer.body)
        assert (echoed["cookies"], echoed["query"], echoed["body"]) == ({"k": "v"}, {"q": "1"}, "\xff\xfe")
        assert [each.split("=")[0] for each in answer.cookies] == ["session", "theme"]
        assert missing.status == 404
        assert (failed.status, failed.body) == (500, b"Internal Server Error")


class StreamingScenarios(Scenarios):
    """The scenarios that need true streaming."""

    async def test_each_event_arrives_as_soon_as_it_is_written(self, front: Serve, gate: Gate) -> None:
        # The function waits for the test before each event, and the test for the event, so none is held back.
        async with (
            front(GATE=str(gate.port)) as function,
            gate.passing(),
            function.http.stream("GET", f"{function.url}/stream?n=5") as response,
        ):
            received = response.aiter_raw()
            for i in range(5):
                assert await anext(received) == b"id: %d\ndata: {}\n\n" % i
                if i < 4:
                    await gate.let_pass()
            assert response.headers["content-type"] == "text/event-stream"
            assert [data async for data in received] == []

    async def test_a_crash_in_the_body_cuts_the_response(self, front: Serve, gate: Gate) -> None:
        async with (
            front(GATE=str(gate.port)) as function,
            function.http.stream("GET", f"{function.url}/crash-in-body") as response,
        ):
            assert response.status_code == 200
            received = response.aiter_raw()
            assert await anext(received) == b"the beginning"
            await gate.let_pass()
            with pytest.raises(Exception, match=r"peer closed|incomplete|disconnected"):
                await anext(received)
