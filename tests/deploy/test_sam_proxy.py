"""What is between the containers of `sam local`."""

from __future__ import annotations

import asyncio
from typing import Any

import boto3
import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from deploy.sam_local.proxy import Proxy
from tailrace.agent.dispatch import function_url_event
from tailrace.events import encode
from tailrace.log import Head
from tests.support.http import serve


@pytest.mark.parametrize(
    ("answer", "status", "retry_after"),
    [
        # sam's, when a container does not answer in time: who asks tries again, as on Lambda without an execution.
        (JSONResponse({"message": "Internal server error"}, 502), 503, "1"),
        (JSONResponse({"name": "analyst"}), 200, None),
        (PlainTextResponse("the emulated services do not run", 503), 503, None),
    ],
    ids=["a container that is not there", "an answer", "a refusal"],
)
async def test_an_agent_whose_container_is_not_there_has_no_room_yet(
    answer: Response, status: int, retry_after: str | None
) -> None:
    async def sam(_: Request) -> Response:
        return answer

    async with serve(Starlette(routes=[Route("/agents/Analyst/", sam)])) as url:
        proxy = Proxy(url)
        transport = httpx.ASGITransport(proxy.agents())
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as http:
            got = await http.get("/agents/Analyst/")
            assert (got.status_code, got.headers.get("retry-after")) == (status, retry_after)
            assert got.content == answer.body
        await proxy.close()


async def test_a_container_that_starts_slowly_is_waited_for() -> None:
    """sam gives up after 0.7 s, in which a container on a busy machine does not listen yet."""
    answers = iter([JSONResponse({"message": "Internal server error"}, 502)] * 2)

    async def sam(request: Request) -> Response:
        return next(answers, None) or PlainTextResponse(await request.body())

    async with serve(Starlette(routes=[Route("/api/tasks", sam, methods=["POST"])])) as url:
        proxy = Proxy(url)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(proxy.page("")), base_url="http://here") as http:
            got = await http.post("/api/tasks", content=b"the message")
        assert (got.status_code, got.text) == (200, "the message")
        await proxy.close()


async def test_without_sam_the_answer_names_it() -> None:
    proxy = Proxy("http://127.0.0.1:9")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(proxy.agents()), base_url="http://here") as http:
        got = await http.get("/agents/Analyst/")
    assert got.status_code == 502
    assert got.text.startswith("sam local start-api: ")
    await proxy.close()


async def test_an_agent_that_is_invoked_runs_although_nobody_waits_for_it() -> None:
    """And is asked again if its container was not there."""
    asked: asyncio.Queue[tuple[str, str, Any]] = asyncio.Queue()
    answers = iter([JSONResponse({"message": "Internal server error"}, 502), JSONResponse({"result": {}})])

    async def sam(request: Request) -> Response:
        await asked.put((request.url.path, request.headers["x-tailrace-owner"], (await request.json())["params"]["id"]))
        return next(answers)

    head = Head(task_id="task-1", owner="ada", context_id="context-1", agent="analyst")
    async with serve(Starlette(routes=[Route("/agents/Analyst/", sam, methods=["POST"])])) as target:
        proxy = Proxy(target)
        async with serve(proxy.agents()) as url:
            await asyncio.to_thread(invoke, url, "Event", head)
            async with asyncio.timeout(60):
                assert [await asked.get(), await asked.get()] == [("/agents/Analyst/", "ada", "task-1")] * 2
            with pytest.raises(Exception, match="must be 'Event'"):
                await asyncio.to_thread(invoke, url, "RequestResponse", head)
        await proxy.close()
    assert asked.empty()


def invoke(url: str, kind: str, head: Head) -> None:
    """As a function does on AWS."""
    account = {"region_name": "us-east-1", "aws_access_key_id": "any", "aws_secret_access_key": "any"}
    client: Any = boto3.client("lambda", endpoint_url=url, **account)
    client.invoke(FunctionName="Analyst", InvocationType=kind, Payload=encode(function_url_event(head)))
