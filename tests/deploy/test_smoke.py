"""`make smoke` passes if everything is right, and fails if an event is lost, repeated or changed."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from deploy.smoke import SmokeError, check
from tailrace.events import EXTENSION
from tests.support.http import serve
from tests.support.processes import ROOT, Stack

LAST = 9


async def test_smoke_passes_on_a_gateway_that_streams(shipped: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    rows = dict(await check(shipped.url, ""))
    assert "each once and in order, over 2 connections" in rows["events"]
    assert rows["replay"].startswith("the same ")
    assert "between frames, live" in capsys.readouterr().out


def deployment(
    seqs: list[int], *, secret: str = "", replay: list[int] | None = None, state: str = "COMPLETED"
) -> Starlette:
    """Return a gateway that sends the events of `seqs` after the cursor; after the first stream, those of `replay`."""
    starts = 0

    async def page(_: Request) -> Response:
        return PlainTextResponse("", headers={"Content-Security-Policy": "default-src 'none'"})

    async def tasks(request: Request) -> Response:
        if secret and request.headers.get("x-tailrace-secret") != secret:
            return JSONResponse({}, 401)
        assert len(request.headers["x-amz-content-sha256"]) == 64
        return JSONResponse({"id": "t"}, 201)

    async def stream(request: Request) -> Response:
        nonlocal starts
        cursor = int(request.headers.get("last-event-id") or request.query_params["cursor"])
        if cursor >= LAST:
            return Response(status_code=204)
        starts += cursor == 0
        sent = replay if replay is not None and starts > 1 else seqs

        async def chunks() -> AsyncIterator[str]:
            yield "retry: 1\n\nevent: sync\ndata: {}\n\n"
            for seq in [seq for seq in sent if seq > cursor]:
                event = {"result": {"statusUpdate": {"metadata": {EXTENSION: {"ts": 1}}, "n": seq}}}
                yield f"id: {seq}\ndata: {json.dumps(event)}\n\n"
            yield f'event: end\ndata: {{"state":"TASK_STATE_{state}","seq":{LAST}}}\n\n'

        return StreamingResponse(chunks(), media_type="text/event-stream")

    return Starlette(
        routes=[
            Route("/", page),
            Route("/api/tasks", tasks, methods=["GET", "POST"]),
            Route("/api/stream/t", stream),
        ]
    )


ALL = list(range(1, LAST + 1))


async def test_smoke_passes_with_the_gateways_secret() -> None:
    async with serve(deployment(ALL, secret="0123456789abcdef")) as url:
        rows = dict(await check(url, "0123456789abcdef"))
    assert rows["without the secret"] == "401"


@pytest.mark.parametrize(
    ("faulty", "what"),
    [
        (deployment([1, 2, 3, 4, 5, 6, 8, 9]), "Event 8 came after event 6"),
        (deployment([1, 2, 3, 4, 5, 6, 6, 7, 8, 9]), "Event 6 came after event 6"),
        (deployment([1, 2, 3, 5, 4, 6, 7, 8, 9]), "Event 5 came after event 3"),
        (deployment([1, 2, 3, 4, 5, 6, 7, 8]), "ended at event 9 after 8 events"),
        (deployment(ALL, replay=[1, 2, 4, 5, 6, 7, 8, 9]), "Event 4 came after event 2"),
        (deployment(ALL, state="FAILED"), "ended as TASK_STATE_FAILED"),
    ],
    ids=["lost", "repeated", "out of order", "cut short", "replay differs", "failed"],
)
async def test_smoke_fails_if_an_event_is_lost_repeated_or_changed(faulty: Starlette, what: str) -> None:
    async with serve(faulty) as url:
        with pytest.raises(SmokeError, match=what):
            await check(url, "")


async def test_smoke_fails_if_the_api_answers_without_the_secret() -> None:
    async with serve(deployment(ALL)) as url:
        with pytest.raises(SmokeError, match="instead of 401"):
            await check(url, "0123456789abcdef")


@pytest.mark.parametrize(("url", "code"), [("http://127.0.0.1:9", 1), ("nowhere", 2)])
async def test_smoke_reports_an_error_without_a_traceback(url: str, code: int) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "deploy.smoke", url), cwd=ROOT, stderr=asyncio.subprocess.PIPE
    )
    _, stderr = await process.communicate()
    assert process.returncode == code
    assert url in stderr.decode()
    assert "Traceback" not in stderr.decode()
